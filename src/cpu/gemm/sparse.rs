//! Products with an operand that is mostly zeros, as binarised images are: only what is not zero is
//! multiplied.
//!
//! With A the sparse operand, C\[r, :\] is the sum of A\[r, p\] B\[p, :\] over the p where A\[r, p\] is not zero. Each
//! row of A becomes a list of its terms, a block of k at a time. Panels of B lie in L1 meanwhile, a piece of a row
//! of C in registers. The cost goes with the number of terms; a pass over A finds out beforehand whether that
//! is small.
//!
//! With B the sparse operand, as in the gradient d^T x of a weight, C^T = B^T A^T is such a product: panels
//! of A^T, and C is transposed on its way out.
//!
//! An element of C is made in the same order by any number of threads.

use super::Activation;
use super::blocking::{Product, View, even};
use super::isa::Kernels;
use super::pack::Scratch;
use super::parallel::{TASK_FLOPS, fork, threads};
use super::simd::Simd;
use crate::cpu::simd::vectorize;

/// Most terms of a block of k: so wide a panel of it, 128 x 64 floats, fills a common L1 cache.
const BLOCK: usize = 128;
/// From list to list: room for a block and what fills it up, and an odd number of cache lines.
const LIST: usize = BLOCK + 8;
/// Vectors of a row of C that are summed at a time.
const WIDTH: usize = 4;
/// Sums that each of them is made in: one waits some four cycles for its last multiply-add.
const CHAINS: usize = 2;
/// Rows whose lists a task makes.
const LIST_ROWS: usize = 64;
/// Rows of the C that is transposed on its way out: 128 x 64 floats.
const TURNED_ROWS: usize = 128;

/// The operand of a product that may be mostly zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A.
    A,
    /// B.
    B,
}

/// A\[r, p\] at `p` = the block's first + `index`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Term {
    index: u32,
    value: f32,
}

/// What fills a list up to a multiple of [`CHAINS`]: 0 times a row of zeros behind the panel.
const NO_TERM: Term = Term { index: BLOCK as u32, value: 0.0 };

/// What one block of k adds to `cols` columns of C.
pub(super) struct Part {
    /// [`LIST`] a row, of which the first `counts[row]` are set.
    terms: *const Term,
    counts: *const u32,
    rows: usize,
    /// B, half of the columns and then the other: `[BLOCK + 1][NR]`, the last row zeros.
    panels: *const f32,
    c: *mut f32,
    c_stride: usize,
    /// At most [`WIDTH`] vectors.
    cols: usize,
    /// Add to C; otherwise C is not read.
    add: bool,
}

/// Floats of a panel of NR columns.
fn panel_len(nr: usize) -> usize {
    (BLOCK + 1) * nr
}

/// See [`Part`].
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
    /// Panels, and the columns of C that are transposed on their way out.
    static PANELS: Scratch = const { Scratch::new() };
}

/// How many of the rows x cols elements are not zero.
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

/// The product, if at most a third of `operand` is not zero and it is worth it; otherwise false, and nothing
/// is done.
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

/// A list of terms for each block of k and row of the sparse operand.
#[derive(Clone, Copy)]
struct Lists {
    terms: *mut Term,
    counts: *mut u32,
    rows: usize,
}

// SAFETY: tasks write lists of their own, and read them when all are made.
unsafe impl Send for Lists {}
// SAFETY: as above.
unsafe impl Sync for Lists {}

impl Lists {
    /// Those of a block of k, from a row on.
    fn of(&self, block: usize, row: usize) -> (*mut Term, *mut u32) {
        let at = block * self.rows + row;
        (self.terms.wrapping_add(at * LIST), self.counts.wrapping_add(at))
    }
}

/// Makes the lists of `rows` rows: those of `x`, which is `k` <= [`BLOCK`] wide.
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

/// `cols` columns (A) or rows (B) of C from `j` on.
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
    // C that is transposed on its way out goes by a piece at a time.
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
            // Where there is no second half, its columns are computed from whatever is there and not
            // written.
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
                    // A single block stays where it is.
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
