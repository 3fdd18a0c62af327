// y = the result of `reps` steps x = a x + b, in sixteen independent chains per invocation. It measures the
// multiply-add units alone. CPU: cpu/gemm/peak.rs.
struct Params { n: u32, reps: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Number i of x, zero beyond its end.
fn number_at(i: u32) -> f32 {
    if i < p.n { return x[i]; }
    return 0.0;
}

// Numbers i, i + stride, ...
fn four(i: u32, stride: u32) -> vec4<f32> {
    return vec4<f32>(number_at(i), number_at(i + stride), number_at(i + 2u * stride), number_at(i + 3u * stride));
}

fn put(i: u32, value: f32) {
    if i < p.n { y[i] = value; }
}

fn put_four(i: u32, stride: u32, v: vec4<f32>) {
    put(i, v.x);
    put(i + stride, v.y);
    put(i + 2u * stride, v.z);
    put(i + 3u * stride, v.w);
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
    put_four(i, stride, v0);
    put_four(i + 4u * stride, stride, v1);
    put_four(i + 8u * stride, stride, v2);
    put_four(i + 12u * stride, stride, v3);
}
