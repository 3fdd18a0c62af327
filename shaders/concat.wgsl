// Rows of a and of b side by side. CPU: cpu/layout.rs. a [outer, a], b [outer, b], y [outer, a + b],
// n elements.
struct Params { n: u32, width_a: u32, width_b: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn concat(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n {
        return;
    }
    let width = p.width_a + p.width_b;
    let row = i / width;
    let column = i - row * width;
    if column < p.width_a {
        y[i] = a[row * p.width_a + column];
    } else {
        y[i] = b[row * p.width_b + column - p.width_a];
    }
}
