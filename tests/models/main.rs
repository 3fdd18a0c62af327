//! The models: exact results, golden values, receptive fields, learning, and the cost of a step.

#[path = "../common/mod.rs"]
mod common;
mod draw;
mod golden;
// These two need the program: bundled weights and configurations by name.
#[cfg(feature = "program")]
mod halves;
#[cfg(feature = "program")]
mod marginal;
mod pixel;
mod runtime;
mod vae;
