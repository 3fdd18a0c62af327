// dl = (softmax(l) - onehot(t)) dy, with the normalizer recovered from the loss as nll + l[t]. NaN if t is out of
// range. CPU: ops/categorical/cpu.rs. l, dl [rows, classes], t (class indices), nll, dy [rows].
struct Params { rows: u32, classes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> l: array<f32>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read> nll: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dl: array<f32>;

@compute @workgroup_size(256)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.rows * p.classes {
        return;
    }
    let row = i / p.classes;
    if !names_a_class(t[row], p.classes) {
        dl[i] = from_bits(NAN_BITS);
        return;
    }
    let at_target = row * p.classes + u32(t[row]);
    let probability = exp_of((l[i] - l[at_target]) - nll[row]);
    dl[i] = (probability - select(0.0, 1.0, i == at_target)) * dy[row];
}
