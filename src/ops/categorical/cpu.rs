//! Softmax cross entropy. Shaders: `shaders/categorical/categorical.wgsl`,
//! `shaders/categorical/categorical_gradient.wgsl`. logits \[rows, classes\], target \[rows\] (class indices), nll, dy
//! \[rows\].

use super::params::CategoricalParams;
use crate::cpu::math::exp;
use crate::cpu::simd::rows;
use crate::ops::reduce::cpu::logsumexp;

/// The class of a target, truncated to an integer; `None` if it is out of range.
fn class(t: f32, classes: usize) -> Option<usize> {
    (t >= 0.0 && (t as usize) < classes).then_some(t as usize)
}

/// nll = logsumexp(l) - l\[t\]; NaN if t is out of range.
pub fn forward(p: &CategoricalParams, [l, t]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    let k = p.classes as usize;
    rows(
        nll,
        1,
        k,
        #[inline(always)]
        |r, y| {
            let l = &l[r * k..][..k];
            let target = class(t[r], k).map_or(f32::NAN, |t| l[t]);
            let (largest, log_sum) = logsumexp(l);
            y[0] = (largest - target) + log_sum;
        },
    );
}

/// dl = (softmax(l) - onehot(t)) dy, with the normalizer recovered from the loss as nll + l\[t\]. Large logits cancel
/// first, in l - l\[t\].
pub fn gradient(p: &CategoricalParams, [l, t, nll, dy]: [&[f32]; 4], [dl]: [&mut [f32]; 1]) {
    let k = p.classes as usize;
    rows(
        dl,
        k,
        k,
        #[inline(always)]
        |r, dl| {
            let (l, dy) = (&l[r * k..][..k], dy[r]);
            let Some(t) = class(t[r], k) else { return dl.fill(f32::NAN) };
            let (at_target, nll) = (l[t], nll[r]);
            for (dl, &l) in dl.iter_mut().zip(l) {
                *dl = exp((l - at_target) - nll) * dy;
            }
            dl[t] -= dy;
        },
    );
}
