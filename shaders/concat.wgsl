// Rows of a, b and c side by side. CPU: cpu/layout.rs. a [outer, width_a], b and c likewise, y [outer, sum of the
// widths], n elements; what is absent has a width of 0.
struct Params { n: u32, width_a: u32, width_b: u32, width_c: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn concat(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n {
        return;
    }
    let two = p.width_a + p.width_b;
    let row = i / (two + p.width_c);
    let column = i - row * (two + p.width_c);
    if column < p.width_a {
        y[i] = a[row * p.width_a + column];
    } else if column < two {
        y[i] = b[row * p.width_b + column - p.width_a];
    } else {
        y[i] = c[row * p.width_c + column - two];
    }
}
