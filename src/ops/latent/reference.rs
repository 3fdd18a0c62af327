//! A Gaussian sample and its KL divergence to the standard normal. DRAW, equations 1, 2 and 11. Shapes: m, dm \[B, 2Z\]
//! (mu, then s = log sigma), eps \[T, B, Z\] (the glimpse's noise starts at `start`), z, dz \[B, Z\], kl, dkl \[B\].

use super::params::LatentParams;

/// z_j = mu_j + e^s_j eps_j; kl = sum_j (mu_j^2 + e^2s_j - 2 s_j - 1) / 2.
pub fn forward(p: &LatentParams, [m, eps]: [&[f32]; 2], [z, kl]: [&mut [f32]; 2]) {
    let (batch, width) = (p.batch as usize, p.width as usize);
    for b in 0..batch {
        let mut sum = 0.0;
        for j in 0..width {
            let mu = f64::from(m[2 * b * width + j]);
            let s = f64::from(m[(2 * b + 1) * width + j]);
            let eps = f64::from(eps[p.start as usize + b * width + j]);
            z[b * width + j] = (mu + s.exp() * eps) as f32;
            sum += (mu * mu + (2.0 * s).exp() - 2.0 * s - 1.0) / 2.0;
        }
        kl[b] = sum as f32;
    }
}

/// dmu_j = dz_j + mu_j dkl; ds_j = dz_j eps_j e^s_j + (e^2s_j - 1) dkl.
pub fn gradient(p: &LatentParams, [m, eps, dz, dkl]: [&[f32]; 4], [dm]: [&mut [f32]; 1]) {
    let (batch, width) = (p.batch as usize, p.width as usize);
    for b in 0..batch {
        for j in 0..width {
            let mu = f64::from(m[2 * b * width + j]);
            let s = f64::from(m[(2 * b + 1) * width + j]);
            let eps = f64::from(eps[p.start as usize + b * width + j]);
            let (dz, dkl) = (f64::from(dz[b * width + j]), f64::from(dkl[b]));
            dm[2 * b * width + j] = (dz + mu * dkl) as f32;
            dm[(2 * b + 1) * width + j] =
                (dz * eps * s.exp() + ((2.0 * s).exp() - 1.0) * dkl) as f32;
        }
    }
}
