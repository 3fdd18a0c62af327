//! Detection of non-finite numbers. Shaders: `shaders/finite/finite.wgsl`, `shaders/finite/verdict.wgsl`.

use rayon::prelude::*;

use super::params::{FiniteParams, VerdictParams};
use crate::cpu::simd::vectorize;

const CHUNK: usize = 64 * 1024;
/// Exponent bits of infinities and NaN.
const EXPONENT: u32 = 0x7f80_0000;

/// The maximum of `worst` and the bits of |x|; [`is_bad`] evaluates it.
#[inline(always)]
pub fn worse(worst: u32, x: f32) -> u32 {
    worst.max(x.to_bits() & !(1 << 31))
}

/// Whether one of the numbers that [`worse`] has seen was not finite.
#[inline(always)]
pub fn is_bad(worst: u32) -> bool {
    worst >= EXPONENT
}

/// Whether all numbers are finite.
fn finite(x: &[f32]) -> bool {
    let worst = |x: &[f32]| {
        vectorize(
            #[inline(always)]
            || {
                let mut worst = 0;
                for &x in x {
                    worst = worse(worst, x);
                }
                worst
            },
        )
    };
    if x.len() <= CHUNK {
        return !is_bad(worst(x));
    }
    x.par_chunks(CHUNK).all(|x| !is_bad(worst(x)))
}

/// Marks the tally if x has a non-finite number.
pub fn mark(_: &FiniteParams, [x]: [&[f32]; 1], [tally]: [&mut [f32]; 1]) {
    if !finite(x) {
        tally[0] = 1.0;
    }
}

/// Decides whether to skip a step, and sets scale, tally and the sum of losses.
pub fn verdict(
    p: &VerdictParams,
    [squares, loss]: [&[f32]; 2],
    [scale, tally, sum]: [&mut [f32]; 3],
) {
    let clips = p.limit > 0.0;
    let squares: f32 = squares.iter().sum();
    let bad = tally[0] != 0.0
        || tally[3] != 0.0
        || !loss[0].is_finite()
        || if clips { !squares.is_finite() } else { squares != 0.0 };
    if bad {
        scale[0] = -1.0;
        tally[1] += 1.0;
        if tally[2] == 0.0 {
            tally[2] = p.number;
        }
        tally[0] = if p.latch != 0 { 1.0 } else { 0.0 };
        return;
    }
    sum[0] += loss[0];
    let norm = squares.sqrt();
    scale[0] = if clips && norm > p.limit { p.limit / norm } else { 1.0 };
}
