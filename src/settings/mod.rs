//! The settings of a run, the layers that they come from, presets, size limits, and the conversion of a data set to
//! what a model expects.

mod command;
pub mod config;
pub mod layers;
pub(crate) mod limits;
pub mod presets;
mod unknown;
mod view;

pub use command::{arguments, command, in_shell};
pub use config::{Config, DataConfig, MARGINAL_LATENT, shared};
pub use layers::Settings;
pub(crate) use layers::flat;
pub use limits::build;
pub use view::{view, view_unlabelled};
