//! Packs the weights of a launch for its many small matrix products.
//!
//! A launch multiplies many blocks by the same weights, and each product would pack them again
//! (`gemm/mod.rs`). Here they are packed once, separately for each run of columns (`ops/masked_conv/window.rs`).
//!
//! Shapes: B \[terms, columns\].

use std::ops::Range;

use smallvec::SmallVec;

use super::window::Columns;
use crate::cpu::gemm::{
    Activation, Gemm, Mat, Right, Scratch, gemm_on_this_thread, pack, packed_len, packs,
};

thread_local! {
    static WEIGHTS: Scratch = const { Scratch::new() };
}

/// Views w \[taps, inputs, outputs\] as a B \[taps * outputs, inputs\] with the last tap first: a stack of (matrix,
/// number of rows), one below another.
pub(crate) fn turned(
    w: &[f32],
    taps: usize,
    (inputs, outputs): (usize, usize),
) -> Vec<(Mat<'_>, usize)> {
    let tap = |t| Mat { data: &w[t * inputs * outputs..], row_stride: 1, col_stride: outputs };
    (0..taps).rev().map(|t| (tap(t), outputs)).collect()
}

/// A right operand B, divided into runs of columns that each have their own terms.
pub(crate) struct Weights<'a>(SmallVec<[Part<'a>; 1]>);

/// One range of terms of a run of columns.
struct Part<'a> {
    columns: Range<usize>,
    terms: Range<usize>,
    /// Whether to add to C, because it is not the first range of its run.
    add: bool,
    b: Right<'a>,
}

/// The left operand A of a product, and the stride of C.
pub(crate) struct Rows<'a> {
    /// Number of rows.
    pub count: usize,
    /// A \[count, terms\].
    pub a: &'a [f32],
    /// Distance between rows of A.
    pub depth: usize,
    /// Distance between rows of C.
    pub stride: usize,
}

impl<'a> Weights<'a> {
    /// An unpacked, row-major B.
    pub fn lying(b: &'a [f32], columns: usize, runs: &[Columns]) -> Weights<'a> {
        Weights::new(runs, |terms, run| {
            Mat::row_major(&b[terms.start * columns + run.start..], columns).into()
        })
    }

    fn new(
        runs: &[Columns],
        mut b: impl FnMut(&Range<usize>, &Range<usize>) -> Right<'a>,
    ) -> Weights<'a> {
        let mut parts = SmallVec::new();
        for Columns { columns, terms } in runs {
            for (i, terms) in terms.iter().enumerate() {
                let (b, columns, terms) = (b(terms, columns), columns.clone(), terms.clone());
                parts.push(Part { columns, terms, add: i > 0, b });
            }
        }
        Weights(parts)
    }

    /// C = activation(A B + bias). If a run has several ranges of terms, bias and activation are not allowed.
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

/// Calls `f` with the weights B that consist of the matrices in `stack` (with their numbers of rows), one below
/// another. They are packed if products benefit from it.
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

/// Rows `terms` of a stack of matrices, starting at a column.
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
