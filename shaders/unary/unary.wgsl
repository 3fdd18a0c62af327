// y = f(x), elementwise. CPU: ops/unary/cpu.rs. x, y [n]; a and b are the parameters of f.
struct Params { n: u32, function: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn value(x: f32) -> f32 {
    switch p.function {
        case 0u: { return fma(p.a, x, p.b); }
        case 1u: { return exp_of(x); }
        case 2u: { return log_of(x); }
        case 3u: { return log1p_of(x); }
        case 4u: { return tanh_of(x); }
        case 5u: { return sigmoid(x); }
        case 6u: { return softplus(x); }
        case 7u: { return select(0.0, x, x > 0.0 || is_nan(x)); }
        case 8u: { return x * x; }
        case 9u: { return sqrt(x); }
        default: { return select(clamp(x, p.a, p.b), x, is_nan(x)); }
    }
}

@compute @workgroup_size(256)
fn unary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i < p.n {
        y[i] = value(x[i]);
    }
}
