// dm and dh of dx = [dz, dh]: `latent_gradient.wgsl` and the columns of h in one launch. CPU: ops/latent/cpu.rs.
// m = [mu, s], dm [batch, 2 width], eps [glimpses, batch, width] from `start` on, dx [batch, width + beside],
// dkl [batch], dh [batch, beside]; one invocation per element of dx.
struct Params { batch: u32, width: u32, start: u32, beside: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> eps: array<f32>;
@group(0) @binding(3) var<storage, read> dx: array<f32>;
@group(0) @binding(4) var<storage, read> dkl: array<f32>;
@group(0) @binding(5) var<storage, read_write> dm: array<f32>;
@group(0) @binding(6) var<storage, read_write> dh: array<f32>;

@compute @workgroup_size(256)
fn latent_input_gradient(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = flat_index(id, groups);
    let columns = p.width + p.beside;
    if i >= p.batch * columns {
        return;
    }
    let row = i / columns;
    let column = i - row * columns;
    if column >= p.width {
        dh[row * p.beside + column - p.width] = dx[i];
        return;
    }
    let mu = 2u * row * p.width + column;
    let s = mu + p.width;
    let e = exp_of(m[s]);
    dm[mu] = dx[i] + m[mu] * dkl[row];
    dm[s] = dx[i] * eps[p.start + row * p.width + column] * e + (e * e - 1.0) * dkl[row];
}
