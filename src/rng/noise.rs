//! Turns the words of a draw into uniform numbers, normal numbers and dropout masks.
//!
//! Standard normals come from the transform of Box and Muller (1958). Each of a block's word pairs (0, 1) and
//! (2, 3) gives a radius r = sqrt(-2 ln u), u in (0, 1\], and an angle a, hence the two numbers r cos a and
//! r sin a. Sixteen blocks are computed at a time, stored word by word, so that the compiler vectorises the rounds.

use super::{Key, next_key, philox_round, uniform};
use crate::cpu::math::{cos_sin_turn, log};
use crate::cpu::simd::vectorize;

/// Distribution of the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Uniform on \[0, 1).
    Uniform,
    /// Standard normal.
    Normal,
    /// 1 / keep with probability keep, else 0.
    Dropout {
        /// Probability of keeping an element, in (0, 1].
        keep: f32,
    },
}

/// Blocks that are computed together.
const BLOCKS: usize = 16;
/// Numbers in these blocks.
pub(crate) const NUMBERS: usize = 4 * BLOCKS;

/// Words 0 to 3 of blocks `first..first + 16`.
#[inline(always)]
fn words(key: Key, first: u64) -> [[u32; BLOCKS]; 4] {
    let mut counter = [[0; BLOCKS]; 4];
    for lane in 0..BLOCKS {
        let block = first + lane as u64;
        let start = [block as u32, (block >> 32) as u32, key.step, key.stream];
        for word in 0..4 {
            counter[word][lane] = start[word];
        }
    }
    let mut round_key = [key.seed as u32, (key.seed >> 32) as u32];
    for _ in 0..10 {
        for lane in 0..BLOCKS {
            let c = philox_round(std::array::from_fn(|w| counter[w][lane]), round_key);
            for word in 0..4 {
                counter[word][lane] = c[word];
            }
        }
        round_key = next_key(round_key);
    }
    counter
}

/// Two standard normals from two words.
#[inline(always)]
fn pair(a: u32, b: u32) -> (f32, f32) {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    let r = (-2.0 * log(1.0 - uniform(a))).sqrt();
    let (c, s) = cos_sin_turn(uniform(b));
    (r * c, r * s)
}

/// Numbers 64 `chunk` to 64 `chunk` + 63 of a draw.
#[inline(always)]
pub(crate) fn numbers(key: Key, distribution: Distribution, chunk: u64) -> [f32; NUMBERS] {
    let w = words(key, chunk * BLOCKS as u64);
    let mut by_word = [[0.0; BLOCKS]; 4];
    match distribution {
        Distribution::Uniform => {
            for word in 0..4 {
                for lane in 0..BLOCKS {
                    by_word[word][lane] = uniform(w[word][lane]);
                }
            }
        }
        Distribution::Dropout { keep } => {
            for word in 0..4 {
                for lane in 0..BLOCKS {
                    let kept = uniform(w[word][lane]) < keep;
                    by_word[word][lane] = if kept { 1.0 / keep } else { 0.0 };
                }
            }
        }
        Distribution::Normal => {
            for half in [0, 2] {
                for lane in 0..BLOCKS {
                    let (a, b) = pair(w[half][lane], w[half + 1][lane]);
                    by_word[half][lane] = a;
                    by_word[half + 1][lane] = b;
                }
            }
        }
    }
    let mut y = [0.0; NUMBERS];
    for lane in 0..BLOCKS {
        for word in 0..4 {
            y[4 * lane + word] = by_word[word][lane];
        }
    }
    y
}

/// Standard normal number `element` of a draw.
pub fn normal(key: Key, element: u64) -> f32 {
    numbers(key, Distribution::Normal, element / NUMBERS as u64)[element as usize % NUMBERS]
}

/// y\[i\] = number `first + i` of a draw.
pub fn fill_from(key: Key, distribution: Distribution, first: u64, y: &mut [f32]) {
    vectorize(
        #[inline(always)]
        || {
            let mut done = 0;
            while done < y.len() {
                let at = first + done as u64;
                let made = numbers(key, distribution, at / NUMBERS as u64);
                let skip = (at % NUMBERS as u64) as usize;
                let count = (NUMBERS - skip).min(y.len() - done);
                y[done..done + count].copy_from_slice(&made[skip..skip + count]);
                done += count;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_blocks_at_once_give_the_same_numbers() {
        let key = Key::new(0x1234_5678_9abc_def0, 77, 5);
        for first in [0_u64, 1, 61, 64, 1000, u64::from(u32::MAX) * 4 - 30] {
            let mut y = [0.0; 150];
            fill_from(key, Distribution::Uniform, first, &mut y);
            for (i, y) in y.iter().enumerate() {
                assert_eq!(*y, key.uniform(first + i as u64), "element {first} + {i}");
            }
        }
    }
}
