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
    rows(
        y,
        inner,
        chunk * inner,
        #[inline(always)]
        |row, y| {
            let (outer, first) = (row / chunks, (row % chunks) * chunk);
            let count = chunk.min(n - first.min(n));
            let x = &x[(outer * n + first) * inner..(outer * n + first + count) * inner];
            match p.reduction() {
                Reduction::Sum if inner == 1 => {
                    y[0] = scale
                        * sum(
                            count,
                            #[inline(always)]
                            |i| x[i],
                        )
                }
                Reduction::SumSquares if inner == 1 => {
                    y[0] = scale
                        * sum(
                            count,
                            #[inline(always)]
                            |i| x[i] * x[i],
                        )
                }
                Reduction::Sum => columns(
                    x,
                    y,
                    inner,
                    scale,
                    #[inline(always)]
                    |x| x,
                ),
                Reduction::SumSquares => columns(
                    x,
                    y,
                    inner,
                    scale,
                    #[inline(always)]
                    |x| x * x,
                ),
                Reduction::LogSumExp => {
                    for (j, y) in y.iter_mut().enumerate() {
                        *y = logsumexp(
                            count,
                            #[inline(always)]
                            |i| x[i * inner + j],
                        );
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn columns(x: &[f32], y: &mut [f32], inner: usize, scale: f32, f: impl Fn(f32) -> f32) {
    y.fill(0.0);
    for x in x.chunks_exact(inner) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += f(x);
        }
    }
    for y in y {
        *y *= scale;
    }
}

/// ln sum e^x with the largest x taken out first; -infinity for an empty or all -infinite row.
#[inline(always)]
pub fn logsumexp(n: usize, x: impl Fn(usize) -> f32) -> f32 {
    let mut largest = f32::NEG_INFINITY;
    for i in 0..n {
        let x = x(i);
        largest = if x > largest || x.is_nan() { x } else { largest };
    }
    if largest.is_infinite() || largest.is_nan() {
        return largest;
    }
    largest
        + math::log(sum(
            n,
            #[inline(always)]
            |i| math::exp(x(i) - largest),
        ))
}
