//! `pixelloom reproduce`: prints the commands that trained a model and, with `--run`, repeats the training.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Parser};
use pixelloom::data::thousands;
use pixelloom::run::card::Card;
use pixelloom::run::history::{Repeat, repeats};
use pixelloom::run::{Checkpoint, RunDir, TrainingStage, checkpoint};
use pixelloom::settings::{Config, arguments, in_shell};
use pixelloom::{Error, text};

use super::locate::{self, Source};
use super::machine::Machine;
use super::out::{add, give, remark, say};
use super::{Cli, Command};

const EXAMPLES: &str = "\
Examples:
  pixelloom reproduce diagbilstm
  pixelloom reproduce benches/checkpoints/vae-784-500-20.safetensors --run --data-dir data";

/// Print the commands of all stages that trained a model; with --run, run them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Reproduce {
    #[command(flatten)]
    source: Source,
    /// Run the commands, resume stages that were interrupted, and compare the result with the card
    #[arg(long)]
    run: bool,
    /// Folder that contains the data sets [default: data]
    #[arg(long, value_name = "DIR", env = "PIXELLOOM_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// A chain of trainings to repeat.
struct Chain {
    stages: Vec<TrainingStage>,
    repeats: Vec<Repeat>,
    /// The stem of the names of the runs and the file.
    name: String,
    card: Option<Card>,
}

impl Reproduce {
    pub fn run(&self) -> Result<()> {
        let located = self.source.find()?;
        let name = self.source.path().file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{name}-again");
        let stages = located.stages()?;
        if stages.is_empty() {
            return Err(Error::Config(format!(
                "{} has weights of another program, and it is not recorded how they were trained",
                self.source.path().display()
            ))
            .into());
        }
        let repeats = repeats(&stages, &name, locate::runs())?;
        let card = located.checkpoint.card()?;
        let chain = Chain { stages, repeats, name, card };
        chain.remark();
        for (i, TrainingStage { steps, data, .. }) in chain.stages.iter().enumerate() {
            let (of, steps) = (chain.stages.len(), thousands(*steps as usize));
            say(&format!("# stage {} of {of}: {steps} steps on {}", i + 1, data.name))?;
            say(&in_shell(&self.train(&chain, i)?))?;
        }
        say("# weights, card and figures")?;
        say(&in_shell(&self.export(&chain)))?;
        give("stages", &chain.stages);
        if self.run { self.repeat(&chain, &located.checkpoint) } else { Ok(()) }
    }

    /// The arguments that train stage `i`.
    fn train(&self, chain: &Chain, i: usize) -> Result<Vec<String>, Error> {
        let Repeat { config, name, until } = &chain.repeats[i];
        let mut words = arguments(config)?;
        words.extend(["--name".into(), name.clone()]);
        words.extend(until.iter().flat_map(|step| ["--until".into(), step.to_string()]));
        Ok(self.on_this_machine(words))
    }

    /// The arguments that resume stage `i`.
    fn resume(&self, chain: &Chain, i: usize) -> Vec<String> {
        let Repeat { config, name, until } = &chain.repeats[i];
        let mut words =
            ["train", config.model.kind(), "--resume", "--name", name].map(String::from).to_vec();
        words.extend(until.iter().flat_map(|step| ["--until".into(), step.to_string()]));
        self.on_this_machine(words)
    }

    /// The arguments that export the last run's weights with the same options as the original.
    fn export(&self, chain: &Chain) -> Vec<String> {
        let run = &chain.repeats.last().expect("a chain has a stage").name;
        let out = format!("{}.safetensors", chain.name);
        let mut words = ["export", run, "--out", &out].map(String::from).to_vec();
        if let Some(card) = &chain.card {
            words.extend(card.half.then(|| "--half".to_string()));
            let sets = card.figures.iter().map(|figure| figure.data.clone());
            words.extend(sets.flat_map(|set| ["--score".into(), set]));
        }
        self.on_this_machine(words)
    }

