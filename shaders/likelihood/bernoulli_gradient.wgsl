// dl = (sigmoid(l) - x) dy. CPU: ops/likelihood/cpu.rs. l, x, dl [rows, width], dy [rows].
struct Params { rows: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> l: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dl: array<f32>;

@compute @workgroup_size(256)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i < p.rows * p.width {
        dl[i] = (sigmoid(l[i]) - x[i]) * dy[i / p.width];
    }
}
