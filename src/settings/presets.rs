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
    /// Where it departs from its paper, or chooses what the paper leaves open, a sentence each. Empty: nowhere.
    pub departures: &'static [&'static str],
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

/// Departures that presets of several papers share.
const EMBEDDED: &str = "data: 4,500 of the 60,000 MNIST digits, which come inside the program";
const EPOCHS: &str = "epochs: ours; the paper states no number";

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
        score_test: data.ends_with("digits"),
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
    use crate::models::pixel::Body;
    use crate::settings::KINDS;

    /// What is known of the PixelRNN paper's settings, and the settings that say so by their keys.
    #[test]
    fn departures_of_pixel_models_are_named() {
        for preset in all() {
            let config = preset.config();
            let (net, has_states) = match &config.model {
                ModelConfig::PixelCnn(net) => (*net, false),
                ModelConfig::RowLstm(net) | ModelConfig::DiagBilstm(net) => (*net, true),
                ModelConfig::MultiScale(chain) => (chain.stages()[0], chain.body != Body::PixelCnn),
                _ => continue,
            };
            let departs = [
                ("model.learned_states", has_states && !net.learned_states),
                ("model.kernel", net.kernel != 3),
                ("optimizer: Adam", config.optimizer.rule != Rule::RmsProp),
                ("optimizer.rate", config.optimizer.rule == Rule::RmsProp),
                ("model.mean", net.mean != 0.0),
                ("epochs", true),
            ];
            for (key, departs) in departs {
                let says = preset.departures.iter().any(|text| text.starts_with(key));
                assert_eq!(says, departs, "{}: {key}", preset.name);
            }
        }
    }

    #[test]
    fn every_kind_has_a_default_and_every_preset_makes_a_model() {
        for kind in KINDS {
            assert_eq!(default_of(kind).config().model.kind(), kind);
        }
        for preset in all() {
            let config = preset.config();
            assert_eq!(config.preset, preset.name);
            assert!(!preset.departures.is_empty(), "{} says nothing about its paper", preset.name);
            config.check().unwrap();
            config.model.check().unwrap();
            config.model.check_batch(config.batch).unwrap();
        }
    }
}