    fn on_this_machine(&self, mut words: Vec<String>) -> Vec<String> {
        let dir = self.data_dir.iter();
        words.extend(dir.flat_map(|dir| ["--data-dir".into(), dir.display().to_string()]));
        words.extend(self.machine.arguments());
        words
    }

    /// Runs the stages that are not finished yet, and compares the result with the original.
    fn repeat(&self, chain: &Chain, original: &Checkpoint) -> Result<()> {
        for (i, stage) in chain.stages.iter().enumerate() {
            let path = locate::runs().join(&chain.repeats[i].name);
            let words = match done(&path, &chain.repeats[i].config)? {
                None => self.train(chain, i)?,
                Some(step) if step >= stage.steps => continue,
                Some(_) => self.resume(chain, i),
            };
            execute(&words)?;
        }
        execute(&self.export(chain))?;
        let file = PathBuf::from(format!("{}.safetensors", chain.name));
        let again = Checkpoint::open(&file)?;
        chain.compare_images(&again);
        compare(chain.card.as_ref(), again.card()?.as_ref())?;
        let difference = again.difference(original);
        give("largest_difference", difference);
        let says = match difference {
            Some(0.0) => "identical to the original, bit for bit".to_string(),
            Some(difference) => format!(
                "differ from the original by up to {difference:.1e}; other devices and instruction sets \
                 round differently, and stages that were stopped early may not have ended at the same step"
            ),
            None => "have other shapes than the original".to_string(),
        };
        Ok(say(&format!("weights: {says}"))?)
    }
}

impl Chain {
    /// Prints a note if the chain starts from weights of unknown origin.
    fn remark(&self) {
        let first = self.repeats.first().and_then(|first| first.config.init.as_ref());
        if let Some(init) = first {
            let init = init.display();
            remark(&format!("note: stage 1 starts from {init}, whose own history is unknown"));
        }
    }

    /// Warns about stages that were trained on other images than in the original.
    fn compare_images(&self, again: &Checkpoint) {
        let now = again.stages(String::new());
        for (i, (stage, now)) in self.stages.iter().zip(&now).enumerate() {
            let (then, now) = (&stage.data.fingerprint, &now.data.fingerprint);
            if then.is_some() && then != now {
                let (number, name) = (i + 1, &stage.data.name);
                remark(&format!(
                    "warning: {name} contains other images than in stage {number} of the original"
                ));
            }
        }
    }
}

/// The newest step of the run at `path`, if there is one. Fails with [`Error::Config`] if that run has other settings
/// than `config`.
fn done(path: &Path, config: &Config) -> Result<Option<u64>, Error> {
    if !path.join("config.toml").is_file() {
        return Ok(None);
    }
    let (run, own) = RunDir::open(path)?;
    if arguments(&own)? != arguments(config)? {
        return Err(Error::Config(format!(
            "{} is a run with other settings than this stage; move it away",
            path.display()
        )));
    }
    let newest = run.newest()?;
    Ok(newest.file_name().and_then(|name| checkpoint::step_of(&name.to_string_lossy())))
}

/// Runs a command of this program.
fn execute(words: &[String]) -> Result<()> {
    remark(&in_shell(words));
    let all = std::iter::once("pixelloom").chain(words.iter().map(String::as_str));
    match Cli::try_parse_from(all)?.command {
        Command::Train(train) => train.run(),
        Command::Export(export) => export.run(),
        _ => unreachable!("a chain consists of train and export"),
    }
}

/// Prints the scores of both cards side by side.
fn compare(original: Option<&Card>, again: Option<&Card>) -> Result<()> {
    let (Some(original), Some(again)) = (original, again) else { return Ok(()) };
    for figure in &original.figures {
        let same = again.figures.iter().find(|other| other.what == figure.what);
        let now = same.map_or("not scored", |other| &other.text);
        add(
            "figures",
            serde_json::json!({"what": figure.what, "original": figure.nats, "again": same.map(|f| f.nats)}),
        );
        let line = format!("{}: {now}; the original: {}", figure.what, figure.text);
        say(&text::line(&line))?;
    }
    Ok(())
}
