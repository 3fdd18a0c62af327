//! The gradient of a weight that is used many times. Shader: `shaders/shared/shared_gradient.wgsl`.

use super::params::SharedGradientParams;
use crate::cpu::gemm::{Activation, Gemm, Mat, gemm};

/// dW \[m, n\] = or += d^T x of one use, d \[k, m\] and x \[k, n\].
pub fn gradient(p: &SharedGradientParams, [d, x]: [&[f32]; 2], dw: &mut [f32]) {
    let (m, n, accumulate) = (p.m as usize, p.n as usize, p.accumulate != 0);
    let a = Mat { data: d, row_stride: 1, col_stride: m };
    let b = Mat { data: x, row_stride: n, col_stride: 1 };
    let activation = Activation::None;
    let k = d.len() / m;
    gemm(&Gemm { m, n, k, a, b: b.into(), bias: None, activation, accumulate }, dw, n);
}
