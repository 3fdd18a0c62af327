//! Optimiser updates as in their papers. g is the gradient times the clipping factor `scale`; a negative factor skips
//! the update. Shapes: g, w and states \[n\], scale \[1\], tally \[4\], whose element 3 records the step that made
//! a value non-finite.

use super::params::{AverageParams, OptimizerParams, Rule};

/// (g plus coupled weight decay, w after decoupled weight decay).
fn decayed(p: &OptimizerParams, g: f64, w: f64) -> (f64, f64) {
    let (rate, decay) = (f64::from(p.rate), f64::from(p.decay));
    if p.decoupled != 0 { (g, w - rate * decay * w) } else { (g + decay * w, w) }
}

/// Records a non-finite value in the tally.
fn note(p: &OptimizerParams, values: &[f32], tally: &mut [f32]) {
    if values.iter().any(|value| !value.is_finite()) {
        tally[3] = p.number;
    }
}

/// SGD with momentum: s = mu s + g, w -= lr s. Adagrad: s += g^2; RMSProp: s = rho s + (1 - rho) g^2; both
/// w -= lr g / (sqrt s + eps).
pub fn one_state(p: &OptimizerParams, [g, scale]: [&[f32]; 2], [w, s, tally]: [&mut [f32]; 3]) {
    if scale[0] < 0.0 {
        return;
    }
    let [rate, beta, epsilon] = [p.rate, p.beta1, p.epsilon].map(f64::from);
    for i in 0..w.len() {
        let g = f64::from(g[i]) * f64::from(scale[0]);
        let (g, kept) = decayed(p, g, f64::from(w[i]));
        let before = f64::from(s[i]);
        let (state, step) = match p.rule() {
            Rule::Sgd => {
                let state = beta * before + g;
                (state, rate * state)
            }
            Rule::Adagrad => {
                let state = before + g * g;
                (state, rate * g / (state.sqrt() + epsilon))
            }
            Rule::RmsProp | Rule::Adam => {
                let state = beta * before + (1.0 - beta) * g * g;
                (state, rate * g / (state.sqrt() + epsilon))
            }
        };
        (w[i], s[i]) = ((kept - step) as f32, state as f32);
        note(p, &[w[i], s[i]], tally);
    }
}

/// Adam: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= lr (m / c1) / (sqrt(v / c2) + eps).
pub fn adam(p: &OptimizerParams, [g, scale]: [&[f32]; 2], [w, m, v, tally]: [&mut [f32]; 4]) {
    if scale[0] < 0.0 {
        return;
    }
    let [rate, beta1, beta2, epsilon] = [p.rate, p.beta1, p.beta2, p.epsilon].map(f64::from);
    let [correction1, correction2] = [p.correction1, p.correction2].map(f64::from);
    for i in 0..w.len() {
        let g = f64::from(g[i]) * f64::from(scale[0]);
        let (g, kept) = decayed(p, g, f64::from(w[i]));
        let first = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
        let second = beta2 * f64::from(v[i]) + (1.0 - beta2) * g * g;
        let step = rate * (first / correction1) / ((second / correction2).sqrt() + epsilon);
        (w[i], m[i], v[i]) = ((kept - step) as f32, first as f32, second as f32);
        note(p, &[w[i], m[i], v[i]], tally);
    }
}

/// Moving average: a += share (w - a).
pub fn average(p: &AverageParams, [w, scale]: [&[f32]; 2], [a]: [&mut [f32]; 1]) {
    if scale[0] < 0.0 {
        return;
    }
    for (a, &w) in a.iter_mut().zip(w) {
        *a = (f64::from(*a) + f64::from(p.share) * (f64::from(w) - f64::from(*a))) as f32;
    }
}
