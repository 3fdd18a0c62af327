//! What a family says of trainings: presets, and results of the papers to compare with.

use super::ModelConfig;
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
    /// Makes the settings.
    pub make: fn() -> Recipe,
}

impl Preset {
    /// The settings.
    pub fn recipe(&self) -> Recipe {
        (self.make)()
    }
}

/// What a preset decides: how a model is trained, and on what. The other settings of a run are the same for all.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The preset's name.
    pub preset: String,
    /// Passes over the training images.
    pub epochs: u64,
    /// Images of a step.
    pub batch: usize,
    /// Epochs between evaluations.
    pub eval_every: u64,
    /// Images whose log p(x) each evaluation estimates; 0 for none.
    pub marginal: usize,
    /// A prior N(0, I) over the weights.
    pub weight_prior: bool,
    /// Name of the data set.
    pub data: String,
    /// The model.
    pub model: ModelConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// Departures that presets of several papers share.
pub const EMBEDDED: &str = "data: 4,500 of the 60,000 MNIST digits, which come inside the program";
/// See [`EMBEDDED`].
pub const EPOCHS: &str = "epochs: ours; the paper states no number";

/// What presets begin with.
pub fn base(name: &str, data: &str, model: ModelConfig) -> Recipe {
    Recipe {
        preset: name.into(),
        epochs: 100,
        batch: 100,
        eval_every: 5,
        marginal: 0,
        weight_prior: false,
        data: data.into(),
        model,
        optimizer: OptimizerConfig::new(Rule::Adam, 1e-3),
    }
}

/// Adam whose rate falls over the whole run as a half cosine.
pub fn cosine(rate: f32) -> OptimizerConfig {
    let schedule = Schedule::Cosine { total: 0, floor: 0.0 };
    OptimizerConfig { schedule, ..OptimizerConfig::new(Rule::Adam, rate) }
}

/// A value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// A result of a paper on a test split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReferenceScore {
    /// Nats/image.
    Nats(f64),
    /// Bits per number of an image, and the numbers of an image.
    Bits(f64, f64),
    /// Wrong answers, percent of the images.
    Percent(f64),
}

/// A result of a paper that a run may be compared with: of its kind, on its very data, with these settings.
pub struct Reference {
    /// Kind of the model.
    pub kind: &'static str,
    /// Name of the data set.
    pub data: &'static str,
    /// Settings of the model that the run must share, by key.
    pub settings: &'static [(&'static str, Setting)],
    /// What it is.
    pub label: &'static str,
    /// The result.
    pub score: ReferenceScore,
}
