//! A run on disk: its directory, checkpoints, metrics, model files with their cards, and the checks before a run is
//! resumed.

pub mod card;
pub mod checkpoint;
pub mod history;
pub mod metrics;
pub mod pretrained;
pub mod resume;
pub mod run_dir;
mod safetensors;

pub use checkpoint::{Checkpoint, Position};
pub use history::TrainingStage;
pub use run_dir::RunDir;
