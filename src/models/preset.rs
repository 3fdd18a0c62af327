//! Types for a family's presets and for the papers' results.

use super::ModelConfig;
use crate::nn::{OptimizerConfig, Schedule};
use crate::ops::optimizer::Rule;

/// A named group of settings.
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// Description in one line.
    pub what: &'static str,
    /// Departures from the paper, and choices that the paper leaves open; one sentence each.
    pub departures: &'static [&'static str],
    /// Creates the settings.
    pub make: fn() -> Recipe,
}

impl Preset {
    /// The settings.
    pub fn recipe(&self) -> Recipe {
        (self.make)()
    }
}

/// The settings that a preset decides: model, data and training. All presets share the other settings of a run.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The preset's name.
    pub preset: String,
    /// Passes over the training images.
    pub epochs: u64,
    /// Batch size.
    pub batch: usize,
    /// Epochs between evaluations.
    pub eval_every: u64,
    /// Number of images whose log p(x) each evaluation estimates; 0 for none.
    pub marginal: usize,
    /// Whether the weights have the prior N(0, I).
    pub weight_prior: bool,
    /// Name of the data set.
    pub data: String,
    /// The model.
    pub model: ModelConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
}

/// Departure of presets on the embedded digits.
pub const EMBEDDED: &str = "data: the embedded digits, 4,500 of the 60,000 of MNIST";
/// Departure of presets whose paper states no number of epochs.
pub const EPOCHS: &str = "epochs: our choice; the paper does not state how many";

/// Defaults that presets start from.
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

/// Adam with a cosine schedule over the whole run.
pub fn cosine(rate: f32) -> OptimizerConfig {
    let schedule = Schedule::Cosine { total: 0, floor: 0.0 };
    OptimizerConfig { schedule, ..OptimizerConfig::new(Rule::Adam, rate) }
}

/// Value of a setting, for comparisons.
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
    /// Bits/dim, and the numbers per image.
    Bits(f64, f64),
    /// Error rate in percent.
    Percent(f64),
}

/// A result of a paper that a run may be compared with, if kind, data set and settings are the same.
pub struct Reference {
    /// Kind of the model.
    pub kind: &'static str,
    /// Name of the data set.
    pub data: &'static str,
    /// Settings of the model that the run must share, by key.
    pub settings: &'static [(&'static str, Setting)],
    /// Label in reports.
    pub label: &'static str,
    /// The result.
    pub score: ReferenceScore,
}
