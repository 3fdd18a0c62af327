//! Row sums of log-likelihood terms. Shaders: `shaders/likelihood/bernoulli.wgsl`, `shaders/likelihood/gaussian.wgsl`,
//! `shaders/likelihood/gaussian_kl.wgsl`. Inputs \[rows, width\], results \[rows\].

use super::params::LikelihoodParams;
use crate::cpu::math::{exp, log1p, sigmoid};
use crate::cpu::simd::{rows, sum};

const HALF_LOG_TWO_PI: f32 = 0.918_938_5;

/// nll = sum softplus(l) - x l, computed as max(l, 0) - x l + ln(1 + e^-|l|), which cannot overflow.
pub fn bernoulli(p: &LikelihoodParams, [l, x]: [&[f32]; 2], [nll]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(
        nll,
        1,
        w,
        #[inline(always)]
        |r, y| {
            let (l, x) = (&l[r * w..][..w], &x[r * w..][..w]);
            y[0] = sum(
                [l, x],
                #[inline(always)]
                |[l, x]| {
                    let positive = if l < 0.0 { 0.0 } else { l };
                    positive - x * l + log1p(exp(-l.abs()))
                },
            );
        },
    );
}

/// dl = (sigmoid(l) - x) dy.
pub fn bernoulli_gradient(p: &LikelihoodParams, [l, x, dy]: [&[f32]; 3], [dl]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(
        dl,
        w,
        w,
        #[inline(always)]
        |r, dl| {
            let (l, x, dy) = (&l[r * w..][..w], &x[r * w..][..w], dy[r]);
            for ((dl, &l), &x) in dl.iter_mut().zip(l).zip(x) {
                *dl = (sigmoid(l) - x) * dy;
            }
        },
    );
}

/// nll = sum (ln 2 pi + lv + (x - mu)^2 e^-lv) / 2.
pub fn gaussian(p: &LikelihoodParams, [x, mu, lv]: [&[f32]; 3], [nll]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(
        nll,
        1,
        w,
        #[inline(always)]
        |r, y| {
            let (x, mu, lv) = (&x[r * w..][..w], &mu[r * w..][..w], &lv[r * w..][..w]);
            y[0] = sum(
                [x, mu, lv],
                #[inline(always)]
                |[x, mu, lv]| {
                    let d = x - mu;
                    HALF_LOG_TWO_PI + 0.5 * (lv + d * d * exp(-lv))
                },
            );
        },
    );
}

/// dmu = (mu - x) e^-lv dy; dlv = (1 - (x - mu)^2 e^-lv) dy / 2.
pub fn gaussian_gradient(
    p: &LikelihoodParams,
    [x, mu, lv, dy]: [&[f32]; 4],
    [dmu, dlv]: [&mut [f32]; 2],
) {
    let w = p.width as usize;
    let row = |r: usize| (&x[r * w..][..w], &mu[r * w..][..w], &lv[r * w..][..w], dy[r]);
    rows(
        dmu,
        w,
        w,
        #[inline(always)]
        |r, dmu| {
            let (x, mu, lv, dy) = row(r);
            for i in 0..w {
                dmu[i] = (mu[i] - x[i]) * exp(-lv[i]) * dy;
            }
        },
    );
    rows(
        dlv,
        w,
        w,
        #[inline(always)]
        |r, dlv| {
            let (x, mu, lv, dy) = row(r);
            for i in 0..w {
                let d = x[i] - mu[i];
                dlv[i] = 0.5 * (1.0 - d * d * exp(-lv[i])) * dy;
            }
        },
    );
}

/// kl = sum (mu^2 + e^lv - lv - 1) / 2.
pub fn gaussian_kl(p: &LikelihoodParams, [mu, lv]: [&[f32]; 2], [kl]: [&mut [f32]; 1]) {
    let w = p.width as usize;
    rows(
        kl,
        1,
        w,
        #[inline(always)]
        |r, y| {
            let (mu, lv) = (&mu[r * w..][..w], &lv[r * w..][..w]);
            y[0] = sum(
                [mu, lv],
                #[inline(always)]
                |[mu, lv]| 0.5 * (mu * mu + exp(lv) - lv - 1.0),
            );
        },
    );
}

/// dmu = mu dy; dlv = (e^lv - 1) dy / 2.
pub fn gaussian_kl_gradient(
    p: &LikelihoodParams,
    [mu, lv, dy]: [&[f32]; 3],
    [dmu, dlv]: [&mut [f32]; 2],
) {
    let w = p.width as usize;
    rows(
        dmu,
        w,
        w,
        #[inline(always)]
        |r, dmu| {
            let dy = dy[r];
            for (dmu, &mu) in dmu.iter_mut().zip(&mu[r * w..][..w]) {
                *dmu = mu * dy;
            }
        },
    );
    rows(
        dlv,
        w,
        w,
        #[inline(always)]
        |r, dlv| {
            let dy = dy[r];
            for (dlv, &lv) in dlv.iter_mut().zip(&lv[r * w..][..w]) {
                *dlv = 0.5 * (exp(lv) - 1.0) * dy;
            }
        },
    );
}
