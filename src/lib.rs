//! pixelloom: Auto-Encoding Variational Bayes, DRAW and Pixel Recurrent Neural Networks on an
//! autodiff engine written from scratch, with WGSL compute shaders and CPU SIMD kernels.

pub mod cpu;
pub mod data;
pub mod error;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod rng;

pub use error::{Error, Result};
