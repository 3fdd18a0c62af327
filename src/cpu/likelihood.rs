//! Row sums of log-likelihood terms. Shaders: `shaders/bernoulli.wgsl`, `shaders/gaussian.wgsl`,
//! `shaders/gaussian_kl.wgsl`. Inputs \[rows, width\], results \[rows\].

use super::math::{exp, log1p, sigmoid};
use super::simd::{rows, sum};
use crate::ops::likelihood::Params;

const HALF_LOG_TWO_PI: f32 = 0.918_938_5;

/// nll = sum softplus(l) - x l, as max(l, 0) - x l + ln(1 + e^-|l|), where nothing large is lost.
pub fn bernoulli(p: &Params, [l, x]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(nll, 1, w, |r, y| {
        let (l, x) = (&l[r * w..][..w], &x[r * w..][..w]);
        // Sixteen at a time, or the compiler keeps softplus scalar inside the sum.
        y[0] = sum(w, |i| {
            let positive = if l[i] < 0.0 { 0.0 } else { l[i] };
            positive - x[i] * l[i] + log1p(exp(-l[i].abs()))
        });
    });
}

/// dl = (sigmoid(l) - x) dy.
pub fn bernoulli_gradient(p: &Params, [l, x, dy]: [&[f32]; 3], [dl]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(dl, w, w, |r, dl| {
        let (l, x, dy) = (&l[r * w..][..w], &x[r * w..][..w], dy[r]);
        dl.iter_mut().zip(l).zip(x).for_each(|((dl, &l), &x)| *dl = (sigmoid(l) - x) * dy);
    });
}

/// nll = sum (ln 2 pi + lv + (x - mu)^2 e^-lv) / 2.
pub fn gaussian(p: &Params, [x, mu, lv]: [&[f32]; 3], [nll]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(nll, 1, w, |r, y| {
        let (x, mu, lv) = (&x[r * w..][..w], &mu[r * w..][..w], &lv[r * w..][..w]);
        y[0] = sum(w, |i| {
            let d = x[i] - mu[i];
            HALF_LOG_TWO_PI + 0.5 * (lv[i] + d * d * exp(-lv[i]))
        });
    });
}

/// dmu = (mu - x) e^-lv dy; dlv = (1 - (x - mu)^2 e^-lv) dy / 2.
pub fn gaussian_gradient(p: &Params, [x, mu, lv, dy]: [&[f32]; 4], [dmu, dlv]: [&mut [f32]; 2]) {
    let w = p.width as usize;
    rows(dmu, w, w, |r, dmu| {
        for i in 0..w {
            let at = r * w + i;
            dmu[i] = (mu[at] - x[at]) * exp(-lv[at]) * dy[r];
        }
    });
    rows(dlv, w, w, |r, dlv| {
        for i in 0..w {
            let at = r * w + i;
            let d = x[at] - mu[at];
            dlv[i] = 0.5 * (1.0 - d * d * exp(-lv[at])) * dy[r];
        }
    });
}

/// kl = sum (mu^2 + e^lv - lv - 1) / 2.
pub fn gaussian_kl(p: &Params, [mu, lv]: [&[f32]; 2], [kl]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(kl, 1, w, |r, y| {
        let (mu, lv) = (&mu[r * w..][..w], &lv[r * w..][..w]);
        y[0] = sum(w, |i| 0.5 * (mu[i] * mu[i] + exp(lv[i]) - lv[i] - 1.0));
    });
}

/// dmu = mu dy; dlv = (e^lv - 1) dy / 2.
pub fn gaussian_kl_gradient(p: &Params, [mu, lv, dy]: [&[f32]; 3], [dmu, dlv]: [&mut [f32]; 2]) {
    let w = p.width as usize;
    rows(dmu, w, w, |r, dmu| (0..w).for_each(|i| dmu[i] = mu[r * w + i] * dy[r]));
    rows(dlv, w, w, |r, dlv| {
        (0..w).for_each(|i| dlv[i] = 0.5 * (exp(lv[r * w + i]) - 1.0) * dy[r])
    });
}
