//! Products with an operand that is mostly zeros, such as binary images: only nonzero elements are multiplied.
//!
//! If A is sparse, C\[r, :\] is the sum of A\[r, p\] B\[p, :\] over the p with A\[r, p\] != 0. Each row of A is turned
//! into a list of its nonzero terms, one k-block at a time. Meanwhile panels of B stay in L1 and a piece of a row of C
//! in registers. The cost is proportional to the number of terms; a pass over A counts them first.
//!
//! If B is sparse, as in the gradient d^T x of a weight, the transposed product C^T = B^T A^T has a sparse left
//! operand. Panels are of A^T, and C^T is transposed when it is stored.
//!
//! The order of additions does not depend on the number of threads.

use super::Activation;
use super::blocking::{Product, View, even};
use super::isa::Kernels;
use super::pack::Scratch;
use super::parallel::{TASK_FLOPS, fork, threads};
use super::simd::Simd;
use crate::cpu::simd::vectorize;

/// Longest k-block. Its panel of B, 128 x 64 floats, fills a common L1 cache.
const BLOCK: usize = 128;
/// Distance between lists: room for a block and its padding; an odd number of cache lines.
const LIST: usize = BLOCK + 8;
/// Vectors of a row of C that are summed at a time.
const WIDTH: usize = 4;
/// Independent partial sums for each of these vectors, to hide the latency of the multiply-add (about four cycles).
const CHAINS: usize = 2;
/// Rows whose lists one task builds.
const LIST_ROWS: usize = 64;
/// Rows of the piece of C^T (128 x 64 floats) that is transposed at a time.
const TURNED_ROWS: usize = 128;

/// The operand of a product that may be mostly zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A.
    A,
    /// B.
    B,
}

/// A nonzero element A\[r, p\], where p is the first index of the k-block plus `index`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Term {
    index: u32,
    value: f32,
}

/// Pads a list to a multiple of [`CHAINS`]: 0 times the row of zeros after the panel.
const NO_TERM: Term = Term { index: BLOCK as u32, value: 0.0 };

/// The contribution of one k-block to `cols` columns of C.
pub(super) struct Part {
    /// [`LIST`] entries per row; the first `counts[row]` are valid.
    terms: *const Term,
    counts: *const u32,
    rows: usize,
    /// Two panels of B, one after the other: `[BLOCK + 1][NR]` each, with zeros in the last row.
    panels: *const f32,
    c: *mut f32,
    c_stride: usize,
    /// At most [`WIDTH`] vectors.
    cols: usize,
    /// Whether to add to C; otherwise C is not read.
    add: bool,
}

/// Floats in a panel of NR columns.
fn panel_len(nr: usize) -> usize {
    (BLOCK + 1) * nr
}

/// Computes one [`Part`].
///
/// # Safety
/// The processor has the instruction set. Each row's list can be read, with `counts[row]` terms, a multiple
/// of [`CHAINS`], whose indices are at most [`BLOCK`]; so can both halves of the panels. C, `rows` x `cols`
/// with `cols` no more than [`WIDTH`] vectors, can be written, and read if it is added to.
#[inline(always)]
pub(super) unsafe fn add_terms<S: Simd>(part: &Part) {
    let nr = 2 * S::LANES;
    let panels = [part.panels, part.panels.wrapping_add(panel_len(nr))];
    for row in 0..part.rows {
        // SAFETY: terms i < `count` of the row's list, whose indices are rows of the panels; of C only the
        // lanes below `cols`. The caller guarantees all of them.
        unsafe {
            let (terms, count) = (part.terms.add(row * LIST), *part.counts.add(row) as usize);
            let mut chains = [[S::zero(); WIDTH]; CHAINS];
            for i in (0..count).step_by(CHAINS) {
                for (c, chain) in chains.iter_mut().enumerate() {
                    let term = terms.add(i + c);
                    let value = S::splat(&raw const (*term).value);
                    let at = (*term).index as usize * nr;
                    for (v, sum) in chain.iter_mut().enumerate() {
                        let b = panels[v / 2].add(at + v % 2 * S::LANES);
                        *sum = S::fma(value, S::load(b), *sum);
                    }
                }
            }
            let c = part.c.add(row * part.c_stride);
            for v in 0..WIDTH {
                let (c, from) = (c.wrapping_add(v * S::LANES), v * S::LANES);
                let mut sum = S::add(chains[0][v], chains[1][v]);
                if from + S::LANES <= part.cols {
                    if part.add {
                        sum = S::add(S::load(c), sum);
                    }
                    S::store(c, sum);
                } else if from < part.cols {
                    if part.add {
                        sum = S::add(S::load_part(c, part.cols - from), sum);
                    }
                    S::store_part(c, sum, part.cols - from);
                }
            }
        }
    }
}

