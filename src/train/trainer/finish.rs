//! The end of a run: the scores of all splits, the summary, the last pictures, the report.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::{Job, Scores, Trainer};
use crate::data::{Binarization, Fingerprint, Split};
use crate::error::Result;
use crate::machine::processor;
use crate::output;
use crate::report;
use crate::run::Checkpoint;
use crate::run::metrics::ERROR_PERCENT;

/// Number of evenly spaced training images that are scored at the end of a run; scoring all would take as long as an
/// epoch.
const TRAIN_PART: usize = 5000;

/// The result of a run, as stored in `summary.json`. Scores are means over a split, in nats.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Model kind.
    pub model: String,
    /// Preset that the settings started from.
    pub preset: String,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Device that trained.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// The run's seed.
    pub seed: u64,
    /// Training steps.
    pub steps: u64,
    /// Passes over the training images.
    pub epochs: u64,
    /// Wall time of the run, in all its processes.
    pub seconds: f64,
    /// Time spent in training steps.
    pub seconds_in_steps: f64,
    /// Time spent in evaluations and pictures.
    pub seconds_in_evaluations: f64,
    /// Time spent in checkpoints.
    pub seconds_in_checkpoints: f64,
    /// The split of the headline score: "test", or "valid" if the test split was not scored.
    pub split: String,
    /// The headline score: "bound", "nll" or "error".
    pub score: String,
    /// The headline score as text with units.
    #[serde(skip)]
    pub text: String,
    /// `train_bound`, `valid_bound`, `best_valid_bound`, `test_bound` if it was scored, or the same with `nll`; for
    /// pixel models also `test_bits_per_dim` (or `valid_`), for classifiers `train_error_percent` and so on.
    #[serde(flatten)]
    pub scores: BTreeMap<String, f64>,
    /// Data set, images and binarization of the training score.
    pub train_what: String,
    /// Data set, split and binarization of the headline score.
    pub what: String,
    /// The fingerprint of its images.
    pub fingerprint: Option<Fingerprint>,
    /// A caveat about the scores.
    pub note: Option<String>,
    /// A warning that the score is implausibly good.
    pub warning: Option<String>,
    /// Step of the best validation score.
    pub best_step: u64,
    /// Step of the weights that the scores are of.
    pub scored_step: u64,
    /// Why the run ended before its last step, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The command of the training.
    pub command: String,
    /// Processor, cores and system of the last part of the run.
    pub machine: String,
    /// Version of the program, with the commit that it was built from if the build was told
    /// (`PIXELLOOM_COMMIT`).
    pub program: String,
}

impl Trainer {
    /// Ends the run with the last weights, or those with the best validation score, as the settings say.
    pub(super) fn end(&mut self) -> Result<Summary> {
        let best = self.position.best.map_or(self.position.step, |(step, _)| step);
        if !self.job.config.score_best || best == self.position.step {
            return self.averaged(|trainer| trainer.finish(trainer.position.step));
        }
        let checkpoint = Checkpoint::open(&self.job.run.checkpoint(best))?;
        checkpoint.load_into(self.model.model())?;
        self.finish(best)
    }

    /// Why the run ended early, if it did.
    fn stopped(&self) -> Option<String> {
        let (step, patience) = (self.position.step, self.job.config.patience);
        (step < self.total).then(|| {
            let evaluations = if patience == 1 { "evaluation" } else { "evaluations" };
            format!(
                "stopped early at step {step} of {}: {patience} {evaluations} without a better validation score",
                self.total
            )
        })
    }

    /// Scores the splits with the weights that the model has, those of step `scored`, the test split only if the settings
    /// ask for it, and writes the summary, the pictures and the report.
    fn finish(&mut self, scored: u64) -> Result<Summary> {
        let begin = Instant::now();
        let quick = self.job.config.model.scores_quickly();
        let train_part = if quick { usize::MAX } else { TRAIN_PART };
        let test =
            self.job.config.score_test.then(|| self.score(Split::Test, usize::MAX)).transpose()?;
        let train = self.score(Split::Train, train_part)?;
        let valid = match self.last_valid.take() {
            Some((step, scores)) if step == scored => scores,
            _ => self.score(Split::Valid, usize::MAX)?,
        };
        if let Some(test) = &test {
            self.eval_line(Split::Test, test, scored)?;
        }
        self.metrics.sync()?;
        let (split, last) =
            test.as_ref().map_or((Split::Valid, &valid), |test| (Split::Test, test));
        self.last_pictures(split, last)?;
        self.clock.evaluated(begin);
        let summary = self.summary(scored, &train, &valid, test.as_ref());
        let text = serde_json::to_string_pretty(&summary).expect("keys are strings");
        let run = &self.job.run;
        run.write("summary.json", &(text + "\n"))?;
        run.held()?;
        report::write(run.path())?;
        Ok(summary)
    }

    fn summary(
        &self,
        scored: u64,
        train: &Scores,
        valid: &Scores,
        test: Option<&Scores>,
    ) -> Summary {
        let (split, last) = test.map_or((Split::Valid, valid), |test| (Split::Test, test));
        let seconds = self.clock.seconds();
        let Job { config, data, device, .. } = &self.job;
        let (best_step, best_valid) = self.position.best.unwrap_or((scored, valid.score()));
        let (name, score) = (last.name().to_string(), last.score());
        let mut scores = BTreeMap::from([
            (format!("train_{name}"), train.score()),
            (format!("valid_{name}"), valid.score()),
            (format!("best_valid_{name}"), best_valid),
            (format!("{split}_{name}"), score),
        ]);
        let all = [("train", Some(train)), ("valid", Some(valid)), ("test", test)];
        for (split, scores_of) in all {
            let Some(scores_of) = scores_of else { continue };
            if let Some(error) = scores_of.mean_of("error") {
                scores.insert(format!("{split}_{ERROR_PERCENT}"), 100.0 * error);
            }
        }
        if let Some(bits) = config.model.bits_per_dim(score) {
            scores.insert(format!("{split}_bits_per_dim"), bits);
        }
        Summary {
            model: config.model.kind().into(),
            preset: config.preset.clone(),
            parameters: self.model.model().parameter_count(),
            device: device.name(),
            threads: rayon::current_num_threads(),
            seed: config.seed,
            steps: self.position.step,
            epochs: config.epochs,
            seconds: seconds.all,
            seconds_in_steps: seconds.steps,
            seconds_in_evaluations: seconds.evaluations,
            seconds_in_checkpoints: seconds.checkpoints,
            split: split.to_string(),
            score: last.headline().0.into(),
            text: config.model.figure(last.headline().0, last.headline().1),
            scores,
            train_what: data.describe_part(Split::Train, train.images()),
            what: data.describe(split),
            fingerprint: self.job.fingerprint.clone(),
            note: config.model.caveat(data.binarization == Binarization::Grey).map(str::to_string),
            warning: config.model.suspicion(&data.name, score),
            best_step,
            scored_step: scored,
            stopped: self.stopped(),
            command: self.job.command.clone(),
            machine: processor::describe(),
            program: output::program(),
        }
    }
}
