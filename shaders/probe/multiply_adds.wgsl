// y = the result of `reps` steps x = a x + b, in sixteen independent chains per invocation. It measures the
// multiply-add units alone. CPU: cpu/gemm/peak.rs.
struct Params { n: u32, reps: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Numbers i, i + stride, ... of x, zeros beyond its end.
fn four(i: u32, stride: u32) -> vec4<f32> {
    var v = vec4<f32>();
    for (var lane = 0u; lane < 4u; lane++) {
        if i + lane * stride < p.n { v[lane] = x[i + lane * stride]; }
    }
    return v;
}

fn put(i: u32, stride: u32, v: vec4<f32>) {
    for (var lane = 0u; lane < 4u; lane++) {
        if i + lane * stride < p.n { y[i + lane * stride] = v[lane]; }
    }
}

@compute @workgroup_size(256)
fn multiply_adds(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    let stride = groups.x * groups.y * 256u;
    let a = vec4(p.a);
    let b = vec4(p.b);
    var v0 = four(i, stride);
    var v1 = four(i + 4u * stride, stride);
    var v2 = four(i + 8u * stride, stride);
    var v3 = four(i + 12u * stride, stride);
    for (var round = 0u; round < p.reps; round++) {
        v0 = fma(v0, a, b);
        v1 = fma(v1, a, b);
        v2 = fma(v2, a, b);
        v3 = fma(v3, a, b);
    }
    put(i, stride, v0);
    put(i + 4u * stride, stride, v1);
    put(i + 8u * stride, stride, v2);
    put(i + 12u * stride, stride, v3);
}
