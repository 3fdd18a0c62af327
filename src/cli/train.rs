//! `pixelloom train`: a preset, then a file, then flags; a run directory comes out.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use pixelloom::Error;
use pixelloom::bench::table::by_kernel;
use pixelloom::profile::Profile;
use pixelloom::train::{
    Config, Job, Ranks, Resume, RunDir, Settings, Summary, presets, settings, train,
};
use toml::{Table, Value};

use super::locate::RUNS;
use super::machine::Machine;
use super::{complain, say};

#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Variational auto-encoder (Auto-Encoding Variational Bayes)
    Vae,
    /// PixelCNN (Pixel Recurrent Neural Networks)
    Pixelcnn,
    /// PixelRNN of Row LSTM layers
    Rowlstm,
    /// PixelRNN of Diagonal BiLSTM layers
    Diagbilstm,
    /// Multi-Scale PixelRNN: a small image, then larger ones given it
    Multiscale,
    /// DRAW: images written and read by attentive glimpses
    Draw,
    /// Classifier by attentive glimpses (DRAW, section 4.1); needs images with labels
    Classifier,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vae => "vae",
            Kind::Pixelcnn => "pixelcnn",
            Kind::Rowlstm => "rowlstm",
            Kind::Diagbilstm => "diagbilstm",
            Kind::Multiscale => "multiscale",
            Kind::Draw => "draw",
            Kind::Classifier => "classifier",
        }
    }

    /// That `config`, of `what`, is of this kind.
    fn check(self, config: &Config, what: &str) -> Result<(), Error> {
        let (kind, asked) = (config.model.kind(), self.name());
        if kind == asked {
            return Ok(());
        }
        Err(Error::Config(format!(
            "{what} is a {kind}, not a {asked}; say `pixelloom train {kind}`, or name a {asked}"
        )))
    }
}

/// Which checkpoint a run goes on from.
#[derive(Clone, Copy, ValueEnum)]
enum ResumeFrom {
    Newest,
    Auto,
}

/// Train a model and leave a run directory: settings, metrics, checkpoints, samples, report
#[derive(Args)]
pub struct Train {
    /// The model
    #[arg(value_enum)]
    model: Kind,

    /// Named settings to begin with, see `pixelloom presets` [default: the
    /// first of the model]
    #[arg(long, value_name = "NAME", help_heading = "Settings", conflicts_with = "resume")]
    preset: Option<String>,
    /// A TOML file of settings, on top of the preset
    #[arg(long, value_name = "FILE", help_heading = "Settings", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Any setting, such as model.hidden=300 or model.method=wake-sleep; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Passes over the training images
    #[arg(long, value_name = "N", help_heading = "Settings")]
    epochs: Option<i64>,
    /// Images of a step
    #[arg(long, value_name = "N", help_heading = "Settings")]
    batch: Option<i64>,
    /// Seed of weights, order, bits and noise
    #[arg(long, value_name = "N", help_heading = "Settings",
          value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Learning rate
    #[arg(long, value_name = "X", help_heading = "Settings")]
    rate: Option<f64>,
    /// sgd, adagrad, rmsprop or adam
    #[arg(long, value_name = "RULE", help_heading = "Settings")]
    optimizer: Option<String>,
    /// stop, or skip: leave out steps whose numbers are not finite
    #[arg(long, value_name = "WHAT", help_heading = "Settings")]
    on_nonfinite: Option<String>,
    /// Hidden units of a vae and of the LSTMs of draw and classifier, maps h of a pixel model's layers
    #[arg(long, value_name = "N", help_heading = "Settings")]
    hidden: Option<i64>,
    /// Layers of a pixel model
    #[arg(long, value_name = "N", help_heading = "Settings")]
    layers: Option<i64>,
    /// Latent dimensions of a vae, of each glimpse of draw
    #[arg(long, value_name = "N", help_heading = "Settings")]
    latent: Option<i64>,
    /// Glimpses of draw and classifier
    #[arg(long, value_name = "N", help_heading = "Settings")]
    glimpses: Option<i64>,
    /// Data set, see `pixelloom data`; folder:PATH for a folder of PNG images
    #[arg(long, value_name = "NAME", help_heading = "Settings")]
    data: Option<String>,
    /// grey, fixed, dynamic or threshold
    #[arg(long, value_name = "MODE", help_heading = "Settings")]
    binarization: Option<String>,
    /// Folder of the data sets
    #[arg(long, value_name = "DIR", help_heading = "Settings")]
    data_dir: Option<String>,
    /// Steps between lines of metrics
    #[arg(long, value_name = "N", help_heading = "Settings")]
    log_every: Option<i64>,
    /// Epochs between evaluations, each with a checkpoint and samples
    #[arg(long, value_name = "N", help_heading = "Settings")]
    eval_every: Option<i64>,

    /// Name of the run, below runs/ [default: the preset's]
    #[arg(long, value_name = "NAME", help_heading = "Run directory")]
    name: Option<String>,
    /// Directory of the run, wherever
    #[arg(long, value_name = "DIR", help_heading = "Run directory", conflicts_with = "name")]
    out: Option<PathBuf>,
    /// Replace a run that is there
    #[arg(long, help_heading = "Run directory", conflicts_with = "resume")]
    force: bool,
    /// Go on from the newest checkpoint of the run, exactly as if it had not stopped; with =auto from the
    /// newest whole one, if later ones are damaged
    #[arg(long, value_enum, value_name = "FROM", help_heading = "Run directory",
          num_args = 0..=1, require_equals = true, default_missing_value = "newest")]
    resume: Option<ResumeFrom>,

    /// Time every kernel of the training steps, and print a table at the end; training is slower then
    /// on a GPU, and its figures are the same
    #[arg(long, help_heading = "Machine")]
    profile: bool,
    #[command(flatten)]
    machine: Machine,
}

