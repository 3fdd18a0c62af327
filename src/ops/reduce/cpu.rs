//! Reductions over one axis. Shader: `shaders/reduce/reduce.wgsl`.
//!
//! x is \[outer, n, inner\]; y is \[outer, chunks, inner\] with chunks = ceil(n / chunk). Each output
//! reduces `chunk` consecutive elements; the last one reduces the rest.

use super::params::{ReduceParams, Reduction};
use crate::cpu::math;
use crate::cpu::simd::{rows, sum};

/// y = (or +=) scale * sum, scale * sum of squares, or logsumexp (rows only: `inner` is 1).
pub fn forward(p: &ReduceParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
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
            if p.accumulate == 0 {
                y.fill(0.0);
            }
            match p.reduction() {
                Reduction::Sum if inner == 1 => {
                    y[0] += scale
                        * sum(
                            [x],
                            #[inline(always)]
                            |[x]| x,
                        )
                }
                Reduction::SumSquares if inner == 1 => {
                    y[0] += scale
                        * sum(
                            [x],
                            #[inline(always)]
                            |[x]| x * x,
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
                    let (largest, log_sum) = logsumexp(x);
                    y[0] += largest + log_sum;
                }
            }
        },
    );
}

#[inline(always)]
fn columns(x: &[f32], y: &mut [f32], inner: usize, scale: f32, f: impl Fn(f32) -> f32) {
    for x in x.chunks_exact(inner) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += scale * f(x);
        }
    }
}

/// ln sum e^x as the sum of two parts: the largest x (-infinity for an empty row), and ln sum e^(x - largest).
#[inline(always)]
pub fn logsumexp(x: &[f32]) -> (f32, f32) {
    let mut largest = f32::NEG_INFINITY;
    for &x in x {
        largest = if x > largest { x } else { largest };
    }
    if largest.is_infinite() {
        let nan = x.iter().any(|x| x.is_nan());
        return (if nan { f32::NAN } else { largest }, 0.0);
    }
    // A NaN propagates through the sum.
    let total = sum(
        [x],
        #[inline(always)]
        |[x]| math::exp(x - largest),
    );
    (largest, math::log(total))
}
