//! One source for every instruction set: [`vectorize`] runs a loop compiled for the best one.
//!
//! The loop is a closure that the compiler inlines into a function with the wider instruction set
//! switched on, and vectorizes there. Loops are written with `for`, and closures that are handed
//! on carry `#[inline(always)]`: a call that stays outside is compiled for the baseline, where a fused
//! multiply-add is a library call. Chunks are fixed by the length of the data alone, so results
//! have the same bits for any number of threads.

use rayon::prelude::*;

/// Runs `f`, compiled for AVX-512, for AVX2 with FMA, or for the target's baseline (NEON on Arm).
#[inline(always)]
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
        fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
        {
            // SAFETY: the processor has these features, as was just asked.
            return unsafe { avx512(f) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            return unsafe { avx2(f) };
        }
    }
    f()
}

/// Elements a task works on; shorter data stay on the calling thread.
const CHUNK: usize = 16 * 1024;

/// y\[i\] = f(a\[i\]).
#[inline(always)]
pub fn map1(y: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32 + Sync) {
    assert_eq!(y.len(), a.len());
    let run = |y: &mut [f32], a: &[f32]| {
        vectorize(
            #[inline(always)]
            || {
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = f(a);
                }
            },
        );
    };
    if y.len() <= CHUNK {
        return run(y, a);
    }
    y.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).for_each(|(y, a)| run(y, a));
}

/// y\[i\] = f(a\[i\], b\[i\]).
#[inline(always)]
pub fn map2(y: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert!(y.len() == a.len() && y.len() == b.len());
    let run = |y: &mut [f32], a: &[f32], b: &[f32]| {
        vectorize(
            #[inline(always)]
            || {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = f(a, b);
                }
            },
        );
    };
    if y.len() <= CHUNK {
        return run(y, a, b);
    }
    y.par_chunks_mut(CHUNK)
        .zip(a.par_chunks(CHUNK))
        .zip(b.par_chunks(CHUNK))
        .for_each(|((y, a), b)| run(y, a, b));
}

/// Calls `f(row number, row of y)` for every row of `width` elements, rows in parallel.
///
/// `work` is the number of elements read or written a row: it decides how many rows make a task.
#[inline(always)]
pub fn rows(y: &mut [f32], width: usize, work: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if y.is_empty() {
        return;
    }
    let rows_a_task = (CHUNK / work.max(1)).max(1);
    let run = |first: usize, y: &mut [f32]| {
        vectorize(
            #[inline(always)]
            || {
                for (i, row) in y.chunks_exact_mut(width).enumerate() {
                    f(first + i, row);
                }
            },
        );
    };
    if y.len() <= rows_a_task * width {
        return run(0, y);
    }
    y.par_chunks_mut(rows_a_task * width)
        .enumerate()
        .for_each(|(task, y)| run(task * rows_a_task, y));
}

/// Sum of f(a\[i\], b\[i\], ...) in sixteen interleaved lanes and a fixed tree: vector code, and the
/// same bits always.
#[inline(always)]
pub fn sum<const N: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    const LANES: usize = 16;
    let n = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == n));
    let mut lanes = [0.0_f32; LANES];
    let whole = n - n % LANES;
    let mut i = 0;
    while i < whole {
        // Blocks of known length: no check of an index inside the loop.
        let blocks: [&[f32; LANES]; N] =
            std::array::from_fn(|j| inputs[j][i..i + LANES].try_into().expect("sixteen"));
        for lane in 0..LANES {
            lanes[lane] += f(std::array::from_fn(|j| blocks[j][lane]));
        }
        i += LANES;
    }
    for lane in 0..n - whole {
        lanes[lane] += f(std::array::from_fn(|j| inputs[j][whole + lane]));
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
