//! One row times a transposed B, as in a linear layer on a single image: each element of C is the dot product of two
//! contiguous rows.
//!
//! Every number of B is used once, so that transposing B for the micro-kernel would take longer than the product itself.
//! Here lane l of a vector adds the terms l, l + LANES, l + 2 LANES and so on, and the lanes are added at the end. The
//! last bits therefore differ from those of the same row in a product of several rows.

use super::blocking::Product;
use super::isa::Kernels;
use super::parallel::share;
use super::simd::Simd;

/// Most floats in a vector of any instruction set.
const LANES_MOST: usize = 16;
/// Elements of C that are computed side by side. Four independent sums hide the latency of a multiply-add, and the
/// processor's prefetcher can follow four rows of B.
const TOGETHER: usize = 4;

/// Whether the elements of C are dot products of contiguous rows.
pub(super) fn fits(p: &Product) -> bool {
    p.m == 1 && p.k > 0 && !p.a.columns && p.b.columns && p.b.panel == 0
}

/// The product, on the threads of the current rayon pool.
///
/// # Safety
/// As for [`super::blocking::multiply`]; and the product [`fits`].
pub(super) unsafe fn run(kernels: &Kernels, p: &Product) {
    share(kernels, p, &|_, _, j, n| {
        // SAFETY: a part of the caller's product, with a part of C that no other task has.
        unsafe { (kernels.dots)(&p.part(0, 1, j, n)) }
    });
    // SAFETY: as promised by the caller.
    unsafe { p.finish(kernels, true) }
}

/// C\[0, j\] (+)= sum over p of A\[0, p\] B\[p, j\], without bias and activation.
///
/// # Safety
/// The processor has the instruction set; as for [`super::blocking::multiply`]; and the product [`fits`].
#[inline(always)]
pub(super) unsafe fn dots<S: Simd>(p: &Product) {
    let (mut sums, mut turned) = ([0.0; LANES_MOST * LANES_MOST], [0.0; LANES_MOST * LANES_MOST]);
    let (sums, turned) = (sums.as_mut_ptr(), turned.as_mut_ptr());
    for j in (0..p.n).step_by(S::LANES) {
        let columns = S::LANES.min(p.n - j);
        // SAFETY: columns j..j + `columns` <= n of B and C. There is room for LANES vectors of sums, of which the first
        // `columns` are written, and for as many vectors of them transposed.
        unsafe {
            let mut i = 0;
            while i < columns {
                let (b, to) = (p.b.at(0, j + i).data, sums.add(i * S::LANES));
                if columns - i >= TOGETHER {
                    lane_sums::<S, TOGETHER>(p, b, to);
                    i += TOGETHER;
                } else {
                    lane_sums::<S, 1>(p, b, to);
                    i += 1;
                }
            }
            S::transpose(sums, S::LANES, columns, S::LANES, turned, S::LANES);
            let c = p.c.add(j);
            let mut total = if p.accumulate { S::load_part(c, columns) } else { S::zero() };
            for lane in 0..S::LANES {
                total = S::add(total, S::load(turned.add(lane * S::LANES)));
            }
            S::store_part(c, total, columns);
        }
    }
}

/// The sums in the lanes for N columns, the first of which is at `b`: N vectors at `to`.
///
/// # Safety
/// As for [`dots`]; and B has N columns from `b` on, and N vectors at `to` can be written.
#[inline(always)]
unsafe fn lane_sums<S: Simd, const N: usize>(p: &Product, b: *const f32, to: *mut f32) {
    // SAFETY: terms below k of A and of columns i < N of B, as the caller guarantees.
    unsafe {
        let mut sums = [S::zero(); N];
        let whole = p.k / S::LANES * S::LANES;
        for at in (0..whole).step_by(S::LANES) {
            let a = S::load(p.a.data.add(at));
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = S::fma(a, S::load(b.add(i * p.b.stride + at)), *sum);
            }
        }
        let rest = p.k - whole;
        if rest > 0 {
            let a = S::load_part(p.a.data.add(whole), rest);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = S::fma(a, S::load_part(b.add(i * p.b.stride + whole), rest), *sum);
            }
        }
        for (i, sum) in sums.into_iter().enumerate() {
            S::store(to.add(i * S::LANES), sum);
        }
    }
}
