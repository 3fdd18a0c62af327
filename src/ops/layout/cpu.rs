//! Moving data: strided windows, concatenation and splitting. Shaders: `shaders/layout/window.wgsl`,
//! `shaders/layout/concat.wgsl`, `shaders/layout/split.wgsl`.

use super::params::{ConcatParams, WindowParams};
use crate::cpu::simd::rows;

/// y\[i\] = x\[start + i\] if that is inside x, else 0; a stride of 0 repeats an axis.
pub fn window(p: &WindowParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let width = p.shape[3] as usize;
    let inside = |axis: usize, i: usize| {
        let at = i as i64 + i64::from(p.start[axis]);
        (at >= 0 && at < i64::from(p.limit[axis])).then_some(at as usize * p.stride[axis] as usize)
    };
    // The range of y's last axis that is inside x.
    let start = i64::from(p.start[3]);
    let from = (-start).clamp(0, width as i64) as usize;
    let to = (i64::from(p.limit[3]) - start).clamp(from as i64, width as i64) as usize;
    let stride = p.stride[3] as usize;
    rows(
        y,
        width,
        width,
        #[inline(always)]
        |row, y| {
            let (mut rest, mut base) = (row, Some(0));
            for axis in (0..3).rev() {
                let i = rest % p.shape[axis] as usize;
                rest /= p.shape[axis] as usize;
                base = base.and_then(|b: usize| inside(axis, i).map(|at| b + at));
            }
            let Some(base) = base else { return y.fill(0.0) };
            y[..from].fill(0.0);
            y[to..].fill(0.0);
            if from == to {
                return;
            }
            let first = base + (from as i64 + start) as usize * stride;
            match stride {
                1 => y[from..to].copy_from_slice(&x[first..first + to - from]),
                0 => y[from..to].fill(x[first]),
                _ => {
                    for (i, y) in y[from..to].iter_mut().enumerate() {
                        *y = x[first + i * stride];
                    }
                }
            }
        },
    );
}

/// Each row of y \[outer, sum of widths\] is the concatenation of the parts' rows.
pub fn concat(p: &ConcatParams, [a, b, c]: [&[f32]; 3], [y]: [&mut [f32]; 1]) {
    let [wa, wb, wc] = p.widths.map(|width| width as usize);
    let width = wa + wb + wc;
    rows(
        y,
        width,
        width,
        #[inline(always)]
        |row, y| {
            y[..wa].copy_from_slice(&a[row * wa..(row + 1) * wa]);
            y[wa..wa + wb].copy_from_slice(&b[row * wb..(row + 1) * wb]);
            y[wa + wb..].copy_from_slice(&c[row * wc..(row + 1) * wc]);
        },
    );
}

/// Splits each row of x \[outer, sum of widths\] into rows of the parts.
pub fn split(p: &ConcatParams, [x]: [&[f32]; 1], outputs: [&mut [f32]; 3]) {
    let whole: usize = p.widths.iter().map(|&width| width as usize).sum();
    let mut start = 0;
    for (y, &width) in outputs.into_iter().zip(&p.widths) {
        let (from, width) = (start, width as usize);
        start += width;
        rows(
            y,
            width,
            width,
            #[inline(always)]
            |row, y| y.copy_from_slice(&x[row * whole + from..][..width]),
        );
    }
}
