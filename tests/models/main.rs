//! The models: exact answers, golden values, what a prediction may see, what is learned, what a step costs.

#[path = "../common/mod.rs"]
mod common;
mod draw;
mod golden;
// These two take models from the program: bundled weights and configurations by name.
#[cfg(feature = "program")]
mod halves;
#[cfg(feature = "program")]
mod marginal;
mod pixel;
mod runtime;
mod vae;
