//! Copies tensors to their places in an arena. Shader: `shaders/flatten/flatten.wgsl`.
//!
//! Optimisers on the CPU update each tensor on its own, so only tests run this kernel there.
//!
//! Shapes: the parts \[widths\[i\]\], arena \[n\], sums \[m\].

use super::params::FlattenParams;
use super::{PARTS, PIECE};
use crate::cpu::simd::{sum, vectorize};

/// arena\[starts\[i\] + j\] = part i\[j\], and for each piece of a part the sum of the squares of its numbers, or the number
/// of non-finite ones.
pub fn flatten(p: &FlattenParams, parts: [&[f32]; PARTS], [arena, sums]: [&mut [f32]; 2]) {
    let mut number = p.first as usize;
    for ((part, width), start) in parts.iter().zip(p.widths).zip(p.starts) {
        let part = &part[..width as usize];
        arena[start as usize..][..part.len()].copy_from_slice(part);
        for piece in part.chunks(PIECE) {
            sums[number] = if p.squares == 0 {
                piece.iter().filter(|x| !x.is_finite()).count() as f32
            } else {
                vectorize(
                    #[inline(always)]
                    || {
                        sum(
                            [piece],
                            #[inline(always)]
                            |[x]| x * x,
                        )
                    },
                )
            };
            number += 1;
        }
    }
}
