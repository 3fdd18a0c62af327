// y[t, i, o] = w[o, i, t] if it is visible, else 0. CPU: ops/mask/cpu.rs; one invocation per element.
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn mask(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = flat_index(id, groups);
    if n >= p.taps * p.inputs * p.outputs {
        return;
    }
    let row = n / p.outputs;
    let o = n - row * p.outputs;
    let t = row / p.inputs;
    let i = row - t * p.inputs;
    var value = 0.0;
    if shows(t, i, o) {
        value = w[(o * p.inputs + i) * p.area + t];
    }
    y[n] = value;
}
