// Rows taken apart: the columns of x go to a, then b, then c. CPU: cpu/layout.rs. x [outer, sum of the widths], n
// elements, a [outer, width_a], b and c likewise; what is absent has a width of 0.
struct Params { n: u32, width_a: u32, width_b: u32, width_c: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(256)
fn split(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n {
        return;
    }
    let two = p.width_a + p.width_b;
    let row = i / (two + p.width_c);
    let column = i - row * (two + p.width_c);
    if column < p.width_a {
        a[row * p.width_a + column] = x[i];
    } else if column < two {
        b[row * p.width_b + column - p.width_a] = x[i];
    } else {
        c[row * p.width_c + column - two] = x[i];
    }
}