/// `dst[j * dst_stride + i] = src[i * src_stride + j]` for i < `rows`, j < `cols`.
///
/// # Safety
/// The processor has the instruction set; these elements of `src` can be read and of `dst` written.
#[inline(always)]
pub(super) unsafe fn transpose<S: Simd>(
    src: *const f32,
    src_stride: usize,
    rows: usize,
    cols: usize,
    dst: *mut f32,
    dst_stride: usize,
) {
    let whole = rows / S::LANES * S::LANES;
    // SAFETY: i is below `rows`, by whole vectors or one by one, and j below `cols`.
    unsafe {
        for i in (0..whole).step_by(S::LANES) {
            for j in (0..cols).step_by(S::LANES) {
                let (src, dst) = (src.add(i * src_stride + j), dst.add(j * dst_stride + i));
                S::transpose(src, src_stride, S::LANES, S::LANES.min(cols - j), dst, dst_stride);
            }
        }
        for i in whole..rows {
            for j in 0..cols {
                *dst.add(j * dst_stride + i) = *src.add(i * src_stride + j);
            }
        }
    }
}

thread_local! {
    /// Lists of terms and their lengths.
    static LISTS: Scratch = const { Scratch::new() };
    /// Panels of B, and the piece of C^T that is transposed when it is stored.
    static PANELS: Scratch = const { Scratch::new() };
}

/// Number of nonzero elements of a matrix of rows x cols.
///
/// # Safety
/// These elements can be read.
unsafe fn nonzero(x: View, rows: usize, cols: usize) -> usize {
    let (runs, len) = if x.columns { (cols, rows) } else { (rows, cols) };
    vectorize(
        #[inline(always)]
        || {
            let mut count = 0;
            for run in 0..runs {
                // SAFETY: one of the runs that the caller guarantees.
                let run = unsafe { std::slice::from_raw_parts(x.data.add(run * x.stride), len) };
                count += run.iter().map(|&x| u32::from(x != 0.0)).sum::<u32>() as usize;
            }
            count
        },
    )
}

/// Computes the product if at most a third of `operand` is nonzero and the product is large enough. Otherwise does
/// nothing and returns false.
///
/// # Safety
/// As for [`super::blocking::multiply`].
pub(super) unsafe fn run(kernels: &'static Kernels, p: &Product, operand: Operand) -> bool {
    let turned = |x: View| View { columns: !x.columns, ..x };
    let (left, right, rows, width) = match operand {
        Operand::A => (p.a, p.b, p.m, p.n),
        Operand::B => (turned(p.b), turned(p.a), p.n, p.m),
    };
    let few = p.accumulate || p.b.panel != 0 || p.k == 0;
    if few || width < 2 * kernels.lanes || rows < kernels.lanes {
        return false;
    }
    // SAFETY: `left` is A or the transpose of B, rows x k, as promised by the caller.
    if 3 * unsafe { nonzero(left, rows, p.k) } > rows * p.k {
        return false;
    }
    let serial = threads() == 1 || p.flops() < 4 * TASK_FLOPS;
    let each = |tasks: usize, task: &(dyn Fn(usize) + Sync)| {
        if serial { (0..tasks).for_each(task) } else { fork(0, tasks, &task) }
    };
    let (blocks, pieces) = (p.k.div_ceil(BLOCK), rows.div_ceil(LIST_ROWS));
    let block_of = |block| even(p.k, BLOCK).nth(block).expect("a block of k");
    LISTS.with(|scratch| {
        // A term is two floats.
        scratch.with(blocks * rows * (2 * LIST + 1), |buffer| {
            let counts = buffer.wrapping_add(blocks * rows * 2 * LIST);
            let lists = Lists { terms: buffer.cast(), counts: counts.cast(), rows };
            each(blocks * pieces, &|task| {
                let (block, from) = (task / pieces, task % pieces * LIST_ROWS);
                let (first, k) = block_of(block);
                let part = left.at(from, first);
                // SAFETY: `part` begins at row `from` < `rows` of the operand and has the block's k <= BLOCK
                // terms. The buffer has a list and a count for each row of each block; no other task makes
                // these.
                unsafe {
                    let (terms, counts) = lists.of(block, from);
                    (kernels.list_terms)(part, LIST_ROWS.min(rows - from), k, terms, counts);
                }
            });
            let most = WIDTH * kernels.lanes;
            each(width.div_ceil(most), &|task| {
                let (j, cols) = (task * most, most.min(width - task * most));
                // SAFETY: `cols` <= `most` columns (A) or rows (B) of C that no other task has; all lists are
                // made.
                unsafe { columns(kernels, p, operand, right, &lists, j, cols) }
            });
        });
    });
    true
}

/// A list of terms for each k-block and row of the sparse operand.
#[derive(Clone, Copy)]
struct Lists {
    terms: *mut Term,
    counts: *mut u32,
    rows: usize,
}

// SAFETY: each task writes lists of its own, and all are written before any task reads them.
unsafe impl Send for Lists {}
// SAFETY: as above.
unsafe impl Sync for Lists {}

