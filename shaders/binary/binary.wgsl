// y = a op b with broadcasting. CPU: ops/binary/cpu.rs. y has shape `shape`, four axes; a stride of 0 repeats
// an operand along an axis.
struct Params {
    shape: vec4<u32>,
    stride_a: vec4<u32>,
    stride_b: vec4<u32>,
    n: u32,
    operation: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn value(a: f32, b: f32) -> f32 {
    switch p.operation {
        case 0u: { return a + b; }
        case 1u: { return a - b; }
        case 2u: { return a * b; }
        case 3u: { return a / b; }
        default: { return select(0.0, 1.0, a < b); }
    }
}

@compute @workgroup_size(256)
fn binary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n {
        return;
    }
    var at = vec4<u32>(0u, 0u, 0u, i);
    // With a single axis, the divisions are unnecessary.
    if p.shape.w != p.n {
        at = coordinates(i, p.shape);
    }
    y[i] = value(a[dot(at, p.stride_a)], b[dot(at, p.stride_b)]);
}
