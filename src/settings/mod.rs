//! The settings of a run: what they are, the layers that they come from, the presets, limits, and a data set as the
//! model sees it.

mod command;
pub mod config;
pub mod layers;
pub(crate) mod limits;
pub mod presets;
mod view;

pub use command::{arguments, command, in_shell};
pub use config::{Config, DataConfig, MARGINAL_LATENT, shared};
pub use layers::Settings;
pub(crate) use layers::flat;
pub use limits::build;
pub use view::{view, view_unlabelled};
