//! Sampling a value from its logits. Pixel Recurrent Neural Networks, sections 2.1 and 2.2. Shapes: logits \[B, pixels,
//! C levels\] (\[B, pixels, C\] if there are two levels), u, x \[B, pixels, C\].

use super::params::PickParams;

/// Samples one value of x in every image; the rest of x is unchanged. With two levels, v = 1 if u < sigmoid(l), else 0;
/// with more, v is the first with sum_(w <= v) softmax(l)_w > u. Then x = (v / (levels - 1) - mean) / std. A NaN
/// logit gives NaN. Probabilities are rounded to f32, so that one below 1e-45 is 0 and its level is never drawn.
pub fn pick(p: &PickParams, [logits, u]: [&[f32]; 2], [x]: [&mut [f32]; 1]) {
    let [batch, pixels, channels, levels] =
        [p.batch, p.pixels, p.channels, p.levels].map(|n| n as usize);
    for b in 0..batch {
        let at = (b * pixels + p.pixel as usize) * channels + p.channel as usize;
        let each = if levels == 2 { 1 } else { levels };
        let value = level(&logits[at * each..][..each], u[at], levels) / (levels as f64 - 1.0);
        x[at] = ((value - f64::from(p.mean)) / f64::from(p.std_dev)) as f32;
    }
}

/// The level that the uniform number u selects.
pub fn level(logits: &[f32], u: f32, levels: usize) -> f64 {
    let u = f64::from(u);
    if levels > 2 {
        return first_above(logits, u);
    }
    let probability = (1.0 / (1.0 + (-f64::from(logits[0])).exp())) as f32;
    let one = u < f64::from(probability);
    if probability.is_nan() { f64::NAN } else { f64::from(u8::from(one)) }
}

/// The first level at which the cumulative probability exceeds u.
fn first_above(logits: &[f32], u: f64) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |l: &f32| f64::from((f64::from(*l) - f64::from(largest)).exp() as f32);
    let total: f64 = logits.iter().map(power).sum();
    if total.is_nan() {
        return f64::NAN;
    }
    let mut sum = 0.0;
    for (level, l) in logits.iter().enumerate() {
        sum += power(l) / total;
        if sum > u {
            return level as f64;
        }
    }
    logits.len() as f64 - 1.0
}
