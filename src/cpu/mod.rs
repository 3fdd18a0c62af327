//! CPU kernels: slices in, slices out, one stem a file, as in `ops/`.

pub mod attention;
pub mod binary;
pub mod categorical;
pub mod filterbank;
pub mod finite;
pub mod fold;
pub mod gemm;
mod isa;
pub mod latent;
pub mod layout;
pub mod likelihood;
pub mod lstm_cell;
pub mod lstm_scan;
pub mod mask;
pub mod masked_conv;
pub mod math;
pub mod matmul;
pub mod optimizer;
pub mod pick;
pub mod pool;
pub mod random;
pub mod reduce;
pub mod shared;
pub mod simd;
mod taps;
pub mod unary;
mod weights;

pub use isa::Isa;
pub(crate) use pool::Meta;
pub use pool::{Cpu, CpuBuffer, PoolStats};
