//! The chain of trainings that produced a model's weights, oldest first, and the settings to repeat it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::TrainedOn;
use crate::error::{Error, Result};
use crate::settings::Config;

/// One training of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingStage {
    /// All settings, in the form of `config.toml`. Empty if unknown, for example for a checkpoint that was copied out
    /// of its run.
    pub settings: String,
    /// The data set, with the fingerprint of its images.
    pub data: TrainedOn,
    /// Number of training steps; fewer than in the settings if the stage was stopped early.
    pub steps: u64,
    /// Checksum of a file with the weights that the next stage started from.
    pub weights: String,
}

/// A training that repeats a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// Its settings; `init` is the run of the previous stage.
    pub config: Config,
    /// The name of its run.
    pub name: String,
    /// The step at which it stops, if that is before the end that its settings imply.
    pub until: Option<u64>,
}

impl TrainingStage {
    /// The stage's settings. Fails with [`Error::Config`] if they are unknown or from an incompatible version.
    pub fn config(&self) -> Result<Config> {
        if self.settings.is_empty() {
            return Err(Error::Config(
                "the settings of a stage are unknown, because its weights come from a checkpoint without \
                 its run; the chain cannot be repeated"
                    .into(),
            ));
        }
        toml::from_str(&self.settings).map_err(|e| {
            Error::Config(format!("the settings of a stage are from an incompatible version: {e}"))
        })
    }

    /// Number of steps that `config` implies for the stage's images; `None` if the number of images is unknown.
    fn planned(&self, config: &Config) -> Option<u64> {
        let images = self.data.fingerprint.as_ref()?.train.count;
        let images = config.data.limit.unwrap_or(images).min(images);
        Some(config.epochs.saturating_mul(images.div_ceil(config.batch) as u64))
    }
}

/// The trainings that repeat `stages` as runs `NAME-1`, `NAME-2` and so on in the folder `runs`. The first keeps the
/// `init` of its settings, if it has one: those weights must exist. Fails as [`TrainingStage::config`] does.
pub fn repeats(stages: &[TrainingStage], name: &str, runs: &Path) -> Result<Vec<Repeat>> {
    let mut before: Option<PathBuf> = None;
    let mut repeats = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        let mut config = stage.config()?;
        // Stop explicitly if the stage was stopped early or its number of images is unknown.
        let until = (stage.planned(&config) != Some(stage.steps)).then_some(stage.steps);
        let name = format!("{name}-{}", i + 1);
        config.init = before.or(config.init);
        before = Some(runs.join(&name));
        repeats.push(Repeat { config, name, until });
    }
    Ok(repeats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Binarization, Fingerprint};
    use crate::settings::presets;

    fn stage(config: &Config, steps: u64, images: Option<usize>) -> TrainingStage {
        let set = crate::data::open("digits", None, Path::new("data")).unwrap();
        let fingerprint = images.map(|count| {
            let mut print = Fingerprint::of(&set);
            print.train.count = count;
            print
        });
        let data = TrainedOn {
            name: "digits".into(),
            binarization: Binarization::Dynamic,
            options: Default::default(),
            fingerprint,
        };
        TrainingStage { settings: config.to_toml(), data, steps, weights: "ab".into() }
    }

    #[test]
    fn each_stage_starts_from_the_run_before_and_stops_where_it_stopped() {
        let config = presets::find("digits").unwrap().config();
        let config = Config { epochs: 3, batch: 100, ..config };
        let further = Config { init: Some("elsewhere".into()), ..config.clone() };
        let stages = [
            stage(&config, 15, Some(450)),  // 3 epochs of 5 batches: complete
            stage(&further, 14, Some(450)), // stopped one batch before its end
            stage(&further, 15, None),      // how many images there were is unknown
        ];
        let repeats = repeats(&stages, "again", Path::new("runs")).unwrap();
        let names: Vec<_> = repeats.iter().map(|repeat| repeat.name.as_str()).collect();
        assert_eq!(names, ["again-1", "again-2", "again-3"]);
        let until: Vec<_> = repeats.iter().map(|repeat| repeat.until).collect();
        assert_eq!(until, [None, Some(14), Some(15)]);
        let inits: Vec<_> = repeats.iter().map(|repeat| repeat.config.init.clone()).collect();
        assert_eq!(inits, [None, Some("runs/again-1".into()), Some("runs/again-2".into())]);
    }

    #[test]
    fn a_stage_without_settings_cannot_be_repeated() {
        let unknown = TrainingStage {
            settings: String::new(),
            ..stage(&presets::find("digits").unwrap().config(), 1, None)
        };
        let error = repeats(&[unknown], "again", Path::new("runs")).unwrap_err();
        assert!(error.to_string().contains("settings of a stage are unknown"), "{error}");
    }
}
