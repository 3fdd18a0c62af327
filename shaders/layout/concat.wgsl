// Concatenates the parts a, b and c into y (lib/parts.wgsl). CPU: ops/layout/cpu.rs.
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
    let at = place_of(i);
    switch at.x {
        case 0u: { y[i] = a[at.y]; }
        case 1u: { y[i] = b[at.y]; }
        default: { y[i] = c[at.y]; }
    }
}
