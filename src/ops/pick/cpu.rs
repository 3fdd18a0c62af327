//! Sampling a value from its logits. Shader: `shaders/pick/pick.wgsl`.
//! logits \[B, pixels, C levels\] (\[B, pixels, C\] if there are two levels), u, x \[B, pixels, C\].

use super::params::PickParams;
use crate::cpu::math::{exp, sigmoid};
use crate::cpu::simd::vectorize;

/// Samples one value of x in every image; the rest of x is unchanged. NaN if the logits define no distribution.
pub fn pick(p: &PickParams, [logits, u]: [&[f32]; 2], [x]: [&mut [f32]; 1]) {
    let [batch, pixels, channels] = [p.batch, p.pixels, p.channels].map(|n| n as usize);
    let levels = p.levels as usize;
    let each = if levels == 2 { 1 } else { levels };
    vectorize(
        #[inline(always)]
        || {
            for b in 0..batch {
                let at = (b * pixels + p.pixel as usize) * channels + p.channel as usize;
                let logits = &logits[at * each..][..each];
                let level = match levels {
                    2 if logits[0].is_nan() => f32::NAN,
                    2 => f32::from(u8::from(u[at] < sigmoid(logits[0]))),
                    _ => first_above(logits, u[at]),
                };
                let value = level / (levels - 1) as f32;
                x[at] = (value - p.mean) / p.std_dev;
            }
        },
    );
}

/// The first level at which the cumulative probability exceeds u.
#[inline(always)]
fn first_above(logits: &[f32], u: f32) -> f32 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let total: f32 = logits.iter().map(|l| exp(l - largest)).sum();
    if total.is_nan() {
        return f32::NAN;
    }
    let (threshold, mut sum) = (u * total, 0.0);
    for (level, l) in logits.iter().enumerate() {
        sum += exp(l - largest);
        if sum > threshold {
            return level as f32;
        }
    }
    (logits.len() - 1) as f32
}
