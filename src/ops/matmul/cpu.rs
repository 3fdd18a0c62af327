//! Batched matrix product with fused bias and activation. Shader: `shaders/matmul/matmul.wgsl`.
//!
//! C\[b\] \[m, n\] = act(A\[b\] \[m, k\] B\[b\] \[k, n\] + bias \[n\]); a transposed operand is a pair of strides.

use rayon::prelude::*;

use super::params::MatmulParams;
use crate::cpu::gemm::{Gemm, Mat, Packed, gemm, gemm_skipping_zeros};

/// C = act(A B + bias). The second output is scratch memory of the GPU.
pub fn forward(p: &MatmulParams, [a, b, bias, ..]: [&[f32]; 5], [c, _]: [&mut [f32]; 2]) {
    let (m, n, k) = (p.m as usize, p.n as usize, p.k as usize);
    let mat = |data, [row_stride, col_stride]: [u32; 2]| Mat {
        data,
        row_stride: row_stride as usize,
        col_stride: col_stride as usize,
    };
    let one = |batch: usize, c: &mut [f32]| {
        let b = &b[batch * p.batch_b as usize..];
        let product = Gemm {
            m,
            n,
            k,
            a: mat(&a[batch * p.batch_a as usize..], p.stride_a),
            b: match p.panel_b() {
                Some(panel) => Packed::new(b, (k, n), panel).into(),
                None => mat(b, p.stride_b).into(),
            },
            bias: (p.has_bias != 0).then_some(bias),
            activation: p.activation(),
            accumulate: false,
        };
        match p.skipped() {
            None => gemm(&product, c, n),
            Some(operand) => gemm_skipping_zeros(&product, operand, c, n),
        }
    };
    match p.batch {
        1 => one(0, c),
        _ => c.par_chunks_mut((m * n).max(1)).enumerate().for_each(|(batch, c)| one(batch, c)),
    }
}
