//! Gaussian filterbanks. Shaders: `shaders/filterbank/filterbank.wgsl`, `shaders/filterbank/filterbank_gradient.wgsl`;
//! the fused reads and writes (`ops/attention/cpu.rs`) use the same rows.
//!
//! p \[B, 5\], FX \[B, N, W\], FY \[B, N, H\], gamma \[B, 1\].

use super::params::FilterbankParams;
use crate::cpu::math::exp;
use crate::cpu::simd::{Block, LANES, blocks, spans, sum, total, update, vectorize};

/// Limit of centres and distances, in pixels: far outside any image, but its square fits single precision.
const FAR: f32 = 1e9;
/// Limit of 1 / sigma^2; such a filter selects one pixel.
const SHARP: f32 = 1e18;

/// The filter grid of an image, computed from its five parameters.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Grid {
    /// N.
    filters: usize,
    /// gX, gY: the grid's centre, in pixels counted from 1.
    centre: [f32; 2],
    /// (A + 1) / 2, (B + 1) / 2.
    scale: [f32; 2],
    /// Distance between neighbouring filters in pixels.
    delta: f32,
    /// 1 / (2 sigma^2).
    sharpness: f32,
    pub(in crate::ops) gamma: f32,
}

/// The gradient of a grid, as partial sums in lanes.
#[derive(Default)]
pub(in crate::ops) struct GridGradient {
    centre: [Block; 2],
    delta: Block,
    log_variance: Block,
}

/// Indices of sixteen pixels, counted from 1, as in the paper; `first` is counted from 0.
#[inline(always)]
fn pixels(first: usize) -> Block {
    std::array::from_fn(|lane| first as f32 + (lane + 1) as f32)
}

impl Grid {
    #[inline(always)]
    pub(in crate::ops) fn new(p: &[f32], filters: usize, (height, width): (usize, usize)) -> Grid {
        let scale = [(width as f32 + 1.0) / 2.0, (height as f32 + 1.0) / 2.0];
        let steps = filters.max(2) as f32 - 1.0;
        let apart = (height.max(width) as f32 - 1.0) / steps;
        Grid {
            filters,
            centre: [
                (scale[0] * (p[0] + 1.0)).clamp(-FAR, FAR),
                (scale[1] * (p[1] + 1.0)).clamp(-FAR, FAR),
            ],
            scale,
            // In an image of one pixel `apart` is 0; clamping prevents 0 times infinity.
            delta: (apart * exp(p[3]).clamp(0.0, FAR)).clamp(0.0, FAR),
            sharpness: 0.5 * exp(-p[2]).clamp(0.0, SHARP),
            gamma: exp(p[4]),
        }
    }

    /// i - N / 2 - 1/2 for i = 1..N, here 0..N.
    #[inline(always)]
    fn offset(&self, i: usize) -> f32 {
        i as f32 - 0.5 * (self.filters as f32 - 1.0)
    }

    /// mu_i and the nearest pixel a*, along `axis` (0: x, 1: y) of `length` pixels.
    #[inline(always)]
    fn middle(&self, axis: usize, i: usize, length: usize) -> (f32, f32) {
        let mu = (self.centre[axis] + self.offset(i) * self.delta).clamp(-FAR, FAR);
        (mu, mu.round_ties_even().clamp(1.0, length as f32))
    }

    /// The filters along `axis`: \[N, length\].
    #[inline(always)]
    pub(in crate::ops) fn rows(&self, axis: usize, f: &mut [f32], length: usize) {
        for (i, row) in f.chunks_exact_mut(length).enumerate() {
            let (mu, nearest) = self.middle(axis, i, length);
            let mut lanes = [0.0; LANES];
            for (first, new) in spans(length) {
                let (a, mut f) = (pixels(first), [0.0; LANES]);
                for l in 0..LANES {
                    let far = (a[l] - nearest) * (a[l] + nearest - 2.0 * mu);
                    f[l] = exp(-far * self.sharpness);
                    lanes[l] += if new.contains(&l) { f[l] } else { 0.0 };
                }
                match row[first..].first_chunk_mut() {
                    Some(block) => *block = f,
                    None => row.copy_from_slice(&f[..length]),
                }
            }
            // The total is at least 1, the term of the nearest pixel.
            let scale = 1.0 / total(lanes);
            update(
                row,
                [],
                #[inline(always)]
                move |f, []| f * scale,
            );
        }
    }

