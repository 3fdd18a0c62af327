// -log p(x) of Bernoulli variables with logits l: nll = sum softplus(l) - x l, computed as
// max(l, 0) - x l + ln(1 + e^-|l|), which cannot overflow. CPU: ops/likelihood/cpu.rs.
// l, x [rows, width], nll [rows]; one workgroup per row.
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> l: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> nll: array<f32>;

fn term(i: u32) -> f32 {
    return max(l[i], 0.0) - x[i] * l[i] + log1p_of(exp_of(-abs(l[i])));
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= p.rows {
        return;
    }
    var sum = 0.0;
    for (var i = row * p.width + lane; i < (row + 1u) * p.width; i += 256u) {
        sum += term(i);
    }
    sum = row_sum(sum, lane);
    if lane == 0u {
        nll[row] = sum;
    }
}
