//! One step of an LSTM. Shaders: `shaders/lstm_cell.wgsl`, `shaders/lstm_cell_gradient.wgsl`.
//!
//! The product is written where the gates belong, and they are finished there row by row. Here that
//! is as good as fusing them tile by tile: a row of sums is still in L2.
//!
//! x \[B, k\], w \[4h, k\], b \[4h\] or \[B, 4h\], h, c \[B, h\], gates, dz \[B, 4h\].

use rayon::prelude::*;

use super::gemm::{Activation, Gemm, Mat, gemm};
use super::masked_conv::matrix;
use super::math::{sigmoid, tanh};
use super::simd::vectorize;
use crate::ops::lstm_cell::Params;

/// Gates of a task.
const CHUNK: usize = 16 * 1024;

/// Rows of a task.
fn rows(hidden: usize) -> usize {
    (CHUNK / (4 * hidden)).max(1)
}

/// h', c' and gates.
pub fn forward(p: &Params, [x, w, b, c]: [&[f32]; 4], [h, next, gates]: [&mut [f32]; 3]) {
    let (n, depth) = (p.hidden as usize, p.depth as usize);
    if h.is_empty() {
        return;
    }
    let known = p.bias_stride != 0;
    if known {
        gates.copy_from_slice(b);
    }
    let product = Gemm {
        m: p.batch as usize,
        n: 4 * n,
        k: depth,
        a: matrix(x, depth),
        b: Mat { data: w, row_stride: 1, col_stride: depth },
        bias: (!known).then_some(b),
        activation: Activation::None,
        accumulate: known,
    };
    gemm(&product, gates, 4 * n);
    let chunk = rows(n) * n;
    let maps = h.par_chunks_mut(chunk).zip(next.par_chunks_mut(chunk));
    let maps = maps.zip(gates.par_chunks_mut(4 * chunk)).zip(c.par_chunks(chunk));
    maps.for_each(|(((h, next), gates), c)| {
        vectorize(
            #[inline(always)]
            || {
                let rows = h.chunks_exact_mut(n).zip(next.chunks_exact_mut(n));
                let rows = rows.zip(gates.chunks_exact_mut(4 * n)).zip(c.chunks_exact(n));
                for (((h, next), gates), c) in rows {
                    let (o, rest) = gates.split_at_mut(n);
                    let (f, rest) = rest.split_at_mut(n);
                    let (i, g) = rest.split_at_mut(n);
                    for j in 0..n {
                        o[j] = sigmoid(o[j]);
                        f[j] = sigmoid(f[j]);
                        i[j] = sigmoid(i[j]);
                        g[j] = tanh(g[j]);
                        next[j] = f[j] * c[j] + i[j] * g[j];
                        h[j] = o[j] * tanh(next[j]);
                    }
                }
            },
        );
    });
}

/// dz and dc.
pub fn gradient(p: &Params, [dh, dnext, c, next, gates]: [&[f32]; 5], [dz, dc]: [&mut [f32]; 2]) {
    let n = p.hidden as usize;
    if dc.is_empty() {
        return;
    }
    let chunk = rows(n) * n;
    let rows = dz.par_chunks_mut(4 * chunk).zip(dc.par_chunks_mut(chunk));
    rows.enumerate().for_each(|(task, (dz, dc))| {
        vectorize(
            #[inline(always)]
            || {
                let rows = dz.chunks_exact_mut(4 * n).zip(dc.chunks_exact_mut(n));
                for (row, (dz, dc)) in rows.enumerate() {
                    let at = task * chunk + row * n;
                    let gate = |k: usize| &gates[4 * at + k * n..][..n];
                    let (o, f, i, g) = (gate(0), gate(1), gate(2), gate(3));
                    let [dh, dnext, c, next] = [dh, dnext, c, next].map(|x| &x[at..][..n]);
                    let (d_o, rest) = dz.split_at_mut(n);
                    let (d_f, rest) = rest.split_at_mut(n);
                    let (d_i, d_g) = rest.split_at_mut(n);
                    for j in 0..n {
                        let t = tanh(next[j]);
                        let d = dnext[j] + dh[j] * o[j] * (1.0 - t * t);
                        d_o[j] = dh[j] * t * o[j] * (1.0 - o[j]);
                        d_f[j] = d * c[j] * f[j] * (1.0 - f[j]);
                        d_i[j] = d * g[j] * i[j] * (1.0 - i[j]);
                        d_g[j] = d * i[j] * (1.0 - g[j] * g[j]);
                        dc[j] = d * f[j];
                    }
                }
            },
        );
    });
}
