//! The models: exact answers, golden values, what a prediction may see, what is learned, what a step costs.

#[path = "../common/mod.rs"]
mod common;
mod draw;
mod golden;
mod halves;
mod marginal;
mod pixel;
mod runtime;
mod vae;