impl Train {
    pub fn run(&self) -> Result<()> {
        let ranks = Ranks::enter()?;
        if !ranks.is_first() {
            return self.follow(ranks);
        }
        let default = presets::default_of(self.model.name()).name;
        if let Some(from) = self.resume {
            let resume = match from {
                ResumeFrom::Newest => Resume::Newest,
                ResumeFrom::Auto => Resume::NewestWhole,
            };
            let name = self.preset.as_deref().unwrap_or(default);
            let (run, saved) = RunDir::open(&self.directory(name))?;
            self.model.check(&saved, &format!("the run {}", run.path().display()))?;
            let mut settings = Settings::new(&saved);
            self.flags(&mut settings)?;
            let data = settings.config()?.data.open(&complain)?;
            let (config, data) = settings.fit(data)?;
            run.newest()?;
            ranks.tell_text(config.to_toml());
            return self.machine.run(|device| {
                let device = device.clone();
                let command = command_line();
                self.train(Job { config, data, device, run, ranks, resume, command })
            });
        }
        let file = self.config.as_deref();
        let mut settings = Settings::layered(self.preset.as_deref(), file, default)?;
        let named = settings.config()?;
        self.model.check(&named, &format!("the preset {}", named.preset))?;
        self.flags(&mut settings)?;
        let data = settings.config()?.data.open(&complain)?;
        let (config, data) = settings.fit(data)?;
        let path = self.directory(&config.preset);
        self.machine.run(|device| {
            let run = RunDir::create(&path, &config, self.force)?;
            ranks.tell_text(config.to_toml());
            let (device, command) = (device.clone(), command_line());
            self.train(Job { config, data, device, run, ranks, resume: Resume::No, command })
        })
    }

    /// Trains beside rank 0, which tells the settings and does all that is seen of a run.
    fn follow(&self, ranks: Ranks) -> Result<()> {
        let text = ranks.tell_text(String::new());
        let config: Config = toml::from_str(&text).map_err(|e| Error::Config(e.to_string()))?;
        let data = config.data.open(&complain)?;
        let (config, data) = Settings::new(&config).fit(data)?;
        let run = RunDir::of_another_rank(&self.directory(&config.preset));
        self.machine.run(|device| {
            let (device, command) = (device.clone(), command_line());
            match train(Job { config, data, device, run, ranks, resume: Resume::No, command }, None)
            {
                // Rank 0 says so.
                Err(Error::Interrupted(_)) => Ok(()),
                outcome => Ok(outcome.map(drop)?),
            }
        })
    }

    /// Trains and prints what came of it; the table by kernel also when a signal ends the run.
    fn train(&self, job: Job) -> Result<()> {
        let mut profile = self.profile.then(Profile::default);
        let outcome = train(job, profile.as_mut());
        if let Some(profile) = profile.filter(|profile| profile.runs > 0) {
            say(&by_kernel(&profile, "step").to_string())?;
        }
        outcome?.map_or(Ok(()), |summary| self.outcome(summary))
    }

    fn directory(&self, default: &str) -> PathBuf {
        match (&self.out, &self.name) {
            (Some(out), _) => out.clone(),
            (None, Some(name)) => Path::new(RUNS).join(name),
            (None, None) => Path::new(RUNS).join(default),
        }
    }

    /// Puts the flags on top.
    fn flags(&self, settings: &mut Settings) -> Result<(), Error> {
        let integers = [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("seed", self.seed),
            ("log_every", self.log_every),
            ("eval_every", self.eval_every),
            ("model.hidden", self.hidden),
            ("model.layers", self.layers),
            ("model.latent", self.latent),
            ("model.glimpses", self.glimpses),
        ];
        let strings = [
            ("optimizer.rule", &self.optimizer),
            ("optimizer.on_nonfinite", &self.on_nonfinite),
            ("data.name", &self.data),
            ("data.binarization", &self.binarization),
            ("data.dir", &self.data_dir),
        ];
        let mut layer = Table::new();
        let mut put = |key, value: Option<Value>| {
            if let Some(value) = value {
                settings::insert(&mut layer, key, value);
            }
        };
        integers.into_iter().for_each(|(key, value)| put(key, value.map(Value::Integer)));
        strings.into_iter().for_each(|(key, value)| put(key, value.clone().map(Value::String)));
        put("optimizer.rate", self.rate.map(Value::Float));
        // Another data set or optimiser brings its own settings; what --set says comes after those.
        settings.overlay(layer)?;
        self.set.iter().try_for_each(|assignment| settings.set(assignment))
    }

    fn outcome(&self, summary: Summary) -> Result<()> {
        let Summary { what, device, score, text, .. } = &summary;
        if let Some(note) = &summary.note {
            complain(&format!("note: {note}"));
        }
        if let Some(warning) = &summary.warning {
            complain(&format!("warning: {warning}"));
        }
        say(&format!("test {score}: {text} ({what}, {device})"))?;
        Ok(())
    }
}

fn command_line() -> String {
    let arguments = std::env::args_os().skip(1);
    let words = arguments.map(|word| word.to_string_lossy().into_owned());
    std::iter::once("pixelloom".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}
