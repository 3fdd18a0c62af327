//! The matrix product. Shapes for each of `batch` products: A \[m, k\] and B \[k, n\] with any strides (exchanged for a
//! transposed matrix), bias \[n\], C \[m, n\].

use super::params::MatmulParams;
use crate::cpu::gemm::Activation;

/// C\[i, j\] = act(sum_l A\[i, l\] B\[l, j\] + bias\[j\]). The second output is scratch memory of the GPU.
pub fn forward(p: &MatmulParams, [a, b, bias, ..]: [&[f32]; 5], [c, _]: [&mut [f32]; 2]) {
    let [m, n, k] = [p.m, p.n, p.k].map(|n| n as usize);
    for batch in 0..p.batch as usize {
        let a = &a[batch * p.batch_a as usize..];
        let b = &b[batch * p.batch_b as usize..];
        for i in 0..m {
            for j in 0..n {
                let mut sum = if p.has_bias != 0 { f64::from(bias[j]) } else { 0.0 };
                for l in 0..k {
                    let a = a[i * p.stride_a[0] as usize + l * p.stride_a[1] as usize];
                    let b = b[l * p.stride_b[0] as usize + j * p.stride_b[1] as usize];
                    sum += f64::from(a) * f64::from(b);
                }
                let y = match p.activation() {
                    Activation::None => sum,
                    Activation::Tanh => sum.tanh(),
                    Activation::Sigmoid => 1.0 / (1.0 + (-sum).exp()),
                    Activation::Relu if sum.is_nan() => sum,
                    Activation::Relu => sum.max(0.0),
                };
                c[(batch * m + i) * n + j] = y as f32;
            }
        }
    }
}
