//! The flags that set settings, shared by `train` and `config show`: a preset, then a file, then single settings.

use std::path::{Path, PathBuf};

use clap::Args;
use pixelloom::Error;
use pixelloom::data::{DataSet, Fingerprint};
use pixelloom::settings::{Settings, layers, presets};
use toml::{Table, Value};

use super::kind::Kind;
use super::locate;
use super::out::remark;

#[derive(Args)]
pub struct SettingsArgs {
    /// Named settings to start from, see `pixelloom presets` [default: the first of the model]
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    pub preset: Option<String>,
    /// A TOML file of settings, on top of the preset
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Start from these weights and the sizes of their model: a run, a checkpoint, a model file, or a bundled model; or
    /// from a .safetensors file of another program, for a model of the sizes that the other settings give
    #[arg(long, value_name = "RUN|CHECKPOINT|MODEL", help_heading = "Settings")]
    init: Option<String>,
    /// Any setting, such as model.hidden=300 or model.method=wake-sleep; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Passes over the training images
    #[arg(long, value_name = "N", help_heading = "Settings")]
    epochs: Option<i64>,
    /// Batch size
    #[arg(long, value_name = "N", help_heading = "Settings")]
    batch: Option<i64>,
    /// Seed of initial weights, image order, binarization and noise
    #[arg(long, value_name = "N", help_heading = "Settings",
          value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Learning rate
    #[arg(long, value_name = "X", help_heading = "Settings")]
    rate: Option<f64>,
    /// sgd, adagrad, rmsprop or adam
    #[arg(long, value_name = "RULE", help_heading = "Settings")]
    optimizer: Option<String>,
    /// What to do on NaN or infinity: stop, or skip the step
    #[arg(long, value_name = "WHAT", help_heading = "Settings")]
    on_nonfinite: Option<String>,
    /// Hidden units (vae; LSTMs of draw and classifier), or feature maps h of a pixel model's layers
    #[arg(long, value_name = "N", help_heading = "Settings")]
    hidden: Option<i64>,
    /// Number of layers (pixel models)
    #[arg(long, value_name = "N", help_heading = "Settings")]
    layers: Option<i64>,
    /// Latent dimensions (vae), or latent dimensions per glimpse (draw)
    #[arg(long, value_name = "N", help_heading = "Settings")]
    latent: Option<i64>,
    /// Number of glimpses (draw, classifier)
    #[arg(long, value_name = "N", help_heading = "Settings")]
    glimpses: Option<i64>,
    /// Data set, see `pixelloom data`; folder:PATH for a folder of PNG or JPEG images, idx:PATH for IDX files
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    pub data: Option<String>,
    /// grey, fixed, dynamic or threshold
    #[arg(long, value_name = "MODE", help_heading = "Settings")]
    binarization: Option<String>,
    /// Crop and resize the images of a folder to N x N pixels
    #[arg(long, value_name = "N", help_heading = "Settings")]
    size: Option<i64>,
    /// Exchange rows and columns of IDX files, as EMNIST needs
    #[arg(long, help_heading = "Settings")]
    transpose: bool,
    /// Folder that contains the data sets
    #[arg(long, value_name = "DIR", help_heading = "Settings", env = "PIXELLOOM_DATA_DIR")]
    data_dir: Option<String>,
    /// Steps between lines of metrics
    #[arg(long, value_name = "N", help_heading = "Settings")]
    log_every: Option<i64>,
    /// Epochs between evaluations; each also writes a checkpoint and samples
    #[arg(long, value_name = "N", help_heading = "Settings")]
    eval_every: Option<i64>,
    /// Weight of the KL divergence in the loss of a vae or draw [default: 1]; scores stay the true bound
    #[arg(long, value_name = "X", help_heading = "Settings")]
    beta: Option<f64>,
    /// Optimiser steps over which this weight rises from 0
    #[arg(long, value_name = "N", help_heading = "Settings")]
    kl_warmup: Option<i64>,
    /// Stop after N evaluations without a better validation score
    #[arg(long, value_name = "N", help_heading = "Settings",
          value_parser = clap::value_parser!(i64).range(0..))]
    patience: Option<i64>,
    /// At the end score the weights with the best validation score, not the last ones
    #[arg(long, help_heading = "Settings")]
    score_best: bool,
    /// Score the test split at the end (presets of the embedded digits do)
    #[arg(long, help_heading = "Settings")]
    score_test: bool,
    /// Overfit one batch, to check that a model can learn at all: all splits consist of the first training images
    #[arg(long, help_heading = "Settings")]
    pub overfit_batch: bool,
}

