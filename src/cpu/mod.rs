//! CPU kernels: slices in, slices out, one stem a file, as in `shaders/` and `ops/`.

pub mod binary;
pub mod categorical;
pub mod gemm;
mod isa;
pub mod layout;
pub mod likelihood;
pub mod math;
pub mod matmul;
pub mod optimizer;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod simd;
pub mod unary;

pub use isa::Isa;
pub use pool::{Cpu, CpuBuffer, PoolStats};
