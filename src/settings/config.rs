//! The settings of a run, as `config.toml` holds them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::{self, Binarization, DataSet, Fingerprint, ImageOptions, Tell, fingerprint};
use crate::error::{Error, Result};
use crate::models::ModelConfig;
use crate::nn::{OnNonfinite, OptimizerConfig, Schedule};

/// The estimate of appendix D of the AEVB paper is accurate below this number of latent dimensions.
pub const MARGINAL_LATENT: usize = 5;

/// Everything that determines the results of a run, and how often it is evaluated and saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset that the settings started from.
    pub preset: String,
    /// Seed of initial weights, image order, binarization and noise.
    pub seed: u64,
    /// Where the initial weights come from if not from the seed: a run, a checkpoint, a model file or a bundled model.
    pub init: Option<PathBuf>,
    /// Passes over the training images.
    pub epochs: u64,
    /// Batch size.
    pub batch: usize,
    /// Steps between lines of kind "train" in metrics.jsonl; the loss is read back equally often.
    pub log_every: u64,
    /// Epochs between evaluations on the validation split, each followed by a checkpoint.
    pub eval_every: u64,
    /// Number of validation images, and of training images, for which each evaluation estimates log p(x) by appendix D
    /// of the AEVB paper; 0 for none.
    #[serde(default)]
    pub marginal: usize,
    /// Steps between additional checkpoints; 0 for none.
    pub save_every: u64,
    /// Number of latest checkpoints that are kept, in addition to the best by validation score.
    pub keep: usize,
    /// Whether the test split is scored at the end of the run. Leave it off while choosing settings: a test split that
    /// is scored again and again becomes a second validation split.
    #[serde(default = "yes")]
    pub score_test: bool,
    /// Evaluations without a better validation score after which the run stops early; 0 for never.
    #[serde(default)]
    pub patience: u64,
    /// Whether the end of the run scores and pictures the weights with the best validation score, not the last ones.
    #[serde(default)]
    pub score_best: bool,
    /// The prior N(0, I) over the weights (AEVB, appendix F): a coupled decay of 1 / N, N training
    /// images, since the loss is a mean over images and the prior counts once a data set.
    pub weight_prior: bool,
    /// The images.
    pub data: DataConfig,
    /// The model.
    pub model: ModelConfig,
    /// The optimiser. A cosine schedule with `total = 0` spans the run.
    pub optimizer: OptimizerConfig,
}

/// Runs that predate this setting scored the test split.
fn yes() -> bool {
    true
}

/// The images to train on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A name that [`data::open`] knows, `folder:PATH` included.
    pub name: String,
    /// How pixels become numbers; the data set's default if absent.
    pub binarization: Option<Binarization>,
    /// Train only on the first images, this number of them.
    pub limit: Option<usize>,
    /// Number of rows and columns to which images of a folder are cropped and resized; `None` if they have one size.
    pub size: Option<usize>,
    /// Whether rows and columns of IDX files are exchanged, as EMNIST needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transpose: bool,
    /// The folder that `datasets.sh` fills.
    pub dir: PathBuf,
}

impl DataConfig {
    /// Reads the data set; `tell` receives progress messages of slow steps.
    pub fn open(&self, tell: Tell) -> Result<DataSet> {
        self.limited(self.whole(tell)?)
    }

    /// Like [`DataConfig::open`], and also returns the fingerprint of the set without `limit`.
    pub fn open_with_fingerprint(&self, tell: Tell) -> Result<(DataSet, Fingerprint)> {
        let set = self.whole(tell)?;
        let fingerprint = Fingerprint::of(&set);
        Ok((self.limited(set)?, fingerprint))
    }

    fn whole(&self, tell: Tell) -> Result<DataSet> {
        data::open_with(&self.name, self.binarization, self.options(), &self.dir, tell)
    }

    /// How the user's own images are read.
    pub fn options(&self) -> ImageOptions {
        ImageOptions { size: self.size, transpose: self.transpose }
    }

    /// Whether the data set `name` may be this one: the names are equal, or both are folders of the user, which may
    /// have been moved.
    pub fn may_be(&self, name: &str) -> bool {
        fingerprint::same_source(&self.name, name)
    }

    fn limited(&self, mut set: DataSet) -> Result<DataSet> {
        if let Some(limit) = self.limit {
            if limit == 0 || limit > set.train.count {
                return Err(Error::Config(format!(
                    "data.limit = {limit}: it must lie between 1 and the {} training images of {}",
                    set.train.count, self.name
                )));
            }
            set.train = set.train.slice(0..limit);
        }
        Ok(set)
    }
}

fn bad(key: &str, value: &dyn std::fmt::Display, rule: &str) -> Result<()> {
    Err(Error::Config(format!("{key} = {value}: it must {rule}")))
}

impl Config {
    /// The configuration of the optimiser, with the decay of the weight prior and the length of the schedule filled in.
    pub fn optimizer(&self, images: usize, steps: u64) -> OptimizerConfig {
        let mut optimizer = self.optimizer;
        if self.weight_prior {
            optimizer.decay = 1.0 / images as f32;
        }
        if let Schedule::Cosine { total, .. } = &mut optimizer.schedule
            && *total == 0
        {
            *total = steps;
        }
        optimizer
    }

