//! The overlapping sum of a transposed convolution, and its adjoint. Shaders: `shaders/fold/fold.wgsl`,
//! `shaders/fold/unfold.wgsl`. cols \[B, H, W, k, k, O\], y \[B, s H, s W, O\].

use super::params::FoldParams;
use crate::cpu::simd::rows;

/// The position that (i, u) is added to, s i + u - pad, if it is inside the image (below `length`).
fn target(p: &FoldParams, i: usize, u: usize, length: usize) -> Option<usize> {
    let at = (i * p.stride as usize + u).checked_sub(p.pad as usize)?;
    (at < length).then_some(at)
}

/// y: each output pixel sums its contributions over (i, u) and (j, v) in a fixed order.
pub fn fold(p: &FoldParams, [cols]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let [height, width, channels] = [p.height, p.width, p.channels].map(|n| n as usize);
    let [side, stride, pad] = [p.side, p.stride, p.pad].map(|n| n as usize);
    // The pairs (i, u) that contribute to position r.
    let sources = |r: usize, length: usize| {
        let last = (r + pad) / stride;
        let first = (r + pad + 1).saturating_sub(side).div_ceil(stride);
        (first..=last.min(length - 1)).map(move |i| (i, r + pad - i * stride))
    };
    let (tall, wide) = (stride * height, stride * width);
    rows(
        y,
        channels,
        channels * (side * side) / (stride * stride),
        #[inline(always)]
        |pixel, y| {
            let (b, r, c) = (pixel / (tall * wide), pixel / wide % tall, pixel % wide);
            y.fill(0.0);
            for (i, u) in sources(r, height) {
                for (j, v) in sources(c, width) {
                    let at = (((b * height + i) * width + j) * side + u) * side + v;
                    for (y, x) in y.iter_mut().zip(&cols[at * channels..][..channels]) {
                        *y += x;
                    }
                }
            }
        },
    );
}

/// cols: each (i, j, u, v) reads the pixel that `fold` adds it to; 0 outside the image.
pub fn unfold(p: &FoldParams, [y]: [&[f32]; 1], [cols]: [&mut [f32]; 1]) {
    let [height, width, channels] = [p.height, p.width, p.channels].map(|n| n as usize);
    let side = p.side as usize;
    let (tall, wide) = (p.stride as usize * height, p.stride as usize * width);
    rows(
        cols,
        channels,
        channels,
        #[inline(always)]
        |at, to| {
            let (v, u) = (at % side, at / side % side);
            let pixel = at / (side * side);
            let (b, i, j) = (pixel / (height * width), pixel / width % height, pixel % width);
            match (target(p, i, u, tall), target(p, j, v, wide)) {
                (Some(r), Some(c)) => {
                    let from = ((b * tall + r) * wide + c) * channels;
                    to.copy_from_slice(&y[from..][..channels]);
                }
                _ => to.fill(0.0),
            }
        },
    );
}
