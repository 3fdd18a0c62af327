//! Copies tensors to their places in an arena. Shapes: the parts \[widths\[i\]\], arena \[n\], sums \[m\].

use super::params::FlattenParams;
use super::{PARTS, PIECE};

/// arena\[starts\[i\] + j\] = part i\[j\], and for each piece of a part the sum of the squares of its numbers, or the number
/// of non-finite ones.
pub fn flatten(p: &FlattenParams, parts: [&[f32]; PARTS], [arena, sums]: [&mut [f32]; 2]) {
    let mut number = p.first as usize;
    for ((part, width), start) in parts.iter().zip(p.widths).zip(p.starts) {
        let part = &part[..width as usize];
        arena[start as usize..][..part.len()].copy_from_slice(part);
        for piece in part.chunks(PIECE) {
            let of = |x: &f32| match p.squares {
                0 => f64::from(u8::from(!x.is_finite())),
                _ => f64::from(*x) * f64::from(*x),
            };
            sums[number] = piece.iter().map(of).sum::<f64>() as f32;
            number += 1;
        }
    }
}
