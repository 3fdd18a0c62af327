// dx = f'(x) dy, elementwise. CPU: ops/unary/cpu.rs. saved, dy, dx [n]; saved is y if f' is simplest as a function
// of y (exp, tanh, sigmoid, relu, sqrt), else x.
struct Params { n: u32, function: u32, a: f32, b: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> saved: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

fn gradient(s: f32, dy: f32) -> f32 {
    switch p.function {
        case 0u: { return p.a * dy; }
        case 1u: { return s * dy; }
        case 2u: { return dy / s; }
        case 3u: { return dy / (1.0 + s); }
        case 4u: { return (1.0 - s * s) * dy; }
        case 5u: { return s * (1.0 - s) * dy; }
        case 6u: { return sigmoid(s) * dy; }
        case 7u: { return select(0.0, dy, s > 0.0); }
        case 8u: { return 2.0 * s * dy; }
        case 9u: { return 0.5 * dy / s; }
        default: { return select(0.0, dy, s >= p.a && s <= p.b); }
    }
}

@compute @workgroup_size(256)
fn unary_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i < p.n {
        dx[i] = gradient(saved[i], dy[i]);
    }
}
