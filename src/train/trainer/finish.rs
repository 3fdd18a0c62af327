//! The end of a run: the bounds of all splits, the summary, the last pictures, the report.

use serde::Serialize;

use super::{Job, Trainer};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::train::{AnyModel, figures, report};

/// What came of it, as `summary.json` holds it. Bounds are means over a split, in nats.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Model kind.
    pub model: String,
    /// Preset that the settings began with.
    pub preset: String,
    /// Trainable numbers.
    pub parameters: usize,
    /// Device that trained.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// The run's seed.
    pub seed: u64,
    /// Batches.
    pub steps: u64,
    /// Passes over the training images.
    pub epochs: u64,
    /// Wall time of all parts of the run.
    pub seconds: f64,
    /// Bound on the training images.
    pub train_bound: f64,
    /// Data set, split and binarization of the training bound.
    pub train_what: String,
    /// Bound on the validation images.
    pub valid_bound: f64,
    /// Bound on the test images.
    pub test_bound: f64,
    /// Data set, split and binarization of the test bound.
    pub what: String,
    /// What a reader of the figures must know.
    pub note: Option<String>,
    /// That the test bound is too good to be believed.
    pub warning: Option<String>,
    /// Step of the best validation bound.
    pub best_step: u64,
    /// Best validation bound.
    pub best_valid_bound: f64,
    /// The command that trained.
    pub command: String,
}

impl Trainer {
    /// Scores all splits and writes the summary, the pictures and the report.
    pub(super) fn finish(&mut self) -> Result<Summary> {
        let mut bounds = [0.0; 3];
        for (bound, split) in bounds.iter_mut().zip([Split::Train, Split::Valid, Split::Test]) {
            let Some(scores) = self.score(split, usize::MAX)? else {
                let signal = self.signals.caught().unwrap_or_default();
                return Err(Error::Interrupted(signal));
            };
            if split == Split::Test {
                self.eval_line(split, &scores)?;
            }
            *bound = scores.bound();
        }
        self.metrics.sync()?;
        let Job { config, data, device, run, .. } = &self.job;
        let (best_step, best_valid_bound) =
            self.position.best.unwrap_or((self.position.step, bounds[1]));
        let summary = Summary {
            model: config.model.kind().into(),
            preset: config.preset.clone(),
            parameters: self.model.model().parameter_count(),
            device: device.name(),
            threads: rayon::current_num_threads(),
            seed: config.seed,
            steps: self.position.step,
            epochs: config.epochs,
            seconds: self.seconds(),
            train_bound: bounds[0],
            train_what: data.describe(Split::Train),
            valid_bound: bounds[1],
            test_bound: bounds[2],
            what: data.describe(Split::Test),
            note: config.model.caveat(data.binarization).map(str::to_string),
            warning: config.model.suspicion(&data.name, bounds[2]),
            best_step,
            best_valid_bound,
            command: self.job.command.clone(),
        };
        let pictures = run.samples();
        let path = pictures.join("reconstructions.png");
        let mode = data.binarization;
        figures::reconstructions(&path, &self.model, device, &data.test, mode, 50)?;
        let AnyModel::Vae(vae) = &self.model;
        if vae.config.latent == 2 {
            let path = pictures.join("manifold.png");
            figures::manifold(&path, &self.model, device, config.model.shape())?;
        }
        let text = serde_json::to_string_pretty(&summary).expect("keys are strings");
        run.write("summary.json", &(text + "\n"))?;
        report::write(run.path())?;
        Ok(summary)
    }
}
