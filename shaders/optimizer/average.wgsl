// Moving average of weights, in place: a += share (w - a), unless the step is skipped (scale < 0).
// CPU: ops/optimizer/cpu.rs. w, a [n]; scale [1].
struct Params { n: u32, share: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> a: array<f32>;

@compute @workgroup_size(256)
fn average(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i < p.n && scale[0] >= 0.0 {
        a[i] = fma(p.share, w[i] - a[i], a[i]);
    }
}
