// The decoder's input x = [z, h], z = mu + e^s eps; kl = sum (mu^2 + e^2s - 2 s - 1) / 2, and its sum over glimpses:
// `latent.wgsl`, a concatenation and an addition in one launch. CPU: ops/latent/cpu.rs. m = [mu, s]
// [batch, 2 width], eps [glimpses, batch, width] from `start` on, h [batch, beside], x [batch, width + beside],
// before, kl, total [batch]; one workgroup per row.
struct Params { batch: u32, width: u32, start: u32, beside: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> eps: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read> before: array<f32>;
@group(0) @binding(5) var<storage, read_write> x: array<f32>;
@group(0) @binding(6) var<storage, read_write> kl: array<f32>;
@group(0) @binding(7) var<storage, read_write> total: array<f32>;

@compute @workgroup_size(256)
fn latent_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= p.batch {
        return;
    }
    let own = row * (p.width + p.beside);
    var sum = 0.0;
    for (var j = lane; j < p.width; j += 256u) {
        let mu = m[2u * row * p.width + j];
        let s = m[(2u * row + 1u) * p.width + j];
        x[own + j] = mu + exp_of(s) * eps[p.start + row * p.width + j];
        sum += 0.5 * (mu * mu + exp_of(2.0 * s) - 2.0 * s - 1.0);
    }
    for (var j = lane; j < p.beside; j += 256u) {
        x[own + p.width + j] = h[row * p.beside + j];
    }
    sum = row_sum(sum, lane);
    if lane == 0u {
        kl[row] = sum;
        total[row] = before[row] + sum;
    }
}
