// dw[o, i, t] = dy[t, i, o] if w[o, i, t] is visible, else 0. CPU: ops/mask/cpu.rs; one invocation per element.
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(256)
fn mask_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = flat_index(id, groups);
    if n >= p.area * p.inputs * p.outputs {
        return;
    }
    let row = n / p.area;
    let t = n - row * p.area;
    let o = row / p.inputs;
    let i = row - o * p.inputs;
    var value = 0.0;
    if t < p.taps && shows(t, i, o) {
        value = dy[(t * p.inputs + i) * p.outputs + o];
    }
    dw[n] = value;
}
