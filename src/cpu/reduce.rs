//! Reductions over one axis. Shader: `shaders/reduce.wgsl`.
//!
//! x is \[outer, n, inner\]; y is \[outer, chunks, inner\] with chunks = ceil(n / chunk): each output
//! reduces `chunk` neighbours (the last one what is left).

use super::math;
use super::simd::{rows, sum};
use crate::ops::reduce::{Params, Reduction};

/// y = scale * sum, or scale * sum of squares, or logsumexp.
pub fn forward(p: &Params, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let (n, inner, chunk) = (p.n as usize, p.inner as usize, p.chunk as usize);
    let chunks = n.div_ceil(chunk.max(1)).max(1);
    let scale = p.scale;
    // One row of y is (outer, chunk), `inner` wide.
    rows(y, inner, chunk * inner, |row, y| {
        let (outer, first) = (row / chunks, (row % chunks) * chunk);
        let count = chunk.min(n - first.min(n));
        let x = &x[(outer * n + first) * inner..(outer * n + first + count) * inner];
        match p.reduction() {
            Reduction::Sum if inner == 1 => y[0] = scale * sum(count, |i| x[i]),
            Reduction::SumSquares if inner == 1 => y[0] = scale * sum(count, |i| x[i] * x[i]),
            Reduction::Sum => columns(x, y, inner, scale, |x| x),
            Reduction::SumSquares => columns(x, y, inner, scale, |x| x * x),
            Reduction::LogSumExp => {
                for (j, y) in y.iter_mut().enumerate() {
                    let (largest, log_sum) = logsumexp(count, |i| x[i * inner + j]);
                    *y = largest + log_sum;
                }
            }
        }
    });
}

#[inline(always)]
fn columns(x: &[f32], y: &mut [f32], inner: usize, scale: f32, f: impl Fn(f32) -> f32) {
    y.fill(0.0);
    for x in x.chunks_exact(inner) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y += f(x));
    }
    y.iter_mut().for_each(|y| *y *= scale);
}

/// ln sum e^x in two parts, the largest x (-infinity for an empty row) and ln sum e^(x - largest).
#[inline(always)]
pub fn logsumexp(n: usize, x: impl Fn(usize) -> f32) -> (f32, f32) {
    let mut largest = f32::NEG_INFINITY;
    for i in 0..n {
        let x = x(i);
        largest = if x > largest || x.is_nan() { x } else { largest };
    }
    if largest.is_infinite() || largest.is_nan() {
        return (largest, 0.0);
    }
    (largest, math::log(sum(n, |i| math::exp(x(i) - largest))))
}
