//! A Gaussian sample and its KL divergence to the standard normal. DRAW, equations 1, 2 and 11. Shapes: m, dm \[B, 2Z\]
//! (mu, then s = log sigma), eps \[T, B, Z\] (the glimpse's noise starts at `start`), z, dz \[B, Z\], x = \[z, h\] and
//! dx \[B, Z + h\], kl, dkl \[B\].

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
            z[b * (width + p.beside as usize) + j] = (mu + s.exp() * eps) as f32;
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
            let (dz, dkl) = (f64::from(dz[b * (width + p.beside as usize) + j]), f64::from(dkl[b]));
            dm[2 * b * width + j] = (dz + mu * dkl) as f32;
            dm[(2 * b + 1) * width + j] =
                (dz * eps * s.exp() + ((2.0 * s).exp() - 1.0) * dkl) as f32;
        }
    }
}

/// x = \[z, h\], kl, and sum = before + kl.
pub fn forward_input(
    p: &LatentParams,
    [m, eps, h, before]: [&[f32]; 4],
    [x, kl, sum]: [&mut [f32]; 3],
) {
    forward(p, [m, eps], [&mut *x, &mut *kl]);
    let (width, beside) = (p.width as usize, p.beside as usize);
    for b in 0..p.batch as usize {
        x[b * (width + beside) + width..][..beside].copy_from_slice(&h[b * beside..][..beside]);
        sum[b] = before[b] + kl[b];
    }
}

/// dm and dh of dx = \[dz, dh\].
pub fn input_gradient(p: &LatentParams, [m, eps, dx, dkl]: [&[f32]; 4], [dm, dh]: [&mut [f32]; 2]) {
    gradient(p, [m, eps, dx, dkl], [dm]);
    let (width, beside) = (p.width as usize, p.beside as usize);
    for b in 0..p.batch as usize {
        dh[b * beside..][..beside].copy_from_slice(&dx[b * (width + beside) + width..][..beside]);
    }
}
