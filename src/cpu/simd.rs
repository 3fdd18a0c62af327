//! One source for every instruction set: [`vectorize`] runs a loop compiled for the best one.
//!
//! The loop is a closure that the compiler inlines into a function with the wider instruction set
//! switched on, and vectorizes there. Loops are written with `for`, and closures that are handed
//! on carry `#[inline(always)]`: a call that stays outside is compiled for the baseline, where a fused
//! multiply-add is a library call. They own the numbers they capture (`move`; the `'static` in the signatures
//! asks for it): a number read through a reference might be what the loop writes, and the loop stays scalar,
//! fifteen times as slow. Short rows are worked on in blocks of sixteen ([`update`], [`blocks`], [`sum`]),
//! the last one reaching back. Chunks are fixed by the length of the data alone, so results
//! have the same bits for any number of threads.

use std::hint::black_box;
use std::ops::Range;

use rayon::prelude::*;

/// Runs `f`, compiled for AVX-512, for AVX2 with FMA, or for the target's baseline (NEON on Arm).
#[inline(always)]
#[allow(unsafe_code)] // Functions with target features.
pub fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        use super::Isa;

        /// # Safety
        /// The processor has these features.
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
        fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        /// # Safety
        /// The processor has these features.
        #[target_feature(enable = "avx2,fma")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        match Isa::current() {
            // SAFETY: `Isa::current` is one of `Isa::available`, whose features the processor was found to
            // have.
            Isa::Avx512 => return unsafe { avx512(f) },
            // SAFETY: as above.
            Isa::Avx2 => return unsafe { avx2(f) },
            _ => {}
        }
    }
    f()
}

/// Elements a task works on; shorter data stay on the calling thread.
const CHUNK: usize = 16 * 1024;

/// y\[i\] = f(a\[i\]).
#[inline(always)]
pub fn map1(y: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32 + Sync + 'static) {
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
pub fn map2(y: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + 'static) {
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

/// y\[i\] = f(y\[i\], a\[i\]).
#[inline(always)]
pub fn change(y: &mut [f32], a: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + 'static) {
    assert_eq!(y.len(), a.len());
    let run = |y: &mut [f32], a: &[f32]| {
        vectorize(
            #[inline(always)]
            || {
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = f(*y, a);
                }
            },
        );
    };
    if y.len() <= CHUNK {
        return run(y, a);
    }
    y.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).for_each(|(y, a)| run(y, a));
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

/// Floats of a block: a register of AVX-512, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// What a loop over short rows works on: its length is known, so no part of it is left to scalar code.
pub type Block = [f32; LANES];

/// Zeros after a row that is shorter than a block.
#[inline(always)]
fn pad(row: &[f32]) -> Block {
    let mut block = [0.0; LANES];
    block[..row.len()].copy_from_slice(row);
    block
}

/// The last sixteen numbers of a row.
#[inline(always)]
fn last(row: &[f32]) -> &Block {
    row.last_chunk().expect("a block at least")
}

/// y\[i\] = f(y\[i\], \[a\[i\], b\[i\], ...\]) in blocks. The last one reaches back over the one before it, or in a row
/// without a whole block goes through a padded copy: left to a scalar loop, the end of a short row costs more
/// than the row.
#[inline(always)]
pub fn update<const N: usize>(
    y: &mut [f32],
    inputs: [&[f32]; N],
    f: impl Fn(f32, [f32; N]) -> f32 + 'static,
) {
    assert!(inputs.iter().all(|x| x.len() == y.len()));
    #[inline(always)]
    fn block<const N: usize>(
        y: &Block,
        inputs: [&Block; N],
        f: &impl Fn(f32, [f32; N]) -> f32,
    ) -> Block {
        let mut result = [0.0; LANES];
        for lane in 0..LANES {
            result[lane] = f(y[lane], std::array::from_fn(|j| inputs[j][lane]));
        }
        result
    }
    let n = y.len();
    if n < LANES {
        if n > 0 {
            let result = block(&pad(y), inputs.map(pad).each_ref(), &f);
            y.copy_from_slice(&result[..n]);
        }
        return;
    }
    // What the last block reaches back to is written before its turn.
    let (count, end) = (n.div_ceil(LANES), *last(y));
    for i in 0..count {
        let first = (i * LANES).min(n - LANES);
        let inputs = inputs.map(|x| x[first..].first_chunk().expect("a block in the row"));
        // Hidden from the compiler, which would else take several blocks at once, with gathers.
        let y = black_box(y[first..].first_chunk_mut().expect("a block in the row"));
        *y = block(if i + 1 == count { &end } else { y }, inputs, &f);
    }
}

/// Sum of the lanes in a fixed tree.
#[inline(always)]
pub fn total(mut lanes: Block) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The blocks of a row of `n`: the element in lane 0, and the lanes whose elements no block before has. The last
/// one reaches back, as in [`update`]; one that is longer than the row begins with it.
#[inline(always)]
pub fn spans(n: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let rest = n % LANES;
    let end = match n < LANES {
        true => (0, 0..n),
        false => (n - LANES, LANES - rest..LANES),
    };
    let whole = (0..n / LANES).map(|i| (i * LANES, 0..LANES));
    whole.chain((rest > 0).then_some(end))
}

/// Calls `f(element in lane 0, new lanes, block of each input)` for the [`spans`] of the inputs; lanes beyond a
/// short row are 0.
#[inline(always)]
pub fn blocks<const N: usize>(
    inputs: [&[f32]; N],
    mut f: impl FnMut(usize, Range<usize>, [&Block; N]),
) {
    let n = inputs[0].len();
    assert!(inputs.iter().all(|x| x.len() == n));
    if n < LANES {
        return f(0, 0..n, inputs.map(pad).each_ref());
    }
    for (first, new) in spans(n) {
        f(first, new, inputs.map(|x| x[first..].first_chunk().expect("a block in the row")));
    }
}

/// Sum of f(a\[i\], b\[i\], ...) in sixteen interleaved lanes: the same bits always.
#[inline(always)]
pub fn sum<const N: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    blocks(
        inputs,
        #[inline(always)]
        |_, new, x| {
            for lane in 0..LANES {
                let value = f(std::array::from_fn(|j| x[j][lane]));
                lanes[lane] += if new.contains(&lane) { value } else { 0.0 };
            }
        },
    );
    total(lanes)
}
