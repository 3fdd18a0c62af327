// Splits x into the parts a, b and c (lib/parts.wgsl). CPU: ops/layout/cpu.rs.
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
    let at = place_of(i);
    switch at.x {
        case 0u: { a[at.y] = x[i]; }
        case 1u: { b[at.y] = x[i]; }
        default: { c[at.y] = x[i]; }
    }
}
