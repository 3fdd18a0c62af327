//! Named settings: the papers' experiments, and settings of our own that say so.

mod draw;
mod pixel;
mod vae;

use std::path::PathBuf;

use super::{Config, DataConfig, ModelConfig};
use crate::error::{Error, Result};
use crate::models::vae::{Estimator, Method};
use crate::nn::{OptimizerConfig, Schedule};
use crate::ops::optimizer::Rule;

/// A named group of settings.
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    make: fn() -> Config,
}

/// All presets; the first of a model kind is that kind's default.
pub fn all() -> impl Iterator<Item = &'static Preset> {
    vae::PRESETS.iter().chain(&pixel::PRESETS).chain(&draw::PRESETS)
}

/// The preset of a model kind that is named none.
///
/// Panics on an unknown kind.
pub fn default_of(kind: &str) -> &'static Preset {
    let of_kind = |preset: &&Preset| preset.config().model.kind() == kind;
    all().find(of_kind).unwrap_or_else(|| panic!("no preset of kind {kind}"))
}

impl Preset {
    /// The settings.
    pub fn config(&self) -> Config {
        (self.make)()
    }
}

/// The preset of this name. Fails with [`Error::Config`], naming the presets there are.
pub fn find(name: &str) -> Result<&'static Preset> {
    all().find(|preset| preset.name == name).ok_or_else(|| {
        let nearest = all().min_by_key(|preset| strsim::damerau_levenshtein(name, preset.name));
        Error::Config(format!(
            "unknown preset \"{name}\"; the nearest known one is \"{}\"; `pixelloom presets` lists them all",
            nearest.map_or("", |preset| preset.name)
        ))
    })
}

/// Every method of training the variational auto-encoder, with its usual numbers.
pub const METHODS: [Method; 3] = [
    Method::Sgvb { estimator: Estimator::B, samples: 1 },
    Method::WakeSleep,
    Method::MonteCarloEm { leapfrog: 10, updates: 5 },
];

/// Every schedule, with its usual numbers.
pub const SCHEDULES: [Schedule; 3] = [
    Schedule::Constant,
    Schedule::Step { every: 10_000, factor: 0.5 },
    Schedule::Cosine { total: 0, floor: 0.0 },
];

/// What presets begin with.
fn base(name: &str, data: &str, model: ModelConfig) -> Config {
    Config {
        preset: name.into(),
        seed: 1,
        init: None,
        epochs: 100,
        batch: 100,
        log_every: 50,
        eval_every: 5,
        marginal: 0,
        save_every: 0,
        keep: 3,
        weight_prior: false,
        data: DataConfig {
            name: data.into(),
            binarization: None,
            limit: None,
            dir: PathBuf::from("data"),
        },
        model,
        optimizer: OptimizerConfig::new(Rule::Adam, 1e-3),
    }
}

/// Adam whose rate falls over the whole run as a half cosine.
fn cosine(rate: f32) -> OptimizerConfig {
    let schedule = Schedule::Cosine { total: 0, floor: 0.0 };
    OptimizerConfig { schedule, ..OptimizerConfig::new(Rule::Adam, rate) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::model::KINDS;

    #[test]
    fn every_kind_has_a_default_and_every_preset_makes_a_model() {
        for kind in KINDS {
            assert_eq!(default_of(kind).config().model.kind(), kind);
        }
        for preset in all() {
            let config = preset.config();
            assert_eq!(config.preset, preset.name);
            config.check().unwrap();
            config.model.check().unwrap();
            config.model.check_batch(config.batch).unwrap();
        }
    }
}
