//! One time step of an LSTM. Shaders: `shaders/lstm_cell/lstm_cell.wgsl`, `shaders/lstm_cell/lstm_cell_gradient.wgsl`.
//!
//! The matrix product is written to `gates`; then the activations are applied in place, row by row. On the CPU this is
//! as fast as fusing them into the tiles, because a row is still in L2. `ops/lstm_scan/cpu.rs` uses the same arithmetic
//! for N units at a time.
//!
//! x \[B, k\], w \[4h, k\] or packed, b \[4h\] or \[B, 4h\], h, c \[B, h\], gates, dz \[B, 4h\].

use rayon::prelude::*;

use super::params::LstmCellParams;
use crate::cpu::gemm::{Activation, Gemm, Mat, Packed, Scratch, gemm};
use crate::cpu::math::{sigmoid, tanh};
use crate::cpu::simd::{update, vectorize};

thread_local! {
    static ROW: Scratch = const { Scratch::new() };
}

/// Gates per task.
const CHUNK: usize = 16 * 1024;

/// Rows per task.
fn rows(hidden: usize) -> usize {
    (CHUNK / (4 * hidden)).max(1)
}

/// N floats of `v` from index `at`.
#[inline(always)]
pub(in crate::ops) fn take<const N: usize>(v: &[f32], at: usize) -> [f32; N] {
    v[at..at + N].try_into().expect("N floats")
}

/// N units of the four gates o, f, i, g.
pub(in crate::ops) type Four<const N: usize> = [[f32; N]; 4];

/// Units j..j + N of the four gates, which are stacked o, f, i, g in a row \[4n\].
#[inline(always)]
pub(in crate::ops) fn four<const N: usize>(row: &[f32], (n, j): (usize, usize)) -> Four<N> {
    [take(row, j), take(row, n + j), take(row, 2 * n + j), take(row, 3 * n + j)]
}

/// Writes the values that [`four`] reads.
#[inline(always)]
pub(in crate::ops) fn put_four<const N: usize>(
    row: &mut [f32],
    (n, j): (usize, usize),
    values: &Four<N>,
) {
    for (gate, v) in values.iter().enumerate() {
        row[gate * n + j..][..N].copy_from_slice(v);
    }
}

/// Runs `$lanes::<N>` over `$n` units: sixteen at a time, then four, then one.
macro_rules! by_lanes {
    ($n:expr, |$j:ident| $lanes:ident($($argument:expr),*)) => {
        let mut $j = 0;
        while $j + 16 <= $n {
            $lanes::<16>($($argument),*);
            $j += 16;
        }
        while $j + 4 <= $n {
            $lanes::<4>($($argument),*);
            $j += 4;
        }
        while $j < $n {
            $lanes::<1>($($argument),*);
            $j += 1;
        }
    };
}
pub(in crate::ops) use by_lanes;

/// Applies the activations of the gates o, f, i (sigmoid) and g (tanh) to a row \[4n\]. In loops of their own, because
/// then no iteration waits for another; a loop that also computed c' and h' would be one long chain.
#[inline(always)]
pub(in crate::ops) fn activate(n: usize, gates: &mut [f32]) {
    let (ofi, g) = gates.split_at_mut(3 * n);
    update(ofi, [], |x, []| sigmoid(x));
    update(g, [], |x, []| tanh(x));
}

/// c' and h' of N units from the activated gates and c.
#[inline(always)]
pub(in crate::ops) fn state<const N: usize>([o, f, i, g]: Four<N>, c: [f32; N]) -> [[f32; N]; 2] {
    let (mut next, mut h) = ([0.0; N], [0.0; N]);
    for j in 0..N {
        next[j] = f[j] * c[j] + i[j] * g[j];
        h[j] = o[j] * tanh(next[j]);
    }
    [next, h]
}

