//! Right operands that are packed once and used by many products.

use rayon::prelude::*;

use super::blocking::{View, stays_in_l1};
use super::isa::Kernels;
use super::parallel::threads;
use super::{Mat, view};

/// Floats in a packing task.
const PACK_TASK: usize = 64 * 1024;

/// A B\[k, n\] in the order in which the micro-kernel reads it: panels of `panel` columns, one after another,
/// each row by row.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// `len(k, n, panel)` floats.
    data: &'a [f32],
    k: usize,
    n: usize,
    panel: usize,
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// Unpacked, in the layout that its strides describe.
    Plain(Mat<'a>),
    /// Packed by [`pack`].
    Packed(Packed<'a>),
}

impl<'a> From<Mat<'a>> for Right<'a> {
    #[inline]
    fn from(b: Mat<'a>) -> Right<'a> {
        Right::Plain(b)
    }
}

impl<'a> From<Packed<'a>> for Right<'a> {
    #[inline]
    fn from(b: Packed<'a>) -> Right<'a> {
        Right::Packed(b)
    }
}

/// Floats of a B\[k, n\] in panels of `panel` columns; `None` if the number overflows.
fn len(k: usize, n: usize, panel: usize) -> Option<usize> {
    k.checked_mul(n.checked_next_multiple_of(panel)?)
}

/// [`len`]; panics if the number overflows.
#[track_caller]
fn expect_len(k: usize, n: usize, panel: usize) -> usize {
    len(k, n, panel).unwrap_or_else(|| panic!("gemm: packed B[{k}, {n}] is larger than memory"))
}

impl<'a> Packed<'a> {
    /// Wraps floats that [`pack`] wrote for a B\[k, n\] in panels of `panel` columns ([`Packed::panel`]).
    ///
    /// # Panics
    /// If `data` has another length.
    #[track_caller]
    pub fn new(data: &'a [f32], (k, n): (usize, usize), panel: usize) -> Packed<'a> {
        assert!(
            panel > 0 && len(k, n, panel) == Some(data.len()),
            "gemm: packed B[{k}, {n}] in panels of {panel} columns has {} floats",
            data.len()
        );
        Packed { data, k, n, panel }
    }

    /// Columns in a panel; the number depends on the instruction set.
    pub fn panel(&self) -> usize {
        self.panel
    }

    /// The B\[k, n\] as an operand of these kernels. Panics if it was packed for others, or with another shape.
    #[track_caller]
    pub(super) fn view(&self, kernels: &Kernels, k: usize, n: usize) -> View {
        assert!(
            (self.k, self.n) == (k, n),
            "gemm: B[{k}, {n}] was packed as B[{}, {}]",
            self.k,
            self.n
        );
        assert!(
            self.panel == kernels.panel(),
            "gemm: B[{k}, {n}] was packed for another instruction set, in panels of {} columns instead of {}",
            self.panel,
            kernels.panel()
        );
        // No overflow: k floats for each of `panel` columns are part of `data`, if there are any columns.
        let stride = if n == 0 { 0 } else { k * self.panel };
        View { data: self.data.as_ptr(), stride, columns: false, panel: self.panel }
    }
}

/// Columns in a panel for the current instruction set.
pub(crate) fn panel() -> usize {
    Kernels::current().panel()
}

/// Length in floats of the packed B\[k, n\] that [`pack`] writes.
///
/// # Panics
/// If the length overflows.
#[track_caller]
pub fn packed_len(k: usize, n: usize) -> usize {
    expect_len(k, n, panel())
}

/// Whether a product of many rows would pack a contiguous B\[k, n\]. If so, it is worth packing once for many products
/// ([`pack`]).
pub(crate) fn packs(k: usize, n: usize) -> bool {
    n > 2 * panel() && !stays_in_l1(k, n, n)
}

/// Packs B\[k, n\] once for many products; zeros pad the last panel. B consists of the matrices in `stack`, given with
/// their numbers of rows, one below another. `out` must have [`packed_len`] floats.
///
/// # Panics
/// If a slice is too short for its shape, no stride of a matrix is 1, its rows or columns overlap, or `out` has
/// another length.
#[track_caller]
pub fn pack<'a>(stack: &[(Mat, usize)], n: usize, out: &'a mut [f32]) -> Packed<'a> {
    // Ask only once, so that length and layout are of the same instruction set.
    let kernels = Kernels::current();
    let nr = kernels.panel();
    let views: Vec<(View, usize)> =
        stack.iter().map(|&(b, rows)| (view("B", b, rows, n), rows)).collect();
    let rows = stack.iter().try_fold(0usize, |k, &(_, rows)| k.checked_add(rows));
    let k = rows.expect("gemm: a stack of more rows than fit memory");
    assert!(
        out.len() == expect_len(k, n, nr),
        "gemm: packed B[{k}, {n}] in panels of {nr} columns has {} floats",
        out.len()
    );
    if out.is_empty() {
        return Packed::new(out, (k, n), nr);
    }
    let panels = PACK_TASK.div_ceil(k * nr);
    let pack_task = |(task, out): (usize, &mut [f32])| {
        for (i, panel) in out.chunks_exact_mut(k * nr).enumerate() {
            let first = (task * panels + i) * nr;
            let mut rest = panel;
            for &(view, rows) in &views {
                let (to, below) = rest.split_at_mut(rows * nr);
                let part = view.at(0, first);
                let pack = if view.columns { kernels.pack_b_columns } else { kernels.pack_b_rows };
                // SAFETY: the processor has these kernels' features. `view` checked that B\[rows, n\] is
                // inside its slice, and the columns from `first` < n on are in it; `to` has a panel's NR
                // floats for each of `rows`.
                unsafe { pack(part.data, part.stride, rows, (n - first).min(nr), to.as_mut_ptr()) }
                rest = below;
            }
        }
    };
    // No overflow: a panel is part of `out`, and `panels` of them are more than a task by one panel at most.
    let size = panels * k * nr;
    match threads() {
        1 => out.chunks_mut(size).enumerate().for_each(pack_task),
        _ => out.par_chunks_mut(size).enumerate().for_each(pack_task),
    }
    Packed { data: out, k, n, panel: nr }
}
