//! Philox noise. Shader: `shaders/random/random.wgsl`. See `rng.rs` for the counter and `rng/noise.rs` for the numbers.

use super::params::RandomParams;
use crate::cpu::simd::rows;
use crate::rng::{NUMBERS, numbers};

/// y\[i\] = number i of the draw.
pub fn fill(p: &RandomParams, []: [&[f32]; 0], [y]: [&mut [f32]; 1]) {
    let (key, distribution) = (p.key(), p.distribution());
    let whole = y.len() / NUMBERS * NUMBERS;
    let (body, tail) = y.split_at_mut(whole);
    rows(
        body,
        NUMBERS,
        4 * NUMBERS,
        #[inline(always)]
        |chunk, y| y.copy_from_slice(&numbers(key, distribution, chunk as u64)),
    );
    let last = numbers(key, distribution, (whole / NUMBERS) as u64);
    let count = tail.len();
    tail.copy_from_slice(&last[..count]);
}
