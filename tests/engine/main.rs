//! The engine: tape, kernels on the CPU and on a GPU, matrix products, shaders, the GPU runtime.

mod autograd;
mod axes;
#[path = "../common/mod.rs"]
mod common;
mod fused;
mod gemm;
#[cfg(feature = "gpu")]
mod gpu_runtime;
mod groups;
mod hostile_sizes;
#[cfg(feature = "gpu")]
mod kernels;
mod library;
mod masked;
mod numerics;
mod races;
mod reference;
mod sampling_kernels;
mod shaders;
mod threads;
mod upsample;
mod zeros;
