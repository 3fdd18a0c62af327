//! What a RUN or CHECKPOINT on the command line means.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;
use pixelloom::Error;
use pixelloom::data::{self, Binarization, DataSet, Fingerprint, ImageOptions};
use pixelloom::models::{AnyModel, ModelConfig};
use pixelloom::run::pretrained::{PRETRAINED, Pretrained};
use pixelloom::run::{Checkpoint, RunDir, TrainingStage, checkpoint};
use pixelloom::settings::{Config, Settings, view};
use pixelloom::text;

use super::out::{is_verbose, remark};

/// Folder of the runs.
static RUNS: OnceLock<PathBuf> = OnceLock::new();

/// Takes the folder of the runs.
pub fn set_runs(folder: &Path) {
    RUNS.get_or_init(|| folder.to_path_buf());
}

/// Folder of the runs.
pub fn runs() -> &'static Path {
    RUNS.get().map_or(Path::new("runs"), PathBuf::as_path)
}

#[derive(Args)]
pub struct Source {
    /// A run (its directory or its name in runs/), a checkpoint directory, a model file, or a bundled model (see
    /// `pixelloom models`)
    #[arg(value_name = "RUN|CHECKPOINT|MODEL")]
    path: PathBuf,
    /// Use the run's checkpoint with the best validation score instead of the newest
    #[arg(long)]
    best: bool,
    /// The preset of the model, for weights of another program, whose file has no settings
    #[arg(long, value_name = "NAME", help_heading = "Weights from elsewhere")]
    preset: Option<String>,
    /// A setting that differs from that preset; may be repeated
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        requires = "preset",
        help_heading = "Weights from elsewhere"
    )]
    set: Vec<String>,
}

/// How the user's own images are read.
#[derive(Args)]
pub struct OptionArgs {
    /// Crop and resize the images of a folder to N x N pixels [default: as in training]
    #[arg(long, value_name = "N", help_heading = "Data")]
    size: Option<usize>,
    /// Exchange rows and columns of IDX files, as EMNIST needs [default: as in training]
    #[arg(long, help_heading = "Data")]
    transpose: bool,
}

impl OptionArgs {
    /// The options, with the values of `usual` where a flag is missing.
    pub fn or(&self, usual: ImageOptions) -> ImageOptions {
        ImageOptions {
            size: self.size.or(usual.size),
            transpose: self.transpose || usual.transpose,
        }
    }
}

/// Flags that choose a data set other than the one the model was trained on.
#[derive(Args)]
pub struct DataArgs {
    /// Data set [default: that of the training, or the embedded digits for a bundled model]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    data: Option<String>,
    /// grey, fixed, dynamic or threshold [default: as in training]
    #[arg(long, value_name = "MODE", help_heading = "Data")]
    binarization: Option<String>,
    #[command(flatten)]
    options: OptionArgs,
    /// Folder that contains the data sets [default: that of the training]
    #[arg(long, value_name = "DIR", help_heading = "Data", env = "PIXELLOOM_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

/// A checkpoint and the run that it belongs to, where known.
pub struct Located {
    pub checkpoint: Checkpoint,
    pub run: Option<PathBuf>,
    /// Whether the model is bundled with the program.
    pretrained: bool,
    /// The flags that describe weights without settings.
    settings: Option<Config>,
}

impl Located {
    /// The trainings that led to these weights, oldest first, with settings in the form of a model card.
    pub fn stages(&self) -> Result<Vec<TrainingStage>, Error> {
        let settings = match (&self.run, self.checkpoint.card()?) {
            (_, Some(card)) => card.settings,
            (Some(run), None) => RunDir::open(run)?.1.without_place().to_toml(),
            (None, None) => String::new(),
        };
        Ok(self.checkpoint.stages(settings))
    }
}

/// Whether there is a file, a checkpoint or a run at `path`, and not a folder of something else.
fn is_model(path: &Path) -> bool {
    path.is_file()
        || ["model.safetensors", "checkpoints"].iter().any(|part| path.join(part).exists())
}

/// The run at `path`, or the run of that name in `runs/`.
pub fn run_path(path: &Path) -> PathBuf {
    let named = runs().join(path);
    if !is_model(path) && named.exists() { named } else { path.to_path_buf() }
}

impl Source {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds and reads the checkpoint.
    pub fn find(&self) -> Result<Located, Error> {
        find(&self.path, self.best, self.settings()?)
    }

    /// The settings of the model, if they were given.
    fn settings(&self) -> Result<Option<Config>, Error> {
        let Some(preset) = &self.preset else { return Ok(None) };
        let mut settings = Settings::layered(Some(preset), None, preset)?;
        self.set.iter().try_for_each(|assignment| settings.set(assignment))?;
        settings.config().map(Some)
    }
}

impl Located {
    /// Says which checkpoint it is: its card, in one line unless the user wants more, or where it lies. Commands call
    /// this when everything that can be refused was checked.
    pub fn announce(&self) -> Result<(), Error> {
        let checkpoint = &self.checkpoint;
        let path = text::line(&checkpoint.path.display().to_string());
        if checkpoint.unchecked() {
            remark(&format!(
                "note: {path}: another program rounded its weights, so its checksum was not compared"
            ));
        }
        match checkpoint.card()? {
            None if checkpoint.foreign => {
                remark(&format!("weights: {path} (from another program), with the given settings"));
            }
            Some(card) if is_verbose() => {
                format!("{path}: {card}").lines().for_each(remark);
            }
            Some(card) => remark(&format!("{path}: {}", card.in_short())),
            None => {
                let dir = checkpoint.path.parent().filter(|dir| dir.is_dir());
                let at = dir.unwrap_or(&checkpoint.path).display();
                remark(&format!("checkpoint: {at} (step {})", checkpoint.step));
            }
        }
        Ok(())
    }

