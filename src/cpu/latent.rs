//! A Gaussian sample and its KL divergence. Shaders: `shaders/latent.wgsl`,
//! `shaders/latent_gradient.wgsl`.
//!
//! m, dm \[B, 2Z\] = \[mu, s\], eps \[T, B, Z\], z, dz \[B, Z\], kl, dkl \[B\].

use super::math::exp;
use super::simd::{rows, sum};
use crate::ops::latent::Params;

/// z = mu + e^s eps; kl = sum (mu^2 + e^2s - 2 s - 1) / 2.
pub fn forward(p: &Params, [m, eps]: [&[f32]; 2], [z, kl]: [&mut [f32]; 2]) {
    let n = p.width as usize;
    let eps = &eps[p.start as usize..];
    rows(
        z,
        n,
        n,
        #[inline(always)]
        |r, z| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            for (((z, &mu), &s), &eps) in z.iter_mut().zip(mu).zip(s).zip(&eps[n * r..][..n]) {
                *z = mu + exp(s) * eps;
            }
        },
    );
    rows(
        kl,
        1,
        n,
        #[inline(always)]
        |r, kl| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            kl[0] = sum(
                [mu, s],
                #[inline(always)]
                |[mu, s]| 0.5 * (mu * mu + exp(2.0 * s) - 2.0 * s - 1.0),
            );
        },
    );
}

/// dmu = dz + mu dkl; ds = dz eps e^s + (e^2s - 1) dkl.
pub fn gradient(p: &Params, [m, eps, dz, dkl]: [&[f32]; 4], [dm]: [&mut [f32]; 1]) {
    let n = p.width as usize;
    let eps = &eps[p.start as usize..];
    rows(
        dm,
        2 * n,
        2 * n,
        #[inline(always)]
        |r, dm| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            let (dmu, ds) = dm.split_at_mut(n);
            let (eps, dz, dkl) = (&eps[n * r..][..n], &dz[n * r..][..n], dkl[r]);
            for ((dmu, &mu), &dz) in dmu.iter_mut().zip(mu).zip(dz) {
                *dmu = dz + mu * dkl;
            }
            for (((ds, &s), &eps), &dz) in ds.iter_mut().zip(s).zip(eps).zip(dz) {
                let e = exp(s);
                *ds = dz * eps * e + (e * e - 1.0) * dkl;
            }
        },
    );
}
