//! pixelloom: Auto-Encoding Variational Bayes, DRAW and Pixel Recurrent Neural Networks on an
//! autodiff engine written from scratch, with WGSL compute shaders and CPU SIMD kernels.

pub mod autograd;
pub mod bench;
pub mod cpu;
pub mod data;
pub mod device;
pub mod error;
pub mod gpu;
pub mod kernel;
pub mod machine;
pub mod models;
pub mod nn;
pub mod ops;
pub mod profile;
pub mod rng;
pub mod tensor;
pub mod train;

pub use autograd::{Tape, Var};
pub use device::Device;
pub use error::{Error, Result};
pub use nn::Param;
pub use tensor::Tensor;

/// The README's example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
