//! Moving data, element by element.

use super::params::{ConcatParams, WindowParams};

/// y\[i, j, k, l\] = x\[start + (i, j, k, l)\] if that is inside x, else 0. y has shape `shape`; x has `limit` elements
/// along each axis, `stride` apart.
pub fn window(p: &WindowParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    for (number, y) in y.iter_mut().enumerate() {
        let (mut rest, mut from, mut inside) = (number, 0, true);
        for axis in (0..4).rev() {
            let length = p.shape[axis] as usize;
            let at = (rest % length) as i64 + i64::from(p.start[axis]);
            rest /= length;
            inside &= 0 <= at && at < i64::from(p.limit[axis]);
            from += at * i64::from(p.stride[axis]);
        }
        *y = if inside { x[from as usize] } else { 0.0 };
    }
}

/// Each row of y \[outer, sum of widths\] is a row of each part, one after another.
pub fn concat(p: &ConcatParams, parts: [&[f32]; 3], [y]: [&mut [f32]; 1]) {
    let whole: usize = p.widths.iter().map(|&width| width as usize).sum();
    let mut start = 0;
    for (part, width) in parts.into_iter().zip(p.widths) {
        let width = width as usize;
        for row in 0..y.len() / whole.max(1) {
            for column in 0..width {
                y[row * whole + start + column] = part[row * width + column];
            }
        }
        start += width;
    }
}

/// Each row of x \[outer, sum of widths\] is split into a row of each part.
pub fn split(p: &ConcatParams, [x]: [&[f32]; 1], parts: [&mut [f32]; 3]) {
    let whole: usize = p.widths.iter().map(|&width| width as usize).sum();
    let mut start = 0;
    for (part, width) in parts.into_iter().zip(p.widths) {
        let width = width as usize;
        for row in 0..x.len() / whole.max(1) {
            for column in 0..width {
                part[row * width + column] = x[row * whole + start + column];
            }
        }
        start += width;
    }
}
