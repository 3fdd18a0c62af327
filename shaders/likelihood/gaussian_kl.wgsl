// KL(N(mu, e^lv) || N(0, 1)) = sum (mu^2 + e^lv - lv - 1) / 2. CPU: ops/likelihood/cpu.rs.
// mu, lv [rows, width], kl [rows]; one workgroup per row.
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mu: array<f32>;
@group(0) @binding(2) var<storage, read> lv: array<f32>;
@group(0) @binding(3) var<storage, read_write> kl: array<f32>;

fn term(i: u32) -> f32 {
    return 0.5 * (mu[i] * mu[i] + exp_of(lv[i]) - lv[i] - 1.0);
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
        kl[row] = sum;
    }
}