    /// Checks the value of --class, if it was given. Fails with [`Error::Config`].
    pub fn check_class(&self, class: Option<usize>) -> Result<(), Error> {
        let Some(class) = class else { return Ok(()) };
        let flag = format!("--class {class}");
        let classes = classes(&self.outline()?, &flag)?;
        if class >= classes {
            return Err(Error::Config(format!(
                "{flag}: the model has the classes 0 to {}",
                classes - 1
            )));
        }
        Ok(())
    }

    /// The model without weights, to check what it supports before anything is loaded.
    pub fn outline(&self) -> Result<AnyModel, Error> {
        self.checkpoint.model.without_numbers()
    }
}

/// The number of the model's classes, which `flag` needs. Fails with [`Error::Config`] if it has none.
pub fn classes(model: &AnyModel, flag: &str) -> Result<usize, Error> {
    match model.autoregressive(flag)?.classes() {
        0 => Err(Error::Config(format!(
            "{flag}: the model was trained without labels; to train one with labels: pixelloom train pixelcnn --preset \
             digits-classes"
        ))),
        classes => Ok(classes),
    }
}

/// The checkpoint at `given`, or the newest or the best of the run there, or the model file, or the model
/// that comes with the program. `settings`: those for weights that have none.
pub fn find(given: &Path, best: bool, settings: Option<Config>) -> Result<Located, Error> {
    let path = run_path(given);
    let pretrained = Pretrained::find(given).filter(|_| !is_model(&path));
    if let Some(model) = pretrained {
        let (checkpoint, run) = (model.open()?, None);
        if settings.is_some() {
            return Err(Error::Config(format!(
                "{} comes with the settings of its model; leave out --preset and --set",
                given.display()
            )));
        }
        return Ok(Located { checkpoint, run, pretrained: true, settings });
    }
    let (dir, run) = if path.is_file() {
        (path, None)
    } else if path.join("model.safetensors").is_file() {
        // RUN/checkpoints/step-NNNNNNNN
        let run = path.canonicalize().ok().and_then(|p| p.ancestors().nth(2).map(Path::to_owned));
        (path, run.filter(|run| run.join("config.toml").is_file()))
    } else if path.join("checkpoints").is_dir() {
        let (run, _) = RunDir::open(&path)?;
        let newest = run.newest()?;
        let dir = match checkpoint::State::open(&newest)?.position.best {
            Some((step, _)) if best => run.checkpoint(step),
            None if best => {
                return Err(Error::Checkpoint(format!(
                    "{} has no evaluation yet, so no best checkpoint; leave out --best",
                    path.display()
                )));
            }
            _ => newest,
        };
        (dir, Some(path))
    } else {
        return Err(Error::Checkpoint(format!(
            "{} is neither a run nor a checkpoint (it contains no model.safetensors and no checkpoints/), \
             and no bundled model ({}) has this name; train one with `pixelloom train`",
            given.display(),
            PRETRAINED.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
        )));
    };
    let checkpoint = match &settings {
        None => Checkpoint::open(&dir)?,
        Some(_) => Checkpoint::open_any(&dir, settings.as_ref())?.expect("it has settings"),
    };
    Ok(Located { checkpoint, run, pretrained: false, settings })
}

/// The model of the weights at `path`; `None` if another program wrote them and they have no settings.
pub fn model_of(path: &Path) -> Result<Option<ModelConfig>, Error> {
    let file = run_path(path);
    if file.is_file() {
        return Ok(Checkpoint::open_any(&file, None)?.map(|checkpoint| checkpoint.model));
    }
    Ok(Some(find(path, false, None)?.checkpoint.model))
}

impl DataArgs {
    /// Opens the data set of the training, or the one given by the flags, in the form that the model expects.
    pub fn open(&self, located: &Located) -> Result<DataSet, Error> {
        view(&located.checkpoint.model, self.read(located)?)
    }

    /// As [`DataArgs::open`], to score the model; with a remark if the images are not those of the training.
    pub fn open_to_score(&self, located: &Located) -> Result<(DataSet, Option<String>), Error> {
        let (data, checkpoint) = (self.read(located)?, &located.checkpoint);
        // What comes with the program was trained elsewhere.
        let remark = || {
            let (now, what) = (|| Fingerprint::of(&data), checkpoint.path.display().to_string());
            checkpoint.data.remark(&data.name, now, &what)
        };
        let note = (!located.pretrained && !checkpoint.foreign).then(remark).flatten();
        Ok((view(&checkpoint.model, data)?, note))
    }

    /// As [`DataArgs::open`], before the model sees it.
    pub fn read(&self, located: &Located) -> Result<DataSet, Error> {
        let trained = &located.checkpoint.data;
        // Bundled models default to the embedded digits, so no download is needed.
        let usual = if located.pretrained { "digits" } else { &trained.name };
        let name = self.data.as_deref().unwrap_or(usual);
        let binarization = match &self.binarization {
            Some(mode) => Some(mode.parse::<Binarization>()?),
            None => match &located.settings {
                Some(settings) if name == trained.name => settings.data.binarization,
                Some(_) => None,
                None => (name == trained.name).then_some(trained.binarization),
            },
        };
        let dir = match (&self.data_dir, &located.run) {
            (Some(dir), _) => dir.clone(),
            (None, Some(run)) => RunDir::open(run)?.1.data.dir,
            (None, None) => PathBuf::from("data"),
        };
        let options = self.options.or(trained.options_for(name));
        data::open_with(name, binarization, options, &dir, &remark)
    }
}
