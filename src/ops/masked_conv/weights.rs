//! The weights of a launch, in the order in which its many small products read them.
//!
//! A kernel that multiplies block after block with the same weights would have each product pack them anew
//! (`gemm/mod.rs`). Here they are packed once, each run of columns with its own terms (`ops/masked_conv/window.rs`).
//!
//! Shapes: B \[terms, columns\].

use std::ops::Range;

use super::window::Columns;
use crate::cpu::gemm::{
    Activation, Gemm, Mat, Right, Scratch, gemm_on_this_thread, pack, packed_len, packs,
};

thread_local! {
    static WEIGHTS: Scratch = const { Scratch::new() };
}

/// w \[taps, inputs, outputs\] as a B \[taps * outputs, inputs\], the last tap first: matrices one above
/// another.
pub(crate) fn turned(
    w: &[f32],
    taps: usize,
    (inputs, outputs): (usize, usize),
) -> Vec<(Mat<'_>, usize)> {
    let tap = |t| Mat { data: &w[t * inputs * outputs..], row_stride: 1, col_stride: outputs };
    (0..taps).rev().map(|t| (tap(t), outputs)).collect()
}

/// A matrix B, each of whose runs of columns has its own terms.
pub(crate) struct Weights<'a>(Vec<Part<'a>>);

/// One range of terms of a run.
struct Part<'a> {
    columns: Range<usize>,
    terms: Range<usize>,
    /// Not the first of its run.
    add: bool,
    b: Right<'a>,
}

/// The A of a product, and where its C goes.
pub(crate) struct Rows<'a> {
    /// Number of rows.
    pub count: usize,
    /// \[count, terms\], rows `depth` apart.
    pub a: &'a [f32],
    /// From row to row of A.
    pub depth: usize,
    /// From row to row of C.
    pub stride: usize,
}

impl<'a> Weights<'a> {
    /// A row-major B as it lies.
    pub fn lying(b: &'a [f32], columns: usize, runs: &[Columns]) -> Weights<'a> {
        Weights::new(runs, |terms, run| {
            Mat::row_major(&b[terms.start * columns + run.start..], columns).into()
        })
    }

    fn new(
        runs: &[Columns],
        mut b: impl FnMut(&Range<usize>, &Range<usize>) -> Right<'a>,
    ) -> Weights<'a> {
        let mut parts = Vec::new();
        for Columns { columns, terms } in runs {
            for (i, terms) in terms.iter().enumerate() {
                let (b, columns, terms) = (b(terms, columns), columns.clone(), terms.clone());
                parts.push(Part { columns, terms, add: i > 0, b });
            }
        }
        Weights(parts)
    }

    /// C = activation(A B + bias). A run with several ranges of terms goes without bias and activation.
    pub fn multiply(
        &self,
        rows: &Rows,
        (bias, activation): (Option<&[f32]>, Activation),
        c: &mut [f32],
    ) {
        for Part { columns, terms, add, b } in &self.0 {
            let product = Gemm {
                m: rows.count,
                n: columns.len(),
                k: terms.len(),
                a: Mat::row_major(&rows.a[terms.start..], rows.depth),
                b: *b,
                bias: bias.map(|bias| &bias[columns.clone()]),
                activation,
                accumulate: *add,
            };
            gemm_on_this_thread(&product, &mut c[columns.start..], rows.stride);
        }
    }
}

/// Calls `f` with the weights whose B is the matrices of `stack` (with their numbers of rows), one above
/// another.
pub(crate) fn with_weights<R>(
    stack: &[(Mat, usize)],
    columns: usize,
    runs: &[Columns],
    f: impl FnOnce(&Weights) -> R,
) -> R {
    let depth: usize = stack.iter().map(|(_, rows)| rows).sum();
    let packed = packs(depth, columns);
    if let ([(b, _)], false) = (stack, packed)
        && (b.row_stride, b.col_stride) == (columns, 1)
    {
        return f(&Weights::lying(b.data, columns, runs));
    }
    let len = |terms: &Range<usize>, run: &Range<usize>| packed_len(terms.len(), run.len());
    let parts = runs.iter().flat_map(|c| c.terms.iter().map(move |t| len(t, &c.columns)));
    let size = if packed { parts.sum() } else { depth * columns };
    WEIGHTS.with(|scratch| {
        scratch.slice(size, |mut rest| {
            if !packed {
                copy(stack, columns, rest);
                return f(&Weights::lying(rest, columns, runs));
            }
            f(&Weights::new(runs, |terms, run| {
                let (to, left) = std::mem::take(&mut rest).split_at_mut(len(terms, run));
                rest = left;
                pack(&cut(stack, terms, run.start), run.len(), to).into()
            }))
        })
    })
}

/// Rows `terms` of a stack of matrices, from a column on.
fn cut<'a>(
    stack: &[(Mat<'a>, usize)],
    terms: &Range<usize>,
    column: usize,
) -> Vec<(Mat<'a>, usize)> {
    let mut top = 0;
    let mut parts = Vec::new();
    for &(b, rows) in stack {
        let (from, to) = (terms.start.max(top), terms.end.min(top + rows));
        if from < to {
            let at = (from - top) * b.row_stride + column * b.col_stride;
            parts.push((Mat { data: &b.data[at..], ..b }, to - from));
        }
        top += rows;
    }
    parts
}

/// The stack as one row-major matrix.
fn copy(stack: &[(Mat, usize)], columns: usize, to: &mut [f32]) {
    let rows = stack.iter().flat_map(|&(b, rows)| (0..rows).map(move |row| (b, row)));
    for (to, (b, row)) in to.chunks_exact_mut(columns).zip(rows) {
        for (column, to) in to.iter_mut().enumerate() {
            *to = b.data[row * b.row_stride + column * b.col_stride];
        }
    }
}
