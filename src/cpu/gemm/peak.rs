//! Peak throughput of the multiply-add units, measured with chains in registers. Products are compared with it.

use rayon::prelude::*;

use super::isa::Kernels;
use super::simd::Simd;

/// Computes x = a x + b, `reps` times, on `CHAINS` vectors from `x`. Each vector is an independent chain, which hides
/// the latency.
///
/// # Safety
/// The processor has the instruction set, and `CHAINS` vectors from `x` can be read and written.
#[inline(always)]
pub(super) unsafe fn chains<S: Simd, const CHAINS: usize>(
    x: *mut f32,
    a: f32,
    b: f32,
    reps: usize,
) {
    // SAFETY: vectors i < `CHAINS` from `x`, as the caller guarantees.
    unsafe {
        let (a, b) = (S::splat(&a), S::splat(&b));
        let mut v: [S::V; CHAINS] = std::array::from_fn(|i| S::load(x.add(i * S::LANES)));
        for _ in 0..reps {
            for v in &mut v {
                *v = S::fma(*v, a, b);
            }
        }
        for (i, v) in v.into_iter().enumerate() {
            S::store(x.add(i * S::LANES), v);
        }
    }
}

/// Length of a block of [`multiply_adds`]: as many floats as fill the registers.
fn length(kernels: &Kernels) -> usize {
    2 * kernels.mr * kernels.lanes
}

/// Length of a block of [`multiply_adds`] in floats, for the current instruction set.
pub fn block() -> usize {
    length(Kernels::current())
}

/// y\[i\] = the result of `reps` steps x = a x + b from x\[i\]. Blocks of [`block`] floats run in parallel.
///
/// # Panics
/// If `x` and `y` differ in length.
pub fn multiply_adds(x: &[f32], (a, b): (f32, f32), reps: usize, y: &mut [f32]) {
    let kernels = Kernels::current();
    let (run, block) = (kernels.multiply_adds, length(kernels));
    y.copy_from_slice(x);
    y.par_chunks_mut(block).for_each(|y| {
        if y.len() == block {
            // SAFETY: the processor has these kernels' features, and `y` has the numbers of a block of these
            // kernels.
            return unsafe { run(y.as_mut_ptr(), a, b, reps) };
        }
        let mut whole = vec![0.0; block];
        whole[..y.len()].copy_from_slice(y);
        // SAFETY: the same, of `whole`.
        unsafe { run(whole.as_mut_ptr(), a, b, reps) };
        y.copy_from_slice(&whole[..y.len()]);
    });
}
