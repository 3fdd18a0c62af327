//! The gradient of a weight that is used many times. Shader: `shaders/shared/shared_gradient.wgsl`.

use super::params::SharedGradientParams;
use crate::cpu::gemm::{Activation, Gemm, Mat, gemm, gemm_sum};

/// dW \[m, n\] = (or +=) the sum of d^T x over pairs of d \[rows, m\] and x \[rows, n\], which alternate in
/// `inputs`: either one pair, or several with at most `gemm::SUM_ROWS` rows in total.
pub fn gradient(p: &SharedGradientParams, inputs: &[&[f32]], dw: &mut [f32]) {
    let (m, n, accumulate) = (p.m as usize, p.n as usize, p.accumulate != 0);
    let terms: Vec<_> = inputs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let [(d, x)] = terms[..] else { return gemm_sum(&terms, (m, n), accumulate, dw) };
    let a = Mat { data: d, row_stride: 1, col_stride: m };
    let b = Mat { data: x, row_stride: n, col_stride: 1 };
    let k = d.len() / m;
    let activation = Activation::None;
    gemm(&Gemm { m, n, k, a, b: b.into(), bias: None, activation, accumulate }, dw, n);
}
