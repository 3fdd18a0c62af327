// -log N(x; mu, e^lv): nll = sum (ln 2 pi + lv + (x - mu)^2 e^-lv) / 2. CPU: ops/likelihood/cpu.rs.
// x, mu, lv [rows, width], nll [rows]; one workgroup per row.
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mu: array<f32>;
@group(0) @binding(3) var<storage, read> lv: array<f32>;
@group(0) @binding(4) var<storage, read_write> nll: array<f32>;

const HALF_LOG_TWO_PI: f32 = 0.9189385;

fn term(i: u32) -> f32 {
    let d = x[i] - mu[i];
    return HALF_LOG_TWO_PI + 0.5 * (lv[i] + d * d * exp_of(-lv[i]));
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
