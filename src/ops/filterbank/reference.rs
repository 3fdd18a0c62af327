//! Gaussian filterbanks. DRAW, equations 19 to 26, for an image of width A and height B:
//!
//! ```text
//! (g~X, g~Y, log sigma^2, log delta~, log gamma) = p
//! gX = (A + 1) / 2 (g~X + 1),  gY = (B + 1) / 2 (g~Y + 1)
//! delta = (max(A, B) - 1) / (N - 1) delta~
//! mu_i = g + (i - N / 2 - 1/2) delta,   i = 1..N, pixels a = 1..A: both count from ONE
//! F[i, a] = exp(-(a - mu_i)^2 / 2 sigma^2) / Z_i
//! ```
//!
//! Shapes: p, dp \[B, 5\], FX \[B, N, A\], FY \[B, N, B\], gamma \[B, 1\].

use super::params::FilterbankParams;

/// Limit of centres and distances, in pixels. A filter this far away selects the nearest pixel or weights all alike.
const FAR: f64 = 1e9;
/// Lower limit of the variance. A filter this narrow selects one pixel.
const NARROW: f64 = 1e-18;

/// An image's attention parameters, as the equations name them.
pub(in crate::ops) struct Attention {
    /// N.
    filters: usize,
    /// A and B.
    size: [usize; 2],
    /// gX and gY.
    centre: [f64; 2],
    delta: f64,
    variance: f64,
    pub(in crate::ops) gamma: f64,
}

impl Attention {
    /// From the five parameters p and the size \[width, height\] of the image.
    pub(in crate::ops) fn new(p: &[f32], filters: usize, size: [usize; 2]) -> Attention {
        let centre = |axis: usize| {
            let centre = (size[axis] as f64 + 1.0) / 2.0 * (f64::from(p[axis]) + 1.0);
            centre.clamp(-FAR, FAR)
        };
        // With one filter delta has no effect, and N - 1 counts as 1.
        let apart = (size[0].max(size[1]) as f64 - 1.0) / (filters.max(2) as f64 - 1.0);
        Attention {
            filters,
            size,
            centre: [centre(0), centre(1)],
            delta: apart * f64::from(p[3]).exp().clamp(0.0, FAR),
            variance: f64::from(p[2]).exp().clamp(NARROW, f64::INFINITY),
            gamma: f64::from(p[4]).exp(),
        }
    }

    /// i - N / 2 - 1/2, i from 1.
    fn offset(&self, i: usize) -> f64 {
        i as f64 - self.filters as f64 / 2.0 - 0.5
    }

    /// a - mu_i along an axis (0: x, 1: y), i and a from 1.
    fn away(&self, axis: usize, i: usize, a: usize) -> f64 {
        a as f64 - (self.centre[axis] + self.offset(i) * self.delta)
    }

    /// F along an axis, \[N, size\]. A row is a softmax, so its largest exponent can be subtracted; then the sum
    /// is at least 1, however far away the filter is.
    pub(in crate::ops) fn filters(&self, axis: usize) -> Vec<f64> {
        let mut f = Vec::new();
        for i in 1..=self.filters {
            let exponents: Vec<f64> = (1..=self.size[axis])
                .map(|a| -self.away(axis, i, a).powi(2) / (2.0 * self.variance))
                .collect();
            let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers = exponents.iter().map(|e| (e - largest).exp());
            let sum: f64 = powers.clone().sum();
            f.extend(powers.map(|power| power / sum));
        }
        f
    }

    /// dp from the gradients of both filterbanks and of log gamma. With e = -(a - mu)^2 / 2 sigma^2, de_a =
    /// F_a (dF_a - sum_b F_b dF_b), and de / dmu = (a - mu) / sigma^2, de / dlog sigma^2 = (a - mu)^2 / 2 sigma^2.
    pub(in crate::ops) fn gradient(&self, df: [&[f64]; 2], dlog_gamma: f64) -> [f32; 5] {
        let (mut dcentre, mut ddelta, mut dlog_variance) = ([0.0; 2], 0.0, 0.0);
        for axis in [0, 1] {
            let (f, length) = (self.filters(axis), self.size[axis]);
            for i in 1..=self.filters {
                let row = (i - 1) * length..i * length;
                let (f, df) = (&f[row.clone()], &df[axis][row]);
                let mean: f64 = f.iter().zip(df).map(|(f, df)| f * df).sum();
                for a in 1..=length {
                    let de = f[a - 1] * (df[a - 1] - mean);
                    let away = self.away(axis, i, a);
                    let dmu = de * away / self.variance;
                    dcentre[axis] += dmu;
                    ddelta += dmu * self.offset(i);
                    dlog_variance += de * away * away / (2.0 * self.variance);
                }
            }
        }
        let scale = |axis: usize| (self.size[axis] as f64 + 1.0) / 2.0;
        [
            (scale(0) * dcentre[0]) as f32,
            (scale(1) * dcentre[1]) as f32,
            dlog_variance as f32,
            (self.delta * ddelta) as f32,
            dlog_gamma as f32,
        ]
    }
}

/// FX, FY and gamma.
pub fn forward(q: &FilterbankParams, [p]: [&[f32]; 1], [fx, fy, gamma]: [&mut [f32]; 3]) {
    let [n, height, width] = [q.filters, q.height, q.width].map(|n| n as usize);
    for b in 0..q.batch as usize {
        let attention = Attention::new(&p[5 * b..][..5], n, [width, height]);
        for (at, f) in attention.filters(0).into_iter().enumerate() {
            fx[b * n * width + at] = f as f32;
        }
        for (at, f) in attention.filters(1).into_iter().enumerate() {
            fy[b * n * height + at] = f as f32;
        }
        gamma[b] = attention.gamma as f32;
    }
}

/// dp. Recomputes FX and FY in f64.
pub fn gradient(
    q: &FilterbankParams,
    [p, _, _, dfx, dfy, dgamma]: [&[f32]; 6],
    [dp]: [&mut [f32]; 1],
) {
    let [n, height, width] = [q.filters, q.height, q.width].map(|n| n as usize);
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    for b in 0..q.batch as usize {
        let attention = Attention::new(&p[5 * b..][..5], n, [width, height]);
        let dfx = wide(&dfx[b * n * width..][..n * width]);
        let dfy = wide(&dfy[b * n * height..][..n * height]);
        // gamma = e^p4.
        let dlog_gamma = f64::from(dgamma[b]) * attention.gamma;
        dp[5 * b..][..5].copy_from_slice(&attention.gradient([&dfx, &dfy], dlog_gamma));
    }
}
