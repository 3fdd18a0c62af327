//! `pixelloom export`: writes a run's weights and their model card to one file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::data::{self, Split};
use pixelloom::output::FileKind;
use pixelloom::report;
use pixelloom::run::RunDir;
use pixelloom::run::card::{Card, Training};
use pixelloom::settings::{self, Config};
use pixelloom::train::evaluate;
use pixelloom::{Device, Error, text};

use super::bar::Bar;
use super::locate::{Located, Source};
use super::machine::Machine;
use super::out::remark;
use super::out::{add, give, say};
use super::outputs::Outputs;

const EXAMPLES: &str = "\
Examples:
  pixelloom export digits --best --out digits.safetensors
  pixelloom export digits --half --out small.safetensors";

/// Write the weights of a run and a model card to one file
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    #[command(flatten)]
    source: Source,
    /// The file to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    /// Round the weights to half precision (f16), which halves the file; the card's scores are those of the rounded
    /// weights
    #[arg(long)]
    half: bool,
    /// Data set whose test split is scored for the card; may be repeated [default: the data set of the training]
    #[arg(long, value_name = "NAME")]
    score: Vec<String>,
    /// A caveat for the card that readers of its scores should know
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Folder that contains the data sets [default: that of the training]
    #[arg(long, value_name = "DIR", env = "PIXELLOOM_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

impl Export {
    pub fn run(&self) -> Result<()> {
        let out = self.outputs.open(&self.out, FileKind::Safetensors)?;
        let mut located = self.source.find()?;
        let Some(path) = &located.run else {
            return Err(Error::Config(
                "export needs a run, because the settings and scores are stored next to its checkpoints; name a run"
                    .into(),
            )
            .into());
        };
        let (run, config) = RunDir::open(path)?;
        located.announce()?;
        if self.half {
            located.checkpoint = located.checkpoint.halved()?;
        }
        self.machine.run(|device| {
            let card = self.card(&located, &run, config.clone(), device)?;
            located.checkpoint.export(&card, &out)?;
            add("files", &self.out);
            give("card", &card);
            say(&format!("{}: {card}", text::line(&self.out.display().to_string())))?;
            Ok(())
        })
    }

    fn card(
        &self,
        located: &Located,
        run: &RunDir,
        mut config: Config,
        device: &Device,
    ) -> Result<Card, Error> {
        let checkpoint = &located.checkpoint;
        if let Some(dir) = &self.data_dir {
            config.data.dir.clone_from(dir);
        }
        let trained = &checkpoint.data;
        let (data, fingerprint) = config.data.open_with_fingerprint(&remark)?;
        let data = settings::view(&checkpoint.model, data)?;
        let own = [data.name.clone()];
        let names = if self.score.is_empty() { &own[..] } else { &self.score };
        let figures = names.iter().map(|name| {
            let other = if *name == data.name {
                let file = checkpoint.path.display().to_string();
                trained
                    .remark(name, || fingerprint.clone(), &file)
                    .iter()
                    .for_each(|it| remark(it));
                None
            } else {
                let mode = (*name == trained.name).then_some(trained.binarization);
                let (options, dir) = (trained.options_for(name), &config.data.dir);
                let other = data::open_with(name, mode, options, dir, &remark)?;
                Some(settings::view(&checkpoint.model, other)?)
            };
            let bar = Bar::new(&format!("images of {name}"), 1);
            let progress = |done, of| drop(bar.of(done, of));
            let data = other.as_ref().unwrap_or(&data);
            let figure = evaluate::figure(checkpoint, data, device, &progress);
            bar.done();
            figure
        });
        let figures = figures.collect::<Result<Vec<_>, Error>>()?;
        config = config.without_place();
        Ok(Card {
            model: config.model.kind().into(),
            parameters: checkpoint.load(device)?.model().parameter_count(),
            half: checkpoint.half(),
            data: data.describe(Split::Train),
            settings: config.to_toml(),
            steps: checkpoint.step,
            training: training(run, checkpoint.step)?,
            command: settings::command(&config)?,
            history: checkpoint.history.clone(),
            figures,
            note: self.note.clone(),
        })
    }
}

/// Duration, device and threads, from the summary of a run that ended at `step`.
fn training(run: &RunDir, step: u64) -> Result<Option<Training>, Error> {
    let summary = report::summary(run.path())?;
    let training = || {
        (summary["steps"].as_u64()? == step).then_some(())?;
        Some(Training {
            seconds: summary["seconds"].as_f64()?,
            device: summary["device"].as_str()?.into(),
            threads: usize::try_from(summary["threads"].as_u64()?).ok()?,
        })
    };
    Ok(training())
}
