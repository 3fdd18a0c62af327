//! Sums, sums of squares and logsumexp over the middle axis. Shapes: x \[outer, n, inner\], y \[outer, chunks,
//! inner\]. Each y reduces `chunk` consecutive elements; the last one reduces the rest.

use super::params::{ReduceParams, Reduction};

/// y\[o, c, i\] = scale sum_j x\[o, j, i\], or scale sum_j x^2, or ln sum_j e^x, over the j of chunk c. With
/// `accumulate`, the result is added to y.
pub fn forward(p: &ReduceParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let [outer, n, inner, chunk] = [p.outer, p.n, p.inner, p.chunk].map(|n| n as usize);
    let chunks = if n == 0 { 1 } else { n.div_ceil(chunk) };
    for o in 0..outer {
        for c in 0..chunks {
            for i in 0..inner {
                let terms = c * chunk..n.min((c + 1) * chunk);
                let x = |j: usize| f64::from(x[(o * n + j) * inner + i]);
                let value = match p.reduction() {
                    Reduction::Sum => f64::from(p.scale) * terms.map(x).sum::<f64>(),
                    Reduction::SumSquares => {
                        f64::from(p.scale) * terms.map(|j| x(j) * x(j)).sum::<f64>()
                    }
                    Reduction::LogSumExp => log_sum_exp(&terms.map(x).collect::<Vec<f64>>()),
                };
                let y = &mut y[(o * chunks + c) * inner + i];
                let before = if p.accumulate != 0 { f64::from(*y) } else { 0.0 };
                *y = (before + value) as f32;
            }
        }
    }
}

/// ln sum e^x = m + ln sum e^(x - m) with m = max x, so that no term overflows.
pub(in crate::ops) fn log_sum_exp(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() && !x.iter().any(|x| x.is_nan()) {
        return largest;
    }
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}
