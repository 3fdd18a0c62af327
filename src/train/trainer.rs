//! The training loop. The images of step s, their binarization and the noise depend only on (seed, s). So a checkpoint
//! only needs weights, moments and a position, and training continues identically in the same or another process. Only
//! the sum of losses is read back from the device, every `log_every` steps.

mod clock;
mod evaluation;
mod faults;
mod finish;
mod last;
mod start;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::evaluate::Scores;
use super::exchange;
use super::progress::Progress;
use crate::data::{DataSet, Fingerprint, Loader};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::AnyModel;
use crate::nn::{OptimizerConfig, TrainState};
use crate::profile::Profile;
use crate::ranks::Ranks;
use crate::run::checkpoint::{self, Checkpoint, Position, TrainedOn};
use crate::run::metrics::{Metrics, short};
use crate::run::{RunDir, TrainingStage};
use crate::settings::{Config, build};
use crate::signals::Signals;
use clock::Clock;
use start::{Opened, Start};

pub(super) use faults::to_try;
pub use finish::Summary;

/// A training job: the model, the data, and the run to write.
pub struct Job {
    /// The settings.
    pub config: Config,
    /// The images.
    pub data: DataSet,
    /// The device of the model.
    pub device: Device,
    /// The run's directory.
    pub run: RunDir,
    /// The rank of this process among those that train together.
    pub ranks: Ranks,
    /// Where training starts.
    pub resume: Resume,
    /// The initial weights for [`Resume::No`]; drawn from the seed if absent.
    pub init: Option<Checkpoint>,
    /// The training stages that led to [`Job::init`]; a resumed run reads them from its checkpoint.
    pub history: Vec<TrainingStage>,
    /// Stop and save at this step, if it is not the last, without writing a summary or a report.
    pub until: Option<u64>,
    /// The fingerprint of the images before `limit` and quantization; only rank 0 needs it.
    pub fingerprint: Option<Fingerprint>,
    /// The command, which is recorded in the summary.
    pub command: String,
    /// The command that resumes the run.
    pub again: String,
}

/// Where training starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// With new weights.
    No,
    /// At the newest checkpoint; a damaged one is an error.
    Newest,
    /// At the newest intact checkpoint; later damaged ones are reported and renamed.
    NewestWhole,
}

/// Printed when a run is resumed with other tiles than a new run would use.
const OTHER_TILES: &str = "note: the tiles of the checkpoint are used instead of this GPU's, so that the run continues \
                           exactly";

pub(super) struct Trainer {
    pub(super) job: Job,
    pub(super) model: AnyModel,
    pub(super) state: TrainState,
    pub(super) loader: Loader,
    /// Steps of the whole run.
    total: u64,
    pub(super) position: Position,
    /// Host buffer of a batch.
    pub(super) host: Vec<f32>,
    metrics: Metrics,
    signals: Signals,
    progress: Progress,
    clock: Clock,
    /// Time and images of training steps since the last line of metrics.
    pub(super) interval: (f64, u64),
    /// The sum of losses that the progress has seen since the last line, and of how many updates.
    seen: (f64, u64),
    /// The last checkpoint and what position it holds.
    last_saved: Option<(PathBuf, Position)>,
    /// Whether that checkpoint must be written again because it has an older format.
    rewrite: bool,
    /// The step of this process's last evaluation, and its validation scores.
    last_valid: Option<(u64, Scores)>,
}

/// Trains, or resumes training, until the last step. Then rank 0 scores the splits, writes the summary and the report,
/// and returns the summary. Fails with [`Error::Interrupted`] after a signal, when the state has been saved. If
/// `profile` is given, the training steps, but nothing else, are added to it, and the run gets a `profile.json`.
pub fn train(job: Job, mut profile: Option<&mut Profile>) -> Result<Option<Summary>> {
    let first = job.ranks.is_first();
    let mut trainer = Trainer::new(job)?;
    let outcome = trainer.run(profile.as_deref_mut());
    let outcome = outcome
        .and_then(|done| trainer.write_profile(profile.as_deref()).map(|()| done))
        .and_then(|done| (first && done).then(|| trainer.end()).transpose())
        .map_err(|e| match e {
            Error::Interrupted { signal, .. } => trainer.interrupt(signal),
            // A write may have failed because the directory is gone, which is the better message.
            Error::Disk(_) => trainer.job.run.held().err().unwrap_or(e),
            other => trainer.with_checkpoint(other),
        });
    trainer.progress.finish();
    outcome
}

