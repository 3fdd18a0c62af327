//! The CPU's runtime: memory, instruction sets, vector code, elementary functions and the matrix product. The
//! kernels themselves are in `ops/STEM/cpu.rs`: slices in, slices out.

pub mod gemm;
mod isa;
pub mod math;
pub mod pool;
pub mod simd;

pub use isa::Isa;
pub(crate) use pool::Meta;
pub use pool::{Cpu, CpuBuffer, PoolStats};
