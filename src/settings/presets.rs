//! Named settings: the papers' experiments, and settings of our own, which are marked as such.

use std::path::PathBuf;

use super::{Config, DataConfig};
use crate::error::{Error, Result};
use crate::models::preset::{Preset, Recipe};
use crate::nn::Schedule;

pub use crate::models::registry::presets as all;

/// The default preset of a model kind.
///
/// Panics on an unknown kind.
pub fn default_of(kind: &str) -> &'static Preset {
    let of_kind = |preset: &&Preset| preset.recipe().model.kind() == kind;
    all().find(of_kind).unwrap_or_else(|| panic!("no preset of kind {kind}"))
}

impl Preset {
    /// The settings.
    pub fn config(&self) -> Config {
        config(self.recipe())
    }
}

/// The preset of this name. Fails with [`Error::Config`] and suggests the closest name.
pub fn find(name: &str) -> Result<&'static Preset> {
    all().find(|preset| preset.name == name).ok_or_else(|| {
        let nearest = all().min_by_key(|preset| strsim::damerau_levenshtein(name, preset.name));
        Error::Config(format!(
            "unknown preset \"{name}\"; the closest known preset is \"{}\"; to list all: pixelloom presets",
            nearest.map_or("", |preset| preset.name)
        ))
    })
}

/// All schedules, with their default numbers.
pub const SCHEDULES: [Schedule; 3] = [
    Schedule::Constant,
    Schedule::Step { every: 10_000, factor: 0.5 },
    Schedule::Cosine { total: 0, floor: 0.0 },
];

/// The complete settings of a run from a preset's recipe.
fn config(recipe: Recipe) -> Config {
    let Recipe {
        preset,
        epochs,
        batch,
        eval_every,
        marginal,
        weight_prior,
        data,
        model,
        optimizer,
    } = recipe;
    let dir = PathBuf::from("data");
    Config {
        preset,
        seed: 1,
        init: None,
        epochs,
        batch,
        log_every: 50,
        eval_every,
        marginal,
        save_every: 0,
        keep: 3,
        score_test: data.ends_with("digits"),
        patience: 0,
        score_best: false,
        weight_prior,
        data: DataConfig {
            name: data,
            binarization: None,
            limit: None,
            size: None,
            transpose: false,
            dir,
        },
        model,
        optimizer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::KINDS;
    use crate::settings::limits::check_batch;

    #[test]
    fn every_kind_has_a_default_and_every_preset_makes_a_model() {
        for kind in KINDS {
            assert_eq!(default_of(kind.name).config().model.kind(), kind.name);
        }
        for preset in all() {
            let config = preset.config();
            assert_eq!(config.preset, preset.name);
            assert!(!preset.departures.is_empty(), "{} says nothing about its paper", preset.name);
            config.check().unwrap();
            config.model.check().unwrap();
            check_batch(&config.model, config.batch).unwrap();
        }
    }
}