impl Trainer {
    fn new(mut job: Job) -> Result<Trainer> {
        let ranks = job.ranks;
        if ranks.is_first() {
            job.run.lock()?;
        }
        let signals = Signals::catch()?;
        let resumes = job.resume != Resume::No && ranks.is_first();
        let opened = resumes.then(|| start::open(&job.run, job.resume)).transpose()?;
        let usual = job.device.tiles();
        let tiles = opened.as_ref().map_or(usual, Opened::tiles);
        job.device = job.device.with_tiles(exchange::share_tiles(ranks, tiles)?);
        let config = &job.config;
        let images = &job.data.train;
        let loader = Loader::new(images.count, config.batch, config.seed);
        let total = config.epochs.saturating_mul(loader.batches_per_epoch());
        let model = build(&config.model, &job.device, config.seed)?;
        let steps = config.steps(images.count)?;
        let mut state = TrainState::new(config.optimizer(images.count, steps));
        let mut start = Start::default();
        if let Some(opened) = opened {
            start = Start::resumed(&job, total, opened, model.model(), &mut state)?;
        } else if let Some(init) = &job.init {
            init.load_into(model.model())?;
        }
        let Start { mut position, seconds, lines, last_saved, rewrite, mut remarks, history } =
            start;
        if job.device.tiles() != usual {
            remarks.push(OTHER_TILES.into());
        }
        job.history.extend(history);
        exchange::share_start(ranks, model.model(), &mut state, &mut position)?;
        let metrics = match ranks.is_first() {
            true => Metrics::open(&job.run.metrics(), lines)?,
            false => Metrics::nowhere(),
        };
        let steps = (total, loader.batches_per_epoch());
        let progress = Progress::new(steps, position.step, ranks.is_first());
        remarks.iter().for_each(|remark| progress.line(remark));
        Ok(Trainer {
            host: vec![0.0; config.batch.min(images.count) * images.dims()],
            metrics,
            progress,
            interval: (0.0, 0),
            seen: (0.0, 0),
            model,
            state,
            loader,
            total,
            position,
            signals,
            clock: Clock::after(seconds),
            last_saved,
            rewrite,
            last_valid: None,
            job,
        })
    }

    /// Trains until the last step or the one to stop at. Returns whether it reached the last.
    fn run(&mut self, mut profile: Option<&mut Profile>) -> Result<bool> {
        match &self.last_saved {
            // A killed process may not have pruned its checkpoints.
            Some(_) if !self.rewrite => self.prune()?,
            _ => self.save()?,
        }
        if self.job.resume != Resume::No {
            // The number of epochs or the folder of the data may have changed.
            self.job.run.write_config(&self.job.config)?;
        }
        loop {
            if self.evaluation_due() {
                self.check()?;
                let begin = Instant::now();
                let done = self.averaged(Trainer::evaluate);
                self.clock.evaluated(begin);
                match done {
                    // All ranks agree on the signal below.
                    Err(Error::Interrupted { .. }) => {}
                    other => other.and_then(|()| self.save())?,
                }
            }
            if let Some(signal) = self.job.ranks.agree(self.signals.caught()) {
                return Err(Error::Interrupted { signal, resume: String::new() });
            }
            if self.position.step >= self.total || self.is_out_of_patience() {
                return Ok(true);
            }
            if self.job.until.is_some_and(|until| self.position.step >= until) {
                return self.save().map(|()| false);
            }
            match &mut profile {
                Some(profile) => {
                    let device = self.job.device.clone();
                    device.profiled(profile, || self.step())??;
                }
                None => self.step()?,
            }
            let step = self.position.step;
            let due = step.is_multiple_of(self.job.config.log_every) || step == self.total;
            if self.job.ranks.is_first() {
                self.watch_loss()?;
                if due {
                    self.log()?;
                }
            }
            let images = self.images(step) - self.images(step - 1);
            self.progress.step(step, images);
            let save_every = self.job.config.save_every;
            if save_every > 0 && step.is_multiple_of(save_every) && !self.evaluation_due() {
                self.save()?;
            }
        }
    }

    /// Writes `profile.json`; on rank 0 only.
    fn write_profile(&self, profile: Option<&Profile>) -> Result<()> {
        let Some(profile) = profile.filter(|_| self.job.ranks.is_first()) else { return Ok(()) };
        let text = serde_json::to_string_pretty(profile).expect("keys are strings");
        self.job.run.write("profile.json", &(text + "\n"))
    }

    /// Runs `f` with the weights replaced by their moving averages, if the run has them.
    fn averaged<T>(&mut self, f: impl FnOnce(&mut Trainer) -> Result<T>) -> Result<T> {
        self.state.ema.swap(self.model.model());
        let result = f(self);
        self.state.ema.swap(self.model.model());
        result
    }

    /// Shows the loss of the last step, where fetching it costs nothing; on a GPU that of the first step only, since
    /// the device would wait.
    fn watch_loss(&mut self) -> Result<()> {
        let (summed, skipped) = (self.position.summed, self.position.skipped);
        let cheap = self.job.device.is_cpu() || self.position.step == 1;
        if !cheap || !self.progress.wants_losses() {
            return Ok(());
        }
        let sum = self.state.loss_sum.as_ref().map_or(Ok(0.0), |sum| sum.item())?;
        let (sum, counted) = (f64::from(sum), summed - skipped);
        let (before, known) = std::mem::replace(&mut self.seen, (sum, counted));
        if counted > known {
            let steps = counted - known;
            self.progress.loss((sum - before) / steps as f64, steps);
        }
        Ok(())
    }