impl Lists {
    /// Lists and counts of a k-block, from `row` on.
    fn of(&self, block: usize, row: usize) -> (*mut Term, *mut u32) {
        let at = block * self.rows + row;
        (self.terms.wrapping_add(at * LIST), self.counts.wrapping_add(at))
    }
}

/// Builds the lists of `rows` rows of `x`, which has `k` <= [`BLOCK`] columns.
///
/// # Safety
/// The processor has the instruction set; `x`, rows x k with k <= [`BLOCK`], can be read, and a list and a
/// count for each row written.
#[inline(always)]
pub(super) unsafe fn list_terms<S: Simd>(
    x: View,
    rows: usize,
    k: usize,
    terms: *mut Term,
    counts: *mut u32,
) {
    // SAFETY: elements at `from` and on of runs of `x`, all below its length. A row's list gets at most k
    // terms and what fills it up: fewer than LIST. The caller guarantees all of them.
    unsafe {
        std::slice::from_raw_parts_mut(counts, rows).fill(0);
        let (runs, len) = if x.columns { (k, rows) } else { (rows, k) };
        for run in 0..runs {
            let start = x.data.add(run * x.stride);
            for from in (0..len).step_by(S::LANES) {
                let mut hits = S::nonzero(start.add(from), S::LANES.min(len - from));
                while hits != 0 {
                    let at = from + hits.trailing_zeros() as usize;
                    hits &= hits - 1;
                    let (row, p) = if x.columns { (at, run) } else { (run, at) };
                    let count = counts.add(row);
                    let term = Term { index: p as u32, value: *start.add(at) };
                    *terms.add(row * LIST + *count as usize) = term;
                    *count += 1;
                }
            }
        }
        for row in 0..rows {
            let count = counts.add(row);
            while !(*count as usize).is_multiple_of(CHAINS) {
                *terms.add(row * LIST + *count as usize) = NO_TERM;
                *count += 1;
            }
        }
    }
}

/// Computes `cols` columns of C from `j` on if A is sparse, or rows if B is.
///
/// # Safety
/// As for [`super::blocking::multiply`], of these columns or rows; there are at most [`WIDTH`] vectors of
/// them. `right` is B or the transpose of A, not packed, and `lists` has all terms of the other operand.
unsafe fn columns(
    kernels: &Kernels,
    p: &Product,
    operand: Operand,
    right: View,
    lists: &Lists,
    j: usize,
    cols: usize,
) {
    let (nr, most) = (2 * kernels.lanes, WIDTH * kernels.lanes);
    // C^T is computed and transposed in pieces.
    let (piece, out) = match operand {
        Operand::A => (lists.rows, 0),
        Operand::B => (TURNED_ROWS, TURNED_ROWS * most),
    };
    PANELS.with(|scratch| {
        // SAFETY: the buffer has two panels of BLOCK rows and one of zeros each, and, if C is turned, a piece
        // of C of `piece` rows by `most`. `pack` writes k <= BLOCK rows of a half of at most NR columns;
        // `right` has the block's k terms of these columns. The lists are complete, with indices below k or
        // NO_TERM's, the row of zeros. Rows `from..` and columns `j..` are in C.
        scratch.with(2 * panel_len(nr) + out, |panels| unsafe {
            let turned = panels.add(2 * panel_len(nr));
            // If there is no second panel, its columns are computed from old contents and never stored.
            for half in 0..2 {
                let zeros = panels.add(half * panel_len(nr) + BLOCK * nr);
                std::slice::from_raw_parts_mut(zeros, nr).fill(0.0);
            }
            for from in (0..lists.rows).step_by(piece) {
                let rows = piece.min(lists.rows - from);
                let (c, c_stride) = match operand {
                    Operand::A => (p.c.add(from * p.c_stride + j), p.c_stride),
                    Operand::B => (turned, most),
                };
                for (block, (first, k)) in even(p.k, BLOCK).enumerate() {
                    // If there is only one k-block, its panels are packed once for all pieces.
                    for half in (0..cols).step_by(nr).filter(|_| from == 0 || p.k > BLOCK) {
                        let b = right.at(first, j + half);
                        let pack =
                            if b.columns { kernels.pack_b_columns } else { kernels.pack_b_rows };
                        let panel = panels.add(half / nr * panel_len(nr));
                        pack(b.data, b.stride, k, nr.min(cols - half), panel);
                    }
                    let (terms, counts) = lists.of(block, from);
                    (kernels.add_terms)(&Part {
                        terms,
                        counts,
                        rows,
                        panels,
                        c,
                        c_stride,
                        cols,
                        add: block > 0,
                    });
                }
                if operand == Operand::B {
                    let c = p.c.add(j * p.c_stride + from);
                    (kernels.transpose)(turned, most, rows, cols, c, p.c_stride);
                }
            }
            let part = match operand {
                Operand::A => p.part(0, lists.rows, j, cols),
                Operand::B => p.part(j, cols, 0, lists.rows),
            };
            if !p.bias.is_null() || p.activation != Activation::None {
                part.finish(kernels, true);
            }
        });
    });
}
