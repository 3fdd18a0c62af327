//! Evaluations during training: scores, their lines of metrics, samples.

use serde_json::{Value, json};

use super::{Job, Trainer};
use crate::data::{Part, Split};
use crate::error::{Error, Result};
use crate::images::drawing::Drawing;
use crate::run::Position;
use crate::run::metrics::{ERROR_PERCENT, KL_PER_GLIMPSE};
use crate::train::evaluate::{self, Scores};

/// Number of evenly spaced training images that an evaluation scores, so that the fit to the training data can be
/// compared with the validation score, whatever the loss is.
const TRAIN_PART: usize = 1000;
/// Maximum number of samples of an evaluation.
const SAMPLES: usize = 100;
/// Maximum number of values of all samples together; for images of 32 x 32 x 3 it allows 39 samples.
const SAMPLED: usize = 120_000;

impl Trainer {
    /// Scores the validation split and some of the training images, and draws samples, on rank 0; the other ranks wait.
    /// Fails with [`Error::Interrupted`] after a signal; then nothing is written, and a resumed run repeats the
    /// evaluation.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        if !self.job.ranks.is_first() {
            self.position.evaluated = self.position.step;
            return Ok(());
        }
        let scores = self.score(Split::Valid, usize::MAX)?;
        let train = self.score(Split::Train, TRAIN_PART)?;
        let mut marginals = Vec::new();
        for split in [Split::Valid, Split::Train] {
            if self.job.config.marginal > 0 {
                marginals.push((split, self.log_marginals(split)?));
            }
        }
        let config = &self.job.config;
        if config.model.draws() {
            let name = format!("step-{:08}.png", self.position.step);
            let (device, seed) = (&self.job.device, config.seed);
            let count = SAMPLES.min(SAMPLED / self.job.data.train.dims()).max(1);
            let (shape, progress) = (config.model.shape(), |_, _| self.signals.check());
            let drawing =
                Drawing { device, shape, seed, progress: &progress, film: false, class: None };
            drawing
                .samples(self.model.model(), count)?
                .write_sheet(&self.job.run.sample(&name)?)?;
        }
        let (step, score) = (self.position.step, scores.score());
        self.eval_line(Split::Valid, &scores, step)?;
        self.eval_line(Split::Train, &train, step)?;
        for (split, values) in marginals {
            self.marginal_line(split, &values)?;
        }
        self.position.evaluated = step;
        if self.position.best.is_none_or(|(_, best)| score < best) {
            self.position.best = Some((step, score));
        }
        self.progress.line(&format!(
            "step {step}/{}  epoch {}  valid {}",
            self.total,
            step.div_ceil(self.loader.batches_per_epoch()),
            self.in_short(&scores)
        ));
        self.last_valid = Some((step, scores));
        Ok(())
    }

    /// Whether the last `patience` evaluations had no better validation score. Can be true only right after an evaluation;
    /// all ranks receive the answer from rank 0.
    pub(super) fn is_out_of_patience(&self) -> bool {
        let Position { step, evaluated, best, .. } = &self.position;
        let patience = self.job.config.patience;
        if patience == 0 || *step == 0 || evaluated != step {
            return false;
        }
        let since = best.map_or(0, |(best, _)| step - best);
        let every = self.job.config.eval_every * self.loader.batches_per_epoch();
        let mut out = [f32::from(u8::from(since / every >= patience))];
        self.job.ranks.tell(&mut out);
        out[0] > 0.0
    }

    /// The score, and before it the figure that is most familiar to readers, if that is another one.
    fn in_short(&self, scores: &Scores) -> String {
        let text =
            |name: &str, mean| format!("{name} {}", self.job.config.model.figure(name, mean));
        let score = text(scores.name(), scores.score());
        match scores.headline() {
            (name, _) if name == scores.name() => score,
            (name, mean) => format!("{}, {score}", text(name, mean)),
        }
    }

    /// The result, or the error of the signal that stopped it.
    fn complete<T>(&self, result: Result<Option<T>>) -> Result<T> {
        let signal = || Error::Interrupted {
            signal: self.signals.caught().unwrap_or_default(),
            resume: String::new(),
        };
        self.finite(result)?.ok_or_else(signal)
    }

    /// Scores up to `most` evenly spaced images of the split. Fails with [`Error::Interrupted`] after a signal.
    pub(super) fn score(&self, split: Split, most: usize) -> Result<Scores> {
        let stop = |_| self.signals.caught().is_some();
        let part = self.part(split, most);
        self.complete(evaluate::evaluate(self.model.model(), &self.job.device, &part, &stop))
    }

    pub(super) fn part(&self, split: Split, most: usize) -> Part<'_> {
        let Job { data, config, .. } = &self.job;
        Part::of(data.split(split), data.binarization, most, config.model.evaluation_batch())
    }

    fn log_marginals(&self, split: Split) -> Result<Vec<f64>> {
        let stop = |_| self.signals.caught().is_some();
        let part = self.part(split, self.job.config.marginal);
        let model = self.model.single_latent("marginal")?;
        self.complete(evaluate::log_marginals(model, &self.job.device, &part, &stop))
    }

    fn marginal_line(&mut self, split: Split, values: &[f64]) -> Result<()> {
        let step = self.position.step;
        self.line(&[
            ("kind", json!("marginal")),
            ("split", json!(split.to_string())),
            ("what", json!(self.job.data.describe_part(split, values.len()))),
            ("device", json!(self.job.device.name())),
            ("step", json!(step)),
            ("images", json!(self.images(step))),
            ("log_p", json!(evaluate::mean(values.iter().copied()))),
        ])
    }

    /// Writes the line of an evaluation of the weights of step `step`.
    pub(super) fn eval_line(&mut self, split: Split, scores: &Scores, step: u64) -> Result<()> {
        let mut fields: Vec<(&str, Value)> = vec![
            ("kind", json!("eval")),
            ("split", json!(split.to_string())),
            ("what", json!(self.job.data.describe_part(split, scores.images()))),
            ("device", json!(self.job.device.name())),
            ("step", json!(step)),
            ("images", json!(self.images(step))),
        ];
        fields.extend(scores.means().into_iter().map(|(name, mean)| match name {
            "error" => (ERROR_PERCENT, json!(100.0 * mean)),
            name => (name, json!(mean)),
        }));
        if let Some(bits) = self.job.config.model.bits_per_dim(scores.score()) {
            fields.insert(7, ("bits_per_dim", json!(bits)));
        }
        let kl = scores.kl_per_glimpse();
        if !kl.is_empty() {
            fields.push((KL_PER_GLIMPSE, json!(kl)));
        }
        self.line(&fields)
    }
}
