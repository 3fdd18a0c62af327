//! Softmax cross entropy. Shaders: `shaders/categorical.wgsl`, `shaders/categorical_gradient.wgsl`.
//! logits \[rows, classes\], target \[rows\] (class numbers), nll, dy \[rows\].

use super::math::exp;
use super::reduce::logsumexp;
use super::simd::rows;
use crate::ops::categorical::Params;

/// nll = logsumexp(l) - l\[t\]; NaN where t is no class.
pub fn forward(p: &Params, [l, t]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    let k = p.classes as usize;
    rows(
        nll,
        1,
        k,
        #[inline(always)]
        |r, y| {
            let l = &l[r * k..][..k];
            let target = l.get(t[r] as usize).copied().unwrap_or(f32::NAN);
            y[0] = logsumexp(l) - target;
        },
    );
}

/// dl = (softmax(l) - onehot(t)) dy; the normalizer comes back from the loss: nll + l\[t\].
pub fn gradient(p: &Params, [l, t, nll, dy]: [&[f32]; 4], [dl]: [&mut [f32]; 1]) {
    let k = p.classes as usize;
    rows(
        dl,
        k,
        k,
        #[inline(always)]
        |r, dl| {
            let (l, t, dy) = (&l[r * k..][..k], t[r] as usize, dy[r]);
            let target = l.get(t).copied().unwrap_or(f32::NAN);
            let normalizer = nll[r] + target;
            for (dl, &l) in dl.iter_mut().zip(l) {
                *dl = exp(l - normalizer) * dy;
            }
            if let Some(at_target) = dl.get_mut(t) {
                *at_target -= dy;
            }
        },
    );
}
