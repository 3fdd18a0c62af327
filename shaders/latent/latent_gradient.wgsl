// dmu = dz + mu dkl; ds = dz eps e^s + (e^2s - 1) dkl. CPU: ops/latent/cpu.rs. m = [mu, s], dm
// [batch, 2 width], eps [glimpses, batch, width] from `start` on, dz [batch, width], dkl [batch]; one
// invocation per latent dimension of a row.
struct Params { batch: u32, width: u32, start: u32, beside: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> eps: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;
@group(0) @binding(4) var<storage, read> dkl: array<f32>;
@group(0) @binding(5) var<storage, read_write> dm: array<f32>;

@compute @workgroup_size(256)
fn latent_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.batch * p.width {
        return;
    }
    let row = i / p.width;
    let mu = i + row * p.width;
    let s = mu + p.width;
    let e = exp_of(m[s]);
    dm[mu] = dz[i] + m[mu] * dkl[row];
    dm[s] = dz[i] * eps[p.start + i] * e + (e * e - 1.0) * dkl[row];
}
