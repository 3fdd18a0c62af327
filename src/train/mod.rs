//! Training: settings, run directories, checkpoints, the loop, evaluation, pictures, films and reports.

pub mod card;
pub mod checkpoint;
pub mod config;
pub mod drawing;
pub mod dry_run;
pub mod evaluate;
pub mod explain;
pub mod figures;
mod files;
pub mod film;
pub mod glimpses;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod nearest;
pub mod pictures;
pub mod plots;
pub mod presets;
pub mod pretrained;
mod progress;
pub mod ranks;
pub mod report;
pub mod run_dir;
pub mod settings;
mod signals;
pub mod tensors_file;
pub mod trainer;

pub use checkpoint::{Checkpoint, Position};
pub use config::{Config, DataConfig, MARGINAL_LATENT};
pub use evaluate::{Part, Scores};
pub use model::{AnyModel, KINDS, ModelConfig};
pub use ranks::Ranks;
pub use run_dir::RunDir;
pub use settings::Settings;
pub use trainer::{Job, Resume, Summary, train};
