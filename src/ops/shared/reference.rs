//! The gradients of a weight and a bias that are used several times. Shapes: d_t \[rows_t, m\] and x_t \[rows_t, n\]
//! for each use t; dW \[m, n\], db \[m\].

use super::params::SharedGradientParams;

/// dW\[i, j\] = sum_t sum_r d_t\[r, i\] x_t\[r, j\] and db\[i\] = sum_t sum_r d_t\[r, i\]. With `accumulate`, the sums
/// are added to dW and db. `inputs` are d and x of each use; an absent use has no rows.
pub fn gradient(p: &SharedGradientParams, inputs: &[&[f32]], [dw, db]: [&mut [f32]; 2]) {
    let (m, n) = (p.m as usize, p.n as usize);
    let before = |y: f32| if p.accumulate != 0 { f64::from(y) } else { 0.0 };
    let uses = inputs.chunks_exact(2).zip(p.rows);
    for i in 0..m {
        for j in 0..n {
            let mut sum = before(dw[i * n + j]);
            for (pair, rows) in uses.clone() {
                let (d, x) = (pair[0], pair[1]);
                for r in 0..rows as usize {
                    sum += f64::from(d[r * m + i]) * f64::from(x[r * n + j]);
                }
            }
            dw[i * n + j] = sum as f32;
        }
        if p.has_bias != 0 {
            let mut sum = before(db[i]);
            for (pair, rows) in uses.clone() {
                for r in 0..rows as usize {
                    sum += f64::from(pair[0][r * m + i]);
                }
            }
            db[i] = sum as f32;
        }
    }
}
