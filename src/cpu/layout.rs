//! Moving data: strided windows and concatenation. Shaders: `shaders/window.wgsl`, `shaders/concat.wgsl`.

use super::simd::rows;
use crate::ops::layout::{ConcatParams, WindowParams};

/// y\[i\] = x\[start + i\] where that lies inside x, else 0; a stride of 0 repeats an axis.
pub fn window(p: &WindowParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let width = p.shape[3] as usize;
    let inside = |axis: usize, i: usize| {
        let at = i as i64 + i64::from(p.start[axis]);
        (at >= 0 && at < i64::from(p.limit[axis])).then_some(at as usize * p.stride[axis] as usize)
    };
    // The range of the last axis that lies inside x.
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

/// y \[outer, a + b\] = rows of a beside rows of b.
pub fn concat(p: &ConcatParams, [a, b]: [&[f32]; 2], [y]: [&mut [f32]; 1]) {
    let (wa, wb) = (p.a as usize, p.b as usize);
    rows(
        y,
        wa + wb,
        wa + wb,
        #[inline(always)]
        |row, y| {
            y[..wa].copy_from_slice(&a[row * wa..(row + 1) * wa]);
            y[wa..].copy_from_slice(&b[row * wb..(row + 1) * wb]);
        },
    );
}