impl SettingsArgs {
    /// The settings from the preset, then the file, then the flags. Without `kind`, the preset determines the model.
    /// Fails with [`Error::Config`], also if the preset is of another kind.
    pub fn resolve(&self, kind: Option<Kind>) -> Result<Settings, Error> {
        let kind_or_any = kind.map_or("vae", Kind::name);
        let default = presets::default_of(kind_or_any).name;
        let file = self.config.as_deref();
        let mut settings = Settings::layered(self.preset.as_deref(), file, default)?;
        let named = settings.config()?;
        if let Some(kind) = kind {
            kind.check(&named, &format!("the preset {}", named.preset))?;
        }
        if let Some(init) = &self.init {
            // For weights of another program, the other settings describe the model.
            if let Some(model) = locate::model_of(Path::new(init))? {
                settings.begin_with(&model, init)?;
            }
        }
        self.put(&mut settings)?;
        Ok(settings)
    }

    /// Opens the data set of `settings`, and returns it with the fingerprint of the set without its limit. With
    /// --overfit-batch, settings and data set become those of the first batch.
    pub fn open(&self, settings: &mut Settings) -> Result<(DataSet, Fingerprint), Error> {
        let (data, fingerprint) = settings.config()?.data.open_with_fingerprint(&remark)?;
        if !self.overfit_batch {
            return Ok((data, fingerprint));
        }
        let data = settings.overfit(data)?;
        let fingerprint = Fingerprint::of(&data);
        Ok((data, fingerprint))
    }

    /// Overrides `settings` with the flags.
    pub fn put(&self, settings: &mut Settings) -> Result<(), Error> {
        let integers = [
            ("--epochs", "epochs", self.epochs),
            ("--batch", "batch", self.batch),
            ("--seed", "seed", self.seed),
            ("--log-every", "log_every", self.log_every),
            ("--eval-every", "eval_every", self.eval_every),
            ("--hidden", "model.hidden", self.hidden),
            ("--layers", "model.layers", self.layers),
            ("--latent", "model.latent", self.latent),
            ("--glimpses", "model.glimpses", self.glimpses),
            ("--kl-warmup", "model.kl_warmup", self.kl_warmup),
            ("--patience", "patience", self.patience),
            ("--size", "data.size", self.size),
        ];
        let strings = [
            ("--init", "init", &self.init),
            ("--optimizer", "optimizer.rule", &self.optimizer),
            ("--on-nonfinite", "optimizer.on_nonfinite", &self.on_nonfinite),
            ("--data", "data.name", &self.data),
            ("--binarization", "data.binarization", &self.binarization),
            ("--data-dir", "data.dir", &self.data_dir),
        ];
        let numbers = integers.into_iter().map(|(flag, key, n)| (flag, key, n.map(Value::Integer)));
        let texts = strings
            .into_iter()
            .map(|(flag, key, text)| (flag, key, text.clone().map(Value::String)));
        let rate = ("--rate", "optimizer.rate", self.rate.map(Value::Float));
        let beta = ("--beta", "model.beta", self.beta.map(Value::Float));
        // A data set or optimiser resets its own settings, so flags that change those come after it.
        let mut first = texts.collect::<Vec<_>>();
        first.extend(numbers.chain([rate, beta]));
        for (flag, key, value) in first {
            if let Some(value) = value {
                let mut layer = Table::new();
                layers::insert(&mut layer, key, value);
                settings.overlay(layer, flag)?;
            }
        }
        for (given, key, flag) in [
            (self.transpose, "data.transpose", "--transpose"),
            (self.score_test, "score_test", "--score-test"),
            (self.score_best, "score_best", "--score-best"),
        ] {
            if given {
                settings.put(key, Value::Boolean(true), flag)?;
            }
        }
        self.set.iter().try_for_each(|assignment| settings.set(assignment))
    }
}
