//! Packing: copies operands into the order in which the micro-kernel reads them, so that a block occupies few cache
//! lines and pages, whatever the strides of the matrix.
//!
//! B becomes panels of NR columns, each `[k][NR]`, padded with zeros after the last column. A micro-panel
//! of A (at most MR rows) keeps its form, `[row][k]` or `[k][row]`. The micro-kernel reads both, so A is copied but
//! never transposed.

use super::Activation;
use super::simd::Simd;
use crate::cpu::math;
use crate::cpu::pool::{LINE, Line};
use crate::cpu::simd::update;
use std::cell::Cell;

/// A thread's scratch memory. It grows to the largest request and lives as long as the thread.
pub(crate) struct Scratch(Cell<Vec<Line>>);

impl Scratch {
    /// Empty scratch memory.
    pub const fn new() -> Scratch {
        Scratch(Cell::new(Vec::new()))
    }

    /// Runs `f` with `len` floats of unspecified content, aligned to 64 bytes. Nested calls on the same thread get
    /// separate memory.
    pub fn slice<R>(&self, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
        let mut lines = self.0.take();
        if lines.len() < len.div_ceil(LINE) {
            lines.clear();
            lines.resize(len.div_ceil(LINE), Line::default());
        }
        let result = f(&mut bytemuck::cast_slice_mut(&mut lines)[..len]);
        self.0.set(lines);
        result
    }

    /// [`Scratch::slice`] by pointer: `len` floats can be read and written.
    pub fn with<R>(&self, len: usize, f: impl FnOnce(*mut f32) -> R) -> R {
        self.slice(len, |floats| f(floats.as_mut_ptr()))
    }
}

/// Packs B[k, n] with contiguous rows into panels of `2 * LANES` columns.
///
/// # Safety
/// The processor has the instruction set; k rows of n floats, `stride` apart, can be read from `src`, and k
/// floats for each column of all panels written to `dst`.
#[inline(always)]
pub(super) unsafe fn b_rows<S: Simd>(
    src: *const f32,
    stride: usize,
    k: usize,
    n: usize,
    dst: *mut f32,
) {
    let nr = 2 * S::LANES;
    // SAFETY: of row p < k, columns j..j + `cols` <= n are read, those of the second vector only if there are
    // any; panel j / NR, which begins at j k, has its row p at p NR. The caller guarantees all of them.
    unsafe {
        // Eight rows at a time: long enough runs in every panel, while rows are read in order.
        for top in (0..k).step_by(8) {
            let rows = top..k.min(top + 8);
            for j in (0..n).step_by(nr) {
                let cols = nr.min(n - j);
                let (first, second) = (cols.min(S::LANES), cols.saturating_sub(S::LANES));
                for p in rows.clone() {
                    let (src, dst) = (src.add(p * stride + j), dst.add(j * k + p * nr));
                    let (x, y) = if cols == nr {
                        (S::load(src), S::load(src.add(S::LANES)))
                    } else {
                        (S::load_part(src, first), S::load_part(src.wrapping_add(first), second))
                    };
                    S::store(dst, x);
                    S::store(dst.add(S::LANES), y);
                }
            }
        }
    }
}

/// Packs B[k, n] with contiguous columns (a transposed matrix) into panels of `2 * LANES` columns.
///
/// # Safety
/// The processor has the instruction set; n columns of k floats, `stride` apart, can be read from `src`, and
/// k floats for each column of all panels written to `dst`.
#[inline(always)]
pub(super) unsafe fn b_columns<S: Simd>(
    src: *const f32,
    stride: usize,
    k: usize,
    n: usize,
    dst: *mut f32,
) {
    let nr = 2 * S::LANES;
    // SAFETY: of the columns from j on, `rows` are below n, and of each `count` floats from p on are below k.
    // They go to rows p.. of panel j / NR, the half with column j. The caller guarantees all of them.
    unsafe {
        for j in (0..n.next_multiple_of(nr)).step_by(S::LANES) {
            let rows = S::LANES.min(n.saturating_sub(j));
            let dst = dst.add(j / nr * nr * k + j % nr);
            for p in (0..k).step_by(S::LANES) {
                let count = S::LANES.min(k - p);
                let src = src.wrapping_add(j * stride + p);
                S::transpose(src, stride, rows, count, dst.add(p * nr), nr);
            }
        }
    }
}

/// Copies `count` runs of `len` floats, `src_stride` apart, to runs `dst_stride` apart, where `dst_stride >= len`.
/// Whole vectors are written, so the gap after each run of `dst` may be overwritten.
///
/// # Safety
/// The processor has the instruction set; the runs can be read from `src`, and from `dst` on each run's
/// length, rounded up to whole vectors, can be written.
#[inline(always)]
pub(super) unsafe fn a_runs<S: Simd>(
    src: *const f32,
    src_stride: usize,
    count: usize,
    len: usize,
    dst: *mut f32,
    dst_stride: usize,
) {
    // SAFETY: elements i < `len` of runs r < `count` are read, and the last vector of each is written whole.
    unsafe {
        for r in 0..count {
            let (src, dst) = (src.add(r * src_stride), dst.add(r * dst_stride));
            let mut i = 0;
            while i + S::LANES <= len {
                S::store(dst.add(i), S::load(src.add(i)));
                i += S::LANES;
            }
            if i < len {
                S::store(dst.add(i), S::load_part(src.add(i), len - i));
            }
        }
    }
}

/// Prefetches the first 64 floats of `count` runs; the hardware prefetcher does not anticipate the next run if runs
/// are short.
#[inline(always)]
pub(super) fn prefetch_runs<S: Simd>(src: *const f32, stride: usize, count: usize, len: usize) {
    for r in 0..count {
        for i in (0..len.min(64)).step_by(16) {
            S::prefetch(src.wrapping_add(r * stride + i));
        }
    }
}

/// Applies the activation to a `rows` x `cols` part of C.
///
/// # Safety
/// The rows, `stride` apart from `c` on, can be read and written, and no other thread does meanwhile.
#[inline(always)]
pub(super) unsafe fn activate(
    c: *mut f32,
    stride: usize,
    rows: usize,
    cols: usize,
    activation: Activation,
) {
    for i in 0..rows {
        // SAFETY: row i of the part, as the caller guarantees.
        let row = unsafe { std::slice::from_raw_parts_mut(c.add(i * stride), cols) };
        match activation {
            Activation::None => {}
            Activation::Tanh => map(row, math::tanh),
            Activation::Sigmoid => map(row, math::sigmoid),
            Activation::Relu => map(row, |x| if x < 0.0 { 0.0 } else { x }),
        }
    }
}

/// Applies `f` to a row of C.
#[inline(always)]
fn map(row: &mut [f32], f: impl Fn(f32) -> f32 + Copy + 'static) {
    update(
        row,
        [],
        #[inline(always)]
        move |y, []| f(y),
    );
}
