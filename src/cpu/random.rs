//! Philox noise. Shader: `shaders/random.wgsl`. See `rng.rs` for the counter.
//!
//! Standard normals by Box and Muller (1958): of a block's words, the pairs (0, 1) and (2, 3) each
//! give r = sqrt(-2 ln u), u in (0, 1\], and an angle, hence two numbers r cos, r sin.

use super::math::{cos_sin_turn, log};
use super::simd::rows;
use crate::ops::random::{Distribution, Params};
use crate::rng::{Key, uniform};

/// Two standard normals from two words.
#[inline(always)]
fn pair(a: u32, b: u32) -> (f32, f32) {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    let r = (-2.0 * log(1.0 - uniform(a))).sqrt();
    let (c, s) = cos_sin_turn(uniform(b));
    (r * c, r * s)
}

#[inline(always)]
fn normals(w: [u32; 4]) -> [f32; 4] {
    let ((a, b), (c, d)) = (pair(w[0], w[1]), pair(w[2], w[3]));
    [a, b, c, d]
}

/// Standard normal number `element` of a draw.
pub fn normal(key: Key, element: u64) -> f32 {
    normals(key.block(element / 4))[(element % 4) as usize]
}

/// y\[i\] = number i of the draw.
pub fn fill(p: &Params, []: [&[f32]; 0], [y]: [&mut [f32]; 1]) {
    let key = p.key();
    let make = |block: u64| match p.distribution() {
        Distribution::Uniform => key.block(block).map(uniform),
        Distribution::Normal => normals(key.block(block)),
    };
    let whole = y.len() / 4 * 4;
    let (body, tail) = y.split_at_mut(whole);
    rows(
        body,
        4,
        40,
        #[inline(always)]
        |block, y| y.copy_from_slice(&make(block as u64)),
    );
    let count = tail.len();
    tail.copy_from_slice(&make(whole as u64 / 4)[..count]);
}
