// Adam, in place: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
// w -= rate (m / c1) / (sqrt(v / c2) + epsilon), c = 1 - beta^t. CPU: ops/optimizer/cpu.rs.
// g, w, m, v [n]; scale [1] is the clipping factor, negative to skip the update; element 3 of tally [4] records
// the number of a step that makes a value non-finite.
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> tally_atomics: array<atomic<u32>>;

@compute @workgroup_size(256)
fn update(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat_index(id, groups);
    if i >= p.n || scale[0] < 0.0 {
        return;
    }
    let g = full_gradient(gradient[i], scale[0], w[i]);
    let first = fma(p.beta1, m[i], (1.0 - p.beta1) * g);
    let second = fma(p.beta2, v[i], (1.0 - p.beta2) * g * g);
    m[i] = first;
    v[i] = second;
    let root = sqrt(second / p.correction2) + p.epsilon;
    let weight = decayed(w[i]) - p.rate / p.correction1 * first / root;
    w[i] = weight;
    if is_broken(weight) || is_broken(first) || is_broken(second) {
        // Several invocations may store here, so the store is atomic.
        atomicStore(&tally_atomics[3], bitcast<u32>(p.number));
    }
}
