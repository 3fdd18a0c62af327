//! A Gaussian sample and its KL divergence. Shaders: `shaders/latent/latent.wgsl`,
//! `shaders/latent/latent_gradient.wgsl`.
//!
//! m, dm \[B, 2Z\] = \[mu, s\], eps \[T, B, Z\], z, dz \[B, Z\], kl, dkl \[B\].

use super::params::LatentParams;
use crate::cpu::math::exp;
use crate::cpu::simd::{rows, sum, update};

/// z = mu + e^s eps; kl = sum (mu^2 + e^2s - 2 s - 1) / 2.
pub fn forward(p: &LatentParams, [m, eps]: [&[f32]; 2], [z, kl]: [&mut [f32]; 2]) {
    let n = p.width as usize;
    let eps = &eps[p.start as usize..];
    rows(
        z,
        n,
        n,
        #[inline(always)]
        |r, z| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            update(
                z,
                [mu, s, &eps[n * r..][..n]],
                #[inline(always)]
                |_, [mu, s, eps]| mu + exp(s) * eps,
            );
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
pub fn gradient(p: &LatentParams, [m, eps, dz, dkl]: [&[f32]; 4], [dm]: [&mut [f32]; 1]) {
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
            update(
                dmu,
                [mu, dz],
                #[inline(always)]
                move |_, [mu, dz]| dz + mu * dkl,
            );
            update(
                ds,
                [s, eps, dz],
                #[inline(always)]
                move |_, [s, eps, dz]| {
                    let e = exp(s);
                    dz * eps * e + (e * e - 1.0) * dkl
                },
            );
        },
    );
}