    /// Rejects invalid settings.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [
            ("epochs", self.epochs),
            ("batch", self.batch as u64),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every),
            ("keep", self.keep as u64),
        ] {
            if value == 0 || value > 1_000_000_000 {
                return bad(key, &value, "lie between 1 and 1000000000");
            }
        }
        match self.model.single_latent() {
            _ if self.marginal == 0 => {}
            Some(latent) if latent >= MARGINAL_LATENT => {
                return Err(Error::Config(format!(
                    "marginal = {}, with model.latent = {latent}: the estimate is accurate only below {} \
                     latent dimensions; set marginal=0 or a smaller model.latent",
                    self.marginal, MARGINAL_LATENT
                )));
            }
            Some(_) => {}
            None => {
                return Err(Error::Config(format!(
                    "marginal = {}: this estimate exists only for a vae, and the model is a {}; set marginal=0",
                    self.marginal,
                    self.model.kind()
                )));
            }
        }
        self.check_optimizer()
    }

    fn check_optimizer(&self) -> Result<()> {
        let o = &self.optimizer;
        if !(o.rate > 0.0 && o.rate.is_finite()) {
            return bad("optimizer.rate", &o.rate, "be above 0 and finite");
        }
        match o.schedule {
            Schedule::Constant => {}
            Schedule::Step { every: 0, .. } => {
                return bad("optimizer.schedule.every", &0, "be at least 1");
            }
            Schedule::Step { factor, .. } => {
                if !(factor > 0.0 && factor <= 1.0) {
                    return bad("optimizer.schedule.factor", &factor, "lie in (0, 1]");
                }
            }
            Schedule::Cosine { floor, .. } => {
                if !(0.0..=1.0).contains(&floor) {
                    return bad("optimizer.schedule.floor", &floor, "lie in [0, 1]");
                }
            }
        }
        for (key, value) in [("optimizer.beta1", o.beta1), ("optimizer.beta2", o.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return bad(key, &value, "lie in [0, 1)");
            }
        }
        for (key, value) in [("optimizer.epsilon", o.epsilon), ("optimizer.decay", o.decay)] {
            if !(value >= 0.0 && value.is_finite()) {
                return bad(key, &value, "be at least 0 and finite");
            }
        }
        if let Some(clip) = o.clip
            && !(clip > 0.0 && clip.is_finite())
        {
            return bad("optimizer.clip", &clip, "be above 0 and finite");
        }
        if let Some(average) = o.average
            && !(0.0..1.0).contains(&average)
        {
            return bad("optimizer.average", &average, "lie in [0, 1)");
        }
        if self.weight_prior && o.decay != 0.0 {
            return bad("optimizer.decay", &o.decay, "be 0 when weight_prior is on");
        }
        Ok(())
    }

    /// Optimiser steps of the run over this number of training images. Fails with [`Error::Config`] if they exceed the
    /// 32-bit step number of the noise.
    pub fn steps(&self, images: usize) -> Result<u64> {
        let batches = self.epochs.saturating_mul(images.div_ceil(self.batch) as u64);
        let steps = batches.saturating_mul(self.model.updates());
        if steps > u64::from(u32::MAX) {
            return Err(Error::Config(format!(
                "{steps} optimiser steps exceed the limit of {}; choose fewer --epochs",
                u32::MAX
            )));
        }
        Ok(steps)
    }

    /// What of the schedules does not fit a run on `images` training images, a sentence each. Fails as
    /// [`Config::steps`] does.
    pub fn warnings(&self, images: usize) -> Result<Vec<String>> {
        let steps = self.steps(images)?;
        let mut warnings = Vec::new();
        let mut warn = |key: &str, value: u64, what: String| {
            warnings.push(format!("optimizer.{key} = {value}: {what}"));
        };
        let OptimizerConfig { warmup, schedule, rate, .. } = self.optimizer;
        if warmup >= steps && warmup > 0 {
            let most = rate * steps as f32 / warmup as f32;
            warn(
                "warmup",
                warmup,
                format!(
                    "the run has {steps} steps, so the rate rises to {most} only, not to {rate}"
                ),
            );
        }
        match schedule {
            Schedule::Cosine { total, floor } if (1..steps).contains(&total) => {
                let last = rate * floor;
                let what =
                    format!("the rate is {last} from step {total} of {steps} on; 0 spans the run");
                warn("schedule.total", total, what);
            }
            Schedule::Cosine { total, .. } if total > steps => {
                let last = rate * schedule.factor(steps - 1, warmup);
                let what =
                    format!("the run ends at step {steps}, at a rate of {last}; 0 spans the run");
                warn("schedule.total", total, what);
            }
            Schedule::Step { every, .. } if every >= steps => {
                warn(
                    "schedule.every",
                    every,
                    format!("the run has {steps} steps, so the rate never drops"),
                );
            }
            _ => {}
        }
        if let Some(warmup) = self.model.kl_warmup().filter(|&warmup| warmup >= steps) {
            warnings.push(format!(
                "model.kl_warmup = {warmup}: the run has {steps} steps, so the KL divergence never has its whole weight"
            ));
        }
        Ok(warnings)
    }

    /// The same without the place of the data on this machine, as a card holds them.
    pub fn without_place(mut self) -> Config {
        self.data.dir = "data".into();
        self
    }

    /// The text of `config.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are TOML: numbers, strings, tables")
    }
}

/// Whether the schedule's length follows from the number of epochs.
pub fn spans_the_run(config: &Config) -> bool {
    matches!(config.optimizer.schedule, Schedule::Cosine { total: 0, .. })
}

/// The settings that a checkpoint stores, which a resumed run must share. The others are blank: the number of epochs
/// (unless the schedule spans them), the folder of the data sets, the number of checkpoints to keep, and the reaction
/// to NaN or infinity.
pub fn shared(config: &Config) -> Config {
    let mut shared = config.clone();
    if !spans_the_run(config) {
        shared.epochs = 0;
    }
    shared.data.dir = PathBuf::new();
    shared.keep = 0;
    shared.score_test = true;
    (shared.patience, shared.score_best) = (0, false);
    shared.optimizer.on_nonfinite = OnNonfinite::Stop;
    shared
}
