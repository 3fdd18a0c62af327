//! A Gaussian sample and its KL divergence. Shaders: `shaders/latent/latent.wgsl`,
//! `shaders/latent/latent_gradient.wgsl`.
//!
//! m, dm \[B, 2Z\] = \[mu, s\], eps \[T, B, Z\], z, dz \[B, Z\], kl, dkl, sum \[B\], h \[B, h\], x = \[z, h\].

use super::params::LatentParams;
use crate::cpu::math::exp;
use crate::cpu::simd::{rows, sum, update};

/// z = mu + e^s eps; kl = sum (mu^2 + e^2s - 2 s - 1) / 2.
pub fn forward(p: &LatentParams, inputs: [&[f32]; 2], [z, kl]: [&mut [f32]; 2]) {
    sample(p, inputs, &[], z);
    divergence(p, inputs[0], kl);
}

/// x = \[z, h\], kl, and sum = before + kl.
pub fn forward_input(
    p: &LatentParams,
    [m, eps, h, before]: [&[f32]; 4],
    [x, kl, sum]: [&mut [f32]; 3],
) {
    sample(p, [m, eps], h, x);
    divergence(p, m, kl);
    for ((sum, before), kl) in sum.iter_mut().zip(before).zip(&*kl) {
        *sum = before + kl;
    }
}

/// Rows \[z, h\].
fn sample(p: &LatentParams, [m, eps]: [&[f32]; 2], h: &[f32], x: &mut [f32]) {
    let (n, beside) = (p.width as usize, p.beside as usize);
    let eps = &eps[p.start as usize..];
    rows(
        x,
        n + beside,
        n + beside,
        #[inline(always)]
        |r, x| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            let (z, rest) = x.split_at_mut(n);
            rest.copy_from_slice(&h[beside * r..][..beside]);
            update(
                z,
                [mu, s, &eps[n * r..][..n]],
                #[inline(always)]
                |_, [mu, s, eps]| mu + exp(s) * eps,
            );
        },
    );
}

/// kl of each row.
fn divergence(p: &LatentParams, m: &[f32], kl: &mut [f32]) {
    let n = p.width as usize;
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
    // dz is the front of rows [dz, dh].
    let row = n + p.beside as usize;
    let eps = &eps[p.start as usize..];
    rows(
        dm,
        2 * n,
        2 * n,
        #[inline(always)]
        |r, dm| {
            let (mu, s) = m[2 * n * r..][..2 * n].split_at(n);
            let (dmu, ds) = dm.split_at_mut(n);
            let (eps, dz, dkl) = (&eps[n * r..][..n], &dz[row * r..][..n], dkl[r]);
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

/// [`gradient`] of dx = \[dz, dh\], and dh.
pub fn input_gradient(p: &LatentParams, [m, eps, dx, dkl]: [&[f32]; 4], [dm, dh]: [&mut [f32]; 2]) {
    gradient(p, [m, eps, dx, dkl], [dm]);
    let (n, beside) = (p.width as usize, p.beside as usize);
    for (dh, dx) in dh.chunks_exact_mut(beside).zip(dx.chunks_exact(n + beside)) {
        dh.copy_from_slice(&dx[n..]);
    }
}
