//! pixelloom: Auto-Encoding Variational Bayes, DRAW and Pixel Recurrent Neural Networks on an
//! autodiff engine written from scratch, with WGSL compute shaders and CPU SIMD kernels.
//!
//! # From a number to its gradient
//!
//! A [`Tensor`] lives on a [`Device`]. A [`Tape`] records operations on [`Var`]s, and computes all gradients in one
//! backward pass:
//!
//! ```
//! use pixelloom::{Device, Tape, Tensor};
//!
//! let device = Device::cpu();
//! let tape = Tape::new();
//! let x = tape.leaf(Tensor::new(&device, &[0.5, -1.0], &[2]));
//! let loss = x.square().sum();
//! let gradients = tape.backward_from(&loss);
//! assert_eq!(gradients.of(&x).unwrap().to_vec()?, [1.0, -2.0]);
//! # Ok::<(), pixelloom::Error>(())
//! ```
//!
//! The operators `+ - * /` work on [`Var`]s, [`autograd::gradcheck`] compares gradients with finite differences, and
//! [`prelude`] has the names that most programs need. `examples/classifier.rs` trains a classifier in forty lines,
//! `examples/load_and_sample.rs` loads weights and draws images.
//!
//! # From a model to its likelihood
//!
//! Every model is an [`nn::Module`], which names its parameters, and a [`models::Model`], which computes the loss of a
//! batch. A training step needs a tape, the loss and an [`nn::Optimizer`]:
//!
//! ```
//! use pixelloom::models::Model;
//! use pixelloom::models::vae::{Vae, VaeConfig};
//! use pixelloom::nn::{Optimizer, OptimizerConfig};
//! use pixelloom::ops::optimizer::Rule;
//! use pixelloom::rng::{Key, stream};
//! use pixelloom::{Device, Tape, Tensor};
//!
//! let device = Device::cpu();
//! let model = Vae::new(&device, VaeConfig { hidden: 16, ..VaeConfig::mnist(2) }, 1);
//! let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-2));
//! let x = Tensor::full(&device, 1.0, &[4, 28 * 28]); // four white images
//! let mut losses = Vec::new();
//! for step in 0..20 {
//!     let tape = Tape::new();
//!     let noise = Key::new(1, stream::LATENT, step);
//!     let loss = model.loss(&tape.constant(x.clone()), &[], noise);
//!     optimizer.step(&model, &tape.backward_from(&loss));
//!     losses.push(loss.value().item()?); // nats/image
//! }
//! assert!(losses[19] < losses[0] / 2.0);
//! # Ok::<(), pixelloom::Error>(())
//! ```
//!
//! `examples/train_small.rs` trains on images this way. The program's own loop, with checkpoints and reports, is
//! [`train`](mod@train).
//!
//! # Where things are
//!
//! | module | holds |
//! | --- | --- |
//! | [`models`] | [`vae`](models::vae), [`pixel`](models::pixel) (PixelCNN, Row LSTM, Diagonal BiLSTM, Multi-Scale), [`draw`](models::draw), [`iwae`](models::iwae); each with its paper's equations |
//! | [`data`] | sets, splits, binarization, batches |
//! | [`settings`] | the settings of a run and where they come from: presets, files, flags |
//! | [`images`] | sheets, films, completions, glimpses |
//! | [`run`] | run directories, checkpoints, metrics, model files |
//! | [`report`] | HTML reports of runs, plots, tables, TensorBoard |
//! | [`train`](mod@train) | the training loop, evaluation, the memory of a step |
//! | [`nn`] | layers, parameters by name, optimisers |
//! | [`ops`] | differentiable operations: kernel, method of [`Var`], gradient rule, cases |
//! | [`autograd`] | the tape and the gradient check |
//! | [`kernel`], [`cpu`], [`gpu`] | kernels, and the two runtimes that run them |
//! | [`bench`](mod@bench), [`profile`] | speed, compared with the peak of the machine |
//!
//! The [`guide`] explains how the papers become code, one subject per chapter.
//!
//! # Features
//!
//! - `gpu` (default): compute shaders on Vulkan, Metal, DX12 or WebGPU through wgpu. Without it the crate is CPU-only. In a
//!   browser nothing can wait for a GPU, so `Gpu::open_async` and [`Tensor::to_vec_async`] are awaited.
//! - `program` (default): the program around the core, with its dependencies. Without it the crate is a library: the
//!   tape, operations, kernels, layers, models, and [model files in memory](model_file). It also builds for browsers
//!   (`wasm32-unknown-unknown`; with `-C target-feature=+simd128` it has vector kernels), where it uses one thread.
//! - `mpi`: training in several processes, one per device ([`ranks`]). It needs an MPI library.
#![warn(missing_docs)]

// The core, which never imports the program.
pub mod autograd;
pub mod cpu;
pub mod device;
pub mod error;
pub mod gpu;
pub mod kernel;
pub mod model_file;
pub mod models;
pub mod nn;
pub mod ops;
pub mod profile;
pub mod rng;
pub mod tensor;
pub mod text;
pub mod tiles;

pub mod guide;

// The program.
#[cfg(feature = "program")]
pub mod bench;
#[cfg(feature = "program")]
pub mod data;
#[cfg(feature = "program")]
mod files;
#[cfg(feature = "program")]
pub mod images;
#[cfg(feature = "program")]
pub mod machine;
#[cfg(feature = "program")]
pub mod output;
#[cfg(feature = "program")]
pub mod ranks;
#[cfg(feature = "program")]
pub mod report;
#[cfg(feature = "program")]
pub mod run;
#[cfg(feature = "program")]
pub mod settings;
#[cfg(feature = "program")]
pub mod signals;
#[cfg(feature = "program")]
pub mod terminal;
#[cfg(feature = "program")]
pub mod train;

pub use autograd::{Tape, Var};
pub use device::Device;
pub use error::{Error, Result};
pub use nn::Param;
pub use tensor::Tensor;

/// The names that most programs need: `use pixelloom::prelude::*;`.
pub mod prelude {
    pub use crate::autograd::gradcheck::gradcheck;
    #[cfg(feature = "program")]
    pub use crate::data::{self, DataSet, Split};
    pub use crate::models::{self, Model};
    pub use crate::nn::{Linear, Module, Optimizer, OptimizerConfig, join};
    pub use crate::ops::matmul::Activation;
    pub use crate::ops::optimizer::Rule;
    pub use crate::rng::{Key, stream};
    #[cfg(feature = "program")]
    pub use crate::run::Checkpoint;
    pub use crate::{Device, Error, Param, Result, Tape, Tensor, Var};
    // Layers draw their initial weights from this generator.
    pub use rand::{SeedableRng, rngs::StdRng};
}

/// The README's example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
