// SGD with momentum (s = beta1 s + g, w -= rate s), Adagrad (s += g^2) and RMSProp
// (s = beta1 s + (1 - beta1) g^2), both w -= rate g / (sqrt s + epsilon). In place.
// CPU: ops/optimizer/cpu.rs. g, w, s [n]; scale [1] is the clipping factor, negative to skip the update.
// Element 3 of tally [4] records the number of a step that makes a value non-finite.
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> s: array<f32>;
@group(0) @binding(5) var<storage, read_write> tally_atomics: array<atomic<u32>>;

const SGD: u32 = 0u;
const ADAGRAD: u32 = 1u;

@compute @workgroup_size(256)
fn update(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n || scale[0] < 0.0 {
        return;
    }
    let g = full_gradient(gradient[i], scale[0], w[i]);
    var state = 0.0;
    var direction = 0.0;
    if p.rule == SGD {
        state = fma(p.beta1, s[i], g);
        direction = state;
    } else {
        let keep = select(p.beta1, 1.0, p.rule == ADAGRAD);
        let add = select(1.0 - p.beta1, 1.0, p.rule == ADAGRAD);
        state = fma(keep, s[i], add * g * g);
        direction = g / (sqrt(state) + p.epsilon);
    }
    let weight = decayed(w[i]) - p.rate * direction;
    s[i] = state;
    w[i] = weight;
    if is_broken(weight) || is_broken(state) {
        // Several invocations may store here, so the store is atomic.
        atomicStore(&tally_atomics[3], bitcast<u32>(p.number));
    }
}
