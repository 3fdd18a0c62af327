// dmu = (mu - x) e^-lv dy; dlv = (1 - (x - mu)^2 e^-lv) dy / 2. CPU: ops/likelihood/cpu.rs.
// x, mu, lv, dmu, dlv [rows, width], dy [rows].
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mu: array<f32>;
@group(0) @binding(3) var<storage, read> lv: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dmu: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlv: array<f32>;

@compute @workgroup_size(256)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.rows * p.width {
        return;
    }
    let d = mu[i] - x[i];
    let weight = exp_of(-lv[i]);
    let seed = dy[i / p.width];
    dmu[i] = d * weight * seed;
    dlv[i] = 0.5 * (1.0 - d * d * weight) * seed;
}
