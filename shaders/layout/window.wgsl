// y[i] = x[start + i] along permuted axes, 0 outside x: slice, pad, permute, expand. CPU:
// ops/layout/cpu.rs. y has shape `shape`, four axes; along each of them, x has `limit` elements, `stride` apart.
struct Params {
    shape: vec4<u32>,
    stride: vec4<u32>,
    limit: vec4<u32>,
    start: vec4<i32>,
    n: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn window(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n {
        return;
    }
    // Negative positions wrap around to large numbers, which are outside too.
    let at = coordinates(i, p.shape) + bitcast<vec4<u32>>(p.start);
    var value = 0.0;
    if all(at < p.limit) {
        value = x[dot(at, p.stride)];
    }
    y[i] = value;
}