    /// Adds to the grid's gradient the part that comes from the gradient `df` of the filters `f` along `axis`.
    #[inline(always)]
    pub(in crate::ops) fn rows_gradient(
        &self,
        (axis, length): (usize, usize),
        (f, df): (&[f32], &[f32]),
        to: &mut GridGradient,
    ) {
        let rows = f.chunks_exact(length).zip(df.chunks_exact(length));
        for (i, (f, df)) in rows.enumerate() {
            let (mu, nearest) = self.middle(axis, i, length);
            let offset = self.offset(i);
            let mean = sum(
                [f, df],
                #[inline(always)]
                |[f, df]| f * df,
            );
            blocks(
                [f, df],
                #[inline(always)]
                |first, new, [f, df]| {
                    let a = pixels(first);
                    for l in 0..LANES {
                        let f = if new.contains(&l) { f[l] } else { 0.0 };
                        let away = f * (df[l] - mean) * (a[l] - nearest);
                        to.centre[axis][l] += away;
                        to.delta[l] += offset * away;
                        to.log_variance[l] += away * (a[l] + nearest - 2.0 * mu);
                    }
                },
            );
        }
    }

    /// The gradient of the five parameters.
    #[inline(always)]
    pub(in crate::ops) fn parameters(&self, g: &GridGradient, dlog_gamma: f32, dp: &mut [f32]) {
        let dmu = 2.0 * self.sharpness;
        dp[0] = self.scale[0] * dmu * total(g.centre[0]);
        dp[1] = self.scale[1] * dmu * total(g.centre[1]);
        dp[2] = self.sharpness * total(g.log_variance);
        dp[3] = self.delta * dmu * total(g.delta);
        dp[4] = dlog_gamma;
    }
}

/// Computes FX, FY and gamma.
pub fn forward(q: &FilterbankParams, [p]: [&[f32]; 1], [fx, fy, gamma]: [&mut [f32]; 3]) {
    let [n, height, width] = [q.filters, q.height, q.width].map(|n| n as usize);
    let images = fx.chunks_exact_mut(n * width).zip(fy.chunks_exact_mut(n * height));
    for (((fx, fy), gamma), p) in images.zip(gamma).zip(p.chunks_exact(5)) {
        vectorize(
            #[inline(always)]
            || {
                let grid = Grid::new(p, n, (height, width));
                grid.rows(0, fx, width);
                grid.rows(1, fy, height);
                *gamma = grid.gamma;
            },
        );
    }
}

/// Computes dp.
pub fn gradient(
    q: &FilterbankParams,
    [p, fx, fy, dfx, dfy, dgamma]: [&[f32]; 6],
    [dp]: [&mut [f32]; 1],
) {
    let [n, height, width] = [q.filters, q.height, q.width].map(|n| n as usize);
    for (image, (dp, p)) in dp.chunks_exact_mut(5).zip(p.chunks_exact(5)).enumerate() {
        vectorize(
            #[inline(always)]
            || {
                let grid = Grid::new(p, n, (height, width));
                let mut to = GridGradient::default();
                let x = image * n * width..(image + 1) * n * width;
                let y = image * n * height..(image + 1) * n * height;
                grid.rows_gradient((0, width), (&fx[x.clone()], &dfx[x]), &mut to);
                grid.rows_gradient((1, height), (&fy[y.clone()], &dfy[y]), &mut to);
                grid.parameters(&to, grid.gamma * dgamma[image], dp);
            },
        );
    }
}