    /// Fetches the sum of losses and writes a line: their mean over the steps since the last one, without
    /// those that were left out.
    fn log(&mut self) -> Result<()> {
        let waited = Instant::now();
        self.check()?;
        let sum = self.state.loss_sum.take().map_or(Ok(0.0), |sum| sum.item())?;
        self.interval.0 += waited.elapsed().as_secs_f64();
        let position = &mut self.position;
        let (skipped, first) = (position.skipped, position.first_skipped.take());
        let counted = position.summed - skipped;
        let loss = f64::from(sum) / counted as f64;
        (position.summed, position.skipped) = (0, 0);
        if counted > 0 && !loss.is_finite() {
            return self.finite(Err(Error::NotFinite(format!("the mean loss is {loss}"))));
        }
        if let Some(first) = first {
            self.progress.line(&format!(
                "warning: {skipped} updates with NaN or infinity were skipped, the first in step {first}"
            ));
        }
        let position = &self.position;
        let (step, schedule) = (position.step, self.state.optimizer.config.schedule);
        let last = self.state.optimizer.steps.saturating_sub(1);
        let OptimizerConfig { rate, warmup, .. } = self.state.optimizer.config;
        let rate = rate * schedule.factor(last, warmup);
        let speed = self.interval.1 as f64 / self.interval.0.max(1e-9);
        self.clock.steps(self.interval.0);
        let seconds = self.clock.seconds();
        self.interval = (0.0, 0);
        if !self.job.device.is_cpu() {
            self.progress.loss(loss, counted);
        }
        self.seen = (0.0, 0);
        let mut fields = vec![
            ("kind", json!("train")),
            ("step", json!(step)),
            ("epoch", json!(step.div_ceil(self.loader.batches_per_epoch()))),
            ("images", json!(self.images(step))),
            ("loss", json!(loss)),
            ("rate", short(rate)),
        ];
        if let Some(first) = first {
            fields.extend([("skipped", json!(skipped)), ("first_skipped", json!(first))]);
        }
        fields.extend([
            ("seconds", json!(seconds.all)),
            ("images_per_second", json!(speed.round())),
            ("seconds_in_steps", json!(seconds.steps)),
            ("seconds_in_evaluations", json!(seconds.evaluations)),
            ("seconds_in_checkpoints", json!(seconds.checkpoints)),
        ]);
        self.line(&fields)
    }

    /// Appends a line of metrics.
    fn line(&mut self, fields: &[(&str, serde_json::Value)]) -> Result<()> {
        self.job.run.held()?;
        self.metrics.line(fields)
    }

    fn evaluation_due(&self) -> bool {
        let step = self.position.step;
        let every = self.job.config.eval_every.saturating_mul(self.loader.batches_per_epoch());
        let due = step == self.total || (step > 0 && step.is_multiple_of(every));
        due && self.position.evaluated != step
    }

    /// Saves a checkpoint on rank 0, unless the last one has the same position.
    fn save(&mut self) -> Result<()> {
        if !self.job.ranks.is_first() {
            return Ok(());
        }
        self.check()?;
        let saved = self.last_saved.as_ref().is_some_and(|(_, at)| *at == self.position);
        if saved && !std::mem::take(&mut self.rewrite) {
            return Ok(());
        }
        let begin = Instant::now();
        self.job.run.held()?;
        self.metrics.sync()?;
        let Job { config, data, fingerprint, .. } = &self.job;
        let trained = TrainedOn {
            name: data.name.clone(),
            binarization: data.binarization,
            options: config.data.options(),
            fingerprint: fingerprint.clone(),
        };
        let saved = checkpoint::save(
            &self.job.run.checkpoints(),
            config,
            &trained,
            &self.job.history,
            self.model.model(),
            &self.state,
            &Position { lines: Some(self.metrics.lines()), ..self.position.clone() },
        );
        let saved = self.finite(saved)?;
        self.last_saved = Some((saved, self.position.clone()));
        self.prune()?;
        self.clock.saved(begin);
        Ok(())
    }

    fn prune(&self) -> Result<()> {
        self.job.run.prune(self.job.config.keep, self.position.best.map(|(step, _)| step))
    }

    /// Saves, and returns the error of the signal or, if saving fails, that error.
    fn interrupt(&mut self, signal: i32) -> Error {
        if let Err(e) = self.save() {
            return self.with_checkpoint(e);
        }
        self.progress.line(&format!("step {} was saved", self.position.step));
        Error::Interrupted { signal, resume: self.job.again.clone() }
    }

    /// Training images seen after `step` batches.
    fn images(&self, step: u64) -> u64 {
        let (batch, count) = (self.job.config.batch as u64, self.job.data.train.count as u64);
        let (epochs, rest) =
            (step / self.loader.batches_per_epoch(), step % self.loader.batches_per_epoch());
        epochs * count + rest * batch
    }
}
