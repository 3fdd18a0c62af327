// Parameters and weight decay of all optimisers. Weight decay d is either coupled (g += d w, the gradient of a
// normal prior) or decoupled (w -= rate d w). CPU: ops/optimizer/cpu.rs.
struct Params {
    n: u32,
    rule: u32,
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    decay: f32,
    decoupled: u32,
    correction1: f32,
    correction2: f32,
    number: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

// The gradient times the clipping factor, plus coupled decay.
fn full_gradient(g: f32, scale: f32, w: f32) -> f32 {
    return fma(select(p.decay, 0.0, p.decoupled != 0u), w, g * scale);
}

// Whether a new value is infinite or NaN, from its exponent bits.
fn is_broken(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
}

// The weight after decoupled decay.
fn decayed(w: f32) -> f32 {
    return select(1.0, 1.0 - p.rate * p.decay, p.decoupled != 0u) * w;
}
