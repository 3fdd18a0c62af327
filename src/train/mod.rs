//! Training: the loop, evaluation, the memory of a step, and dry runs.

pub mod dry_run;
pub mod evaluate;
mod exchange;
pub mod latents;
pub mod memory;
mod progress;
mod step;
pub mod trainer;

pub use evaluate::Scores;
pub use trainer::{Job, Resume, Summary, train};
