//! The overlapping sum of a transposed convolution, and its adjoint. Pixel Recurrent Neural Networks, section 3.6.
//! Shapes: cols \[B, H, W, k, k, O\], y \[B, s H, s W, O\].

use super::params::FoldParams;

/// Calls `f` for each element of cols, with its index and the index in y that it is added to; `None` outside the image.
fn pairs(p: &FoldParams, mut f: impl FnMut(usize, Option<usize>)) {
    let [batch, height, width, channels] =
        [p.batch, p.height, p.width, p.channels].map(|n| n as usize);
    let [side, stride, pad] = [p.side, p.stride, p.pad].map(|n| n as usize);
    let mut number = 0;
    for b in 0..batch {
        for i in 0..height {
            for j in 0..width {
                for u in 0..side {
                    for v in 0..side {
                        for o in 0..channels {
                            // Row s i + u - pad and column s j + v - pad, if they are inside the image.
                            let row = (stride * i + u).checked_sub(pad);
                            let column = (stride * j + v).checked_sub(pad);
                            let row = row.filter(|&r| r < stride * height);
                            let column = column.filter(|&c| c < stride * width);
                            let y = row.zip(column).map(|(r, c)| {
                                ((b * stride * height + r) * stride * width + c) * channels + o
                            });
                            f(number, y);
                            number += 1;
                        }
                    }
                }
            }
        }
    }
}

/// y\[b, s i + u - pad, s j + v - pad, o\] += cols\[b, i, j, u, v, o\].
pub fn fold(p: &FoldParams, [cols]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let mut sums = vec![0.0_f64; y.len()];
    pairs(p, |col, to| {
        if let Some(to) = to {
            sums[to] += f64::from(cols[col]);
        }
    });
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum as f32);
}

/// cols\[b, i, j, u, v, o\] = y\[b, s i + u - pad, s j + v - pad, o\], 0 outside.
pub fn unfold(p: &FoldParams, [y]: [&[f32]; 1], [cols]: [&mut [f32]; 1]) {
    pairs(p, |col, from| cols[col] = from.map_or(0.0, |from| y[from]));
}
