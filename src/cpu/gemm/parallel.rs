//! Splits a product among threads. The order of additions depends only on the shape.

use std::cell::Cell;

use super::Activation;
use super::blocking::{Product, even, multiply};
use super::dots;
use super::isa::Kernels;
use super::pack::Scratch;

/// Smallest task, in floating-point operations, that is worth handing to another thread: about 7 us of work.
pub(super) const TASK_FLOPS: usize = 700_000;
/// Smallest task when there are several per thread, for work stealing to balance the load.
const SPARE_TASK_FLOPS: usize = 4_000_000;
/// Terms of the sum per part, if k is split.
const K_PART: usize = 1024;
/// k is split only if C has at most this many elements; a larger C has enough tiles for all threads.
const K_SPLIT_C: usize = 64 * 1024;

thread_local! {
    static PARTIAL: Scratch = const { Scratch::new() };
    static SHARES: Cell<usize> = const { Cell::new(1) };
}

/// Runs `f` as one of `shares` equal pieces of work that run concurrently. Its products plan for only their share of
/// the pool's threads.
pub fn in_share<R>(shares: usize, f: impl FnOnce() -> R) -> R {
    let before = SHARES.replace(shares);
    let result = f();
    SHARES.set(before);
    result
}

/// Number of pieces of work that run concurrently, this one included. Divide the wall time of one by it to get its
/// share of the machine's time.
pub fn at_once() -> usize {
    SHARES.get().min(rayon::current_num_threads())
}

/// Number of threads that a product should plan for.
pub(super) fn threads() -> usize {
    rayon::current_num_threads().div_ceil(SHARES.get())
}

/// The product on the threads of the current rayon pool.
///
/// # Safety
/// As for [`multiply`].
pub(super) unsafe fn run(kernels: &'static Kernels, p: &Product) {
    if p.m == 0 || p.n == 0 {
        return;
    }
    if dots::fits(p) {
        // SAFETY: as promised by the caller; it fits.
        return unsafe { dots::run(kernels, p) };
    }
    if p.k >= 2 * K_PART && p.m * p.n <= K_SPLIT_C && p.k >= 4 * p.m.max(p.n) {
        // SAFETY: as promised by the caller.
        return unsafe { split_k(kernels, p) };
    }
    share(kernels, p, &|i, m, j, n| {
        // SAFETY: a part of the caller's product, with a part of C that no other task has.
        unsafe { multiply(kernels, &p.part(i, m, j, n)) }
    });
}

/// Cuts C into rectangles and calls `task(first row, rows, first column, columns)` for each, on as many threads as is
/// worthwhile.
#[inline]
pub(super) fn share(
    kernels: &Kernels,
    p: &Product,
    task: &(impl Fn(usize, usize, usize, usize) + Sync),
) {
    let flops = p.flops();
    let threads = threads();
    if flops < 2 * TASK_FLOPS || threads == 1 {
        return task(0, p.m, 0, p.n);
    }
    let tasks = (flops / SPARE_TASK_FLOPS).min(4 * threads).max(threads.min(flops / TASK_FLOPS));
    let (rows, cols) = grid(kernels, p, tasks, threads);
    let nr = 2 * kernels.lanes;
    let (m_most, n_most) = (p.m.div_ceil(rows), p.n.div_ceil(nr).div_ceil(cols) * nr);
    let row_tasks = p.m.div_ceil(m_most);
    let col_tasks = p.n.div_ceil(n_most);
    fork(0, row_tasks * col_tasks, &|part| {
        let (i, m) = even(p.m, m_most).nth(part % row_tasks).expect("a row of tasks");
        let j = part / row_tasks * n_most;
        task(i, m, j, n_most.min(p.n - j));
    });
}

/// Number of rows and columns of rectangles, about `tasks` in all, for which `threads` finish soonest, and operands are
/// re-read, and B is packed again, as little as possible.
fn grid(kernels: &Kernels, p: &Product, tasks: usize, threads: usize) -> (usize, usize) {
    let row_most = p.m.div_ceil(kernels.mr);
    let col_most = p.n.div_ceil(2 * kernels.lanes);
    let mut best = (usize::MAX, (1, 1));
    for cols in 1..=tasks.min(col_most) {
        let rows = (tasks / cols).clamp(1, row_most);
        // Whole tiles count, and threads wait for the one with the most rectangles.
        let (height, width) = (row_most.div_ceil(rows), col_most.div_ceil(cols));
        let turns = (row_most.div_ceil(height) * col_most.div_ceil(width)).div_ceil(threads);
        let work = turns * threads * height * width * kernels.mr * p.k;
        // Packing a transposed B costs about twice as much as packing a row-major one.
        let packing = match (p.b.panel, p.b.columns) {
            (0, false) => 2,
            (0, true) => 4,
            _ => 1,
        };
        let moved = (rows - 1) * p.n * p.k * packing + (cols - 1) * p.m * p.k;
        let cost = work + moved;
        if cost < best.0 {
            best = (cost, (rows, cols));
        }
    }
    best.1
}

/// Runs `task(i)` for i in from..to in parallel, halving the range recursively.
pub(super) fn fork(from: usize, to: usize, task: &(impl Fn(usize) + Sync)) {
    if to - from == 1 {
        return task(from);
    }
    let middle = from.midpoint(to);
    rayon::join(|| fork(from, middle, task), || fork(middle, to, task));
}

/// Split-K for long sums with few elements of C (the gradient of a weight). The parts of k depend on the shape alone.
/// Each is computed into a separate m x n buffer, and the buffers are added in order.
///
/// # Safety
/// As for [`multiply`].
unsafe fn split_k(kernels: &'static Kernels, p: &Product) {
    // A multiple of four parts divides evenly among common numbers of threads.
    let part_most = p.k.div_ceil(p.k.div_ceil(K_PART).next_multiple_of(4));
    let parts = p.k.div_ceil(part_most);
    let size = p.m * p.n;
    PARTIAL.with(|partial| {
        partial.with(parts * size, |buffer| {
            let whole = Product {
                c: buffer,
                c_stride: p.n,
                bias: std::ptr::null(),
                activation: Activation::None,
                accumulate: false,
                ..*p
            };
            let task = |part: usize| {
                let (from, k) = even(whole.k, part_most).nth(part).expect("a part of k");
                // SAFETY: terms of the caller's product; each part has an m x n of the buffer, which has
                // `parts` of them, to itself.
                unsafe { multiply(kernels, &whole.terms(from, k, part * size)) }
            };
            if threads() == 1 || p.flops() < 2 * TASK_FLOPS {
                (0..parts).for_each(task);
            } else {
                fork(0, parts, &task);
            }
            for i in 0..p.m {
                // SAFETY: row i < m of C, which nobody else uses.
                let row = unsafe { std::slice::from_raw_parts_mut(p.c.add(i * p.c_stride), p.n) };
                for part in 0..parts {
                    let from = buffer.wrapping_add(part * size + i * p.n);
                    // SAFETY: row i < m of a part in the buffer; all tasks are done.
                    let from = unsafe { std::slice::from_raw_parts(from, p.n) };
                    if part == 0 && !p.accumulate {
                        row.copy_from_slice(from);
                    } else {
                        for (x, y) in row.iter_mut().zip(from) {
                            *x += y;
                        }
                    }
                }
            }
            if !p.accumulate {
                // SAFETY: as promised by the caller.
                unsafe { p.finish(kernels, true) };
            }
        });
    });
}
