//! The settings of a run: what they are, the layers that they come from, the presets, the model that they
//! describe.

mod command;
pub mod config;
pub mod layers;
pub(crate) mod limits;
pub mod model;
pub mod presets;

pub use command::{arguments, command, in_shell};
pub use config::{Config, DataConfig, MARGINAL_LATENT, shared};
pub use layers::Settings;
pub(crate) use layers::flat;
pub use model::{AnyModel, KINDS, ModelConfig};
