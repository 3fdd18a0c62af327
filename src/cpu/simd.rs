//! One source for every instruction set: [`vectorize`] runs a loop that is compiled for the best one.
//!
//! The loop is a closure. The compiler inlines it into a function for which the wider instruction set is enabled,
//! and vectorizes it there. Three rules keep it fast:
//!
//! - Loops are written with `for`, and closures that are passed on are `#[inline(always)]`. A call that is not
//!   inlined is compiled for the baseline, where a fused multiply-add is a library call.
//! - Closures own the numbers they capture (`move`, enforced by `'static` in the signatures). If a number is read
//!   through a reference, the loop's output might alias it; the loop then stays scalar and is 15 times slower.
//! - Short rows are processed in blocks of sixteen ([`update`], [`blocks`], [`sum`]); the last block overlaps the
//!   one before it.
//!
//! Chunk borders depend only on the length of the data, so results are bitwise identical for any number of threads.

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

/// Elements per task. Data of at most this length are processed on the calling thread.
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

/// Calls `f(row index, row of y)` for every row of `width` elements, rows in parallel.
///
/// `work` is the number of elements that `f` reads or writes per row; it determines the number of rows in a task.
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

/// Floats in a block: one register of AVX-512, two of AVX2, four of NEON.
pub const LANES: usize = 16;

/// The unit of loops over short rows. Its length is a constant, so the compiler leaves no scalar remainder.
pub type Block = [f32; LANES];

/// A row that is shorter than a block, padded with zeros.
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

/// y\[i\] = f(y\[i\], \[a\[i\], b\[i\], ...\]) in blocks. The last block overlaps the one before it; a row shorter
/// than a block goes through a padded copy. A scalar loop over the remainder of a short row would take longer than the
/// rest of the row.
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
    // Save the last block's input now: the block before it overwrites the overlap.
    let (count, end) = (n.div_ceil(LANES), *last(y));
    for i in 0..count {
        let first = (i * LANES).min(n - LANES);
        let inputs = inputs.map(|x| x[first..].first_chunk().expect("a block in the row"));
        // `black_box` keeps the compiler from processing several blocks at once with gathers.
        let y = black_box(y[first..].first_chunk_mut().expect("a block in the row"));
        *y = block(if i + 1 == count { &end } else { y }, inputs, &f);
    }
}

/// Sum of the lanes, added in a fixed tree.
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

/// The blocks of a row of `n` elements, as (index of the element in lane 0, lanes that no earlier block covers). The
/// last block overlaps the one before it, as in [`update`]. A row shorter than a block is one block that starts at 0.
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

/// Calls `f(index of the element in lane 0, new lanes, block of each input)` for the [`spans`] of the inputs. Lanes
/// beyond the end of a short row are 0.
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

/// Sum of f(a\[i\], b\[i\], ...) over i, in sixteen interleaved lanes. The order of additions is fixed, so the result
/// is always bitwise identical.
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
