//! C = (or +=) D_1^T X_1 + D_2^T X_2 + ...: the gradient of a weight that is used many times.
//!
//! Each use has few rows. Its product alone would read and write all of C, which comes from L3 or memory, for a short
//! sum. Here the rows of several uses are concatenated in the packed panels. The micro-kernel sees one longer sum, so
//! C is read and written once for all of them.

use super::blocking::{KC, Product, View, even};
use super::isa::Kernels;
use super::kernel::Tile;
use super::pack::Scratch;
use super::parallel::share;
use super::{Activation, span};

/// Largest total number of rows that [`gemm_sum`] accepts: one k-block.
pub const SUM_ROWS: usize = KC;
/// Floats in a block of X; it stays in L2.
const X_BLOCK: usize = 192 * 1024;

/// Micro-panels of D that are packed at a time: 48 floats of a row, three cache lines (AVX-512).
const PANELS: usize = 4;

thread_local! {
    static PACKED: Scratch = const { Scratch::new() };
}

/// C \[m, n\] = the sum of D^T X over `terms`, pairs of D \[k, m\] and X \[k, n\]; k may differ between pairs. With
/// `accumulate`, the sum is added to C. Runs on the threads of the current rayon pool. The result is bitwise identical
/// for any number of threads.
///
/// # Panics
/// If a slice does not fit its shape, or if all k add up to more than [`SUM_ROWS`].
#[track_caller]
pub fn gemm_sum(
    terms: &[(&[f32], &[f32])],
    (m, n): (usize, usize),
    accumulate: bool,
    c: &mut [f32],
) {
    let fits = m > 0 && n > 0 && span(m, n, n) == Some(c.len());
    assert!(fits, "gemm: C[{m}, {n}] of {} floats", c.len());
    for (d, x) in terms {
        let k = d.len() / m;
        let fits = span(k, m, m) == Some(d.len()) && span(k, n, n) == Some(x.len());
        assert!(fits, "gemm: D[k, {m}] and X[k, {n}] of {} and {} floats", d.len(), x.len());
    }
    let k: usize = terms.iter().map(|(d, _)| d.len() / m).sum();
    assert!(k <= SUM_ROWS, "gemm: a sum over {k} rows, of {SUM_ROWS} at most");
    if k == 0 {
        if !accumulate {
            c.fill(0.0);
        }
        return;
    }
    let kernels = Kernels::current();
    let view = |data: &[f32], columns| View {
        data: data.as_ptr(),
        stride: if columns { m } else { n },
        columns,
        panel: 0,
    };
    // For its sizes and C only: the operands come from `terms`.
    let whole = Product {
        m,
        n,
        k,
        a: view(terms[0].0, true),
        b: view(terms[0].1, false),
        c: c.as_mut_ptr(),
        c_stride: n,
        bias: std::ptr::null(),
        activation: Activation::None,
        accumulate,
    };
    let terms: Vec<Term> = terms
        .iter()
        .map(|(d, x)| Term { d: view(d, true), x: view(x, false), k: d.len() / m })
        .collect();
    share(kernels, &whole, &|i, m, j, n| {
        // SAFETY: each D is [k, m], each X [k, n] and C [m, n], as checked against the slices above, and all
        // k together are `whole.k`. This is a part of C that no other task has, and the processor has these
        // kernels' features.
        unsafe { add_up(kernels, &whole.part(i, m, j, n), &terms, (i, j)) }
    });
}

/// One use of the weight: D^T, X and their number of rows k.
struct Term {
    d: View,
    x: View,
    k: usize,
}

/// Computes the part `p` of C, whose upper left corner is (top, left), on this thread.
///
/// # Safety
/// All rows of D, from column `top` on m columns, and of X, from column `left` on n columns, can be read;
/// their numbers add up to k > 0. C can be read and written, by no other thread meanwhile. The processor has
/// the kernels' features.
unsafe fn add_up(kernels: &Kernels, p: &Product, terms: &[Term], (top, left): (usize, usize)) {
    let nr = 2 * kernels.lanes;
    let width = kernels.mr.next_multiple_of(kernels.lanes);
    let nc_most = (X_BLOCK / p.k / nr * nr).max(nr);
    let x_len = p.k * nc_most.min(p.n.next_multiple_of(nr));
    let panels: Vec<(usize, usize)> = even(p.m, kernels.mr).collect();
    PACKED.with(|packed| {
        // SAFETY: the rows of all terms, k together, fill the panels: those of at most `nc_most` columns of
        // the X, no more than all panels of n, in `x_len` floats; then at most `PANELS` micro-panels of the
        // D, of `mr` <= `width` columns each. There is a kernel for each `mr` <= MR and number of vectors;
        // tiles are inside C, which is m x n.
        packed.with(x_len + PANELS * p.k * width, |buffer| unsafe {
            let (x_block, d_panels) = (buffer, buffer.add(x_len));
            for jc in (0..p.n).step_by(nc_most) {
                let nc = nc_most.min(p.n - jc);
                for jr in (0..nc).step_by(nr) {
                    let mut to = x_block.add(jr * p.k);
                    for Term { x, k, .. } in terms {
                        let from = x.at(0, left + jc + jr);
                        (kernels.pack_b_rows)(from.data, from.stride, *k, nr.min(nc - jr), to);
                        to = to.add(k * nr);
                    }
                }
                for panels in panels.chunks(PANELS) {
                    let mut to = d_panels;
                    for Term { d, k, .. } in terms {
                        let from = (d.at(top + panels[0].0, 0).data, d.stride);
                        (kernels.pack_a_columns)(from, *k, panels, to, (width, p.k * width));
                        to = to.add(k * width);
                    }
                    for (i, &(ir, mr)) in panels.iter().enumerate() {
                        for jr in (0..nc).step_by(nr) {
                            let cols = nr.min(nc - jr);
                            let part = usize::from(!cols.is_multiple_of(kernels.lanes));
                            let x = x_block.add(jr * p.k);
                            kernels.tiles[1][part][cols.div_ceil(kernels.lanes) - 1][mr - 1](
                                &Tile {
                                    a: d_panels.add(i * p.k * width),
                                    a_stride: width,
                                    b: x,
                                    b_stride: nr,
                                    c: p.c.add(ir * p.c_stride + jc + jr),
                                    c_stride: p.c_stride,
                                    k: p.k,
                                    cols,
                                    add: p.accumulate,
                                    bias: std::ptr::null(),
                                    ahead: (x, 0),
                                },
                            );
                        }
                    }
                }
            }
        });
    });
}