/// Gradients of N units with respect to the gates before their activation and to c, from those of h' and c'.
#[inline(always)]
pub(in crate::ops) fn step_gradient<const N: usize>(
    [o, f, i, g]: Four<N>,
    (c, next): ([f32; N], [f32; N]),
    (dh, dnext): ([f32; N], [f32; N]),
) -> (Four<N>, [f32; N]) {
    let (mut d, mut dc) = ([[0.0; N]; 4], [0.0; N]);
    for j in 0..N {
        let t = tanh(next[j]);
        let dcell = dnext[j] + dh[j] * o[j] * (1.0 - t * t);
        d[0][j] = dh[j] * t * o[j] * (1.0 - o[j]);
        d[1][j] = dcell * c[j] * f[j] * (1.0 - f[j]);
        d[2][j] = dcell * g[j] * i[j] * (1.0 - i[j]);
        d[3][j] = dcell * i[j] * (1.0 - g[j] * g[j]);
        dc[j] = dcell * f[j];
    }
    (d, dc)
}

#[inline(always)]
fn forward_lanes<const N: usize>(
    (n, j): (usize, usize),
    (h, next): (&mut [f32], &mut [f32]),
    [gates, c]: [&[f32]; 2],
) {
    let [new, y] = state::<N>(four(gates, (n, j)), take(c, j));
    next[j..j + N].copy_from_slice(&new);
    h[j..j + N].copy_from_slice(&y);
}

#[inline(always)]
fn gradient_lanes<const N: usize>(
    (n, j): (usize, usize),
    [dh, c, next, gates]: [&[f32]; 4],
    (dz, dc): (&mut [f32], &mut [f32]),
) {
    let states = (take(c, j), take(next, j));
    let (d, before) = step_gradient::<N>(four(gates, (n, j)), states, (take(dh, j), take(dc, j)));
    put_four(dz, (n, j), &d);
    dc[j..j + N].copy_from_slice(&before);
}

/// Computes h', c' and the gates.
pub fn forward(p: &LstmCellParams, [x, w, b, c]: [&[f32]; 4], [h, next, gates]: [&mut [f32]; 3]) {
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
        a: Mat::row_major(x, depth),
        b: match p.panel as usize {
            0 => Mat { data: w, row_stride: 1, col_stride: depth }.into(),
            panel => Packed::new(w, (depth, 4 * n), panel).into(),
        },
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
                    activate(n, gates);
                    by_lanes!(n, |j| forward_lanes((n, j), (h, next), [gates, c]));
                }
            },
        );
    });
}

/// Computes dz, and dc from dc' in place.
pub fn gradient(
    p: &LstmCellParams,
    [dh, second, third, c, next, gates]: [&[f32]; 6],
    [dz, dc]: [&mut [f32]; 2],
) {
    let n = p.hidden as usize;
    if dc.is_empty() {
        return;
    }
    if p.later == 0 {
        dc.fill(0.0);
    }
    if p.parts > 1 {
        // A tape on the CPU adds the parts itself, so only tests reach this.
        let further = &[second, third][..p.parts as usize - 1];
        let whole = |i: usize| further.iter().fold(dh[i], |sum, part| sum + part[i]);
        let dh: Vec<f32> = (0..dh.len()).map(whole).collect();
        let one = LstmCellParams { parts: 1, later: 1, ..*p };
        return gradient(&one, [&dh, &dh, &dh, c, next, gates], [dz, dc]);
    }
    let chunk = rows(n) * n;
    let rows = dz.par_chunks_mut(4 * chunk).zip(dc.par_chunks_mut(chunk));
    rows.enumerate().for_each(|(task, (dz, dc))| {
        ROW.with(|row| {
            row.slice(4 * n, |near| {
                vectorize(
                    #[inline(always)]
                    || {
                        let rows = dz.chunks_exact_mut(4 * n).zip(dc.chunks_exact_mut(n));
                        for (row, (dz, dc)) in rows.enumerate() {
                            let at = task * chunk + row * n;
                            // Copy the row first: the prefetcher follows one run through memory, not four at once.
                            near.copy_from_slice(&gates[4 * at..][..4 * n]);
                            let gates = &*near;
                            let [dh, c, next] = [dh, c, next].map(|x| &x[at..][..n]);
                            by_lanes!(n, |j| gradient_lanes(
                                (n, j),
                                [dh, c, next, gates],
                                (dz, dc)
                            ));
                        }
                    },
                )
            })
        })
    });
}
