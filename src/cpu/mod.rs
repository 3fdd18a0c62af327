//! CPU kernels: slices in, slices out.

pub mod gemm;
pub mod math;
