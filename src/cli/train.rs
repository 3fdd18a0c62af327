//! `pixelloom train`: trains a model with settings from a preset, a file and flags, and writes a run directory.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use pixelloom::bench::table::by_kernel;
use pixelloom::data::{DataSet, Fingerprint, thousands};
use pixelloom::profile::Profile;
use pixelloom::ranks::{self, Ranks};
use pixelloom::run::{Checkpoint, RunDir};
use pixelloom::settings::{self, Config, Settings, in_shell, presets};
use pixelloom::train::dry_run::{self, DryRun};
use pixelloom::train::memory::Step;
use pixelloom::train::{Job, Resume, Summary, train};
use pixelloom::{Device, Error};

use super::kind::Kind;
use super::locate::{self, Located};
use super::machine::Machine;
use super::out::{give, give_all, remark, say};
use super::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  pixelloom train vae
  pixelloom train diagbilstm --preset mnist-diagbilstm-7 --name best
  pixelloom train draw --glimpses 10 --set model.attention=false --dry-run
  pixelloom train pixelcnn --overfit-batch
  pixelloom train vae --resume
  pixelloom train diagbilstm --init diagbilstm --rate 0.0003 --epochs 2 --name tuned";

/// Which checkpoint a run is resumed from.
#[derive(Clone, Copy, ValueEnum)]
enum ResumeFrom {
    Newest,
    Auto,
}

/// Train a model and write a run directory: settings, metrics, checkpoints, samples, report
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// The model
    #[arg(value_enum)]
    model: Kind,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Name of the run, in runs/ [default: the preset's name]
    #[arg(long, value_name = "NAME", help_heading = "Run directory", value_parser = below)]
    name: Option<String>,
    /// Directory of the run, anywhere
    #[arg(long, value_name = "DIR", help_heading = "Run directory", conflicts_with = "name")]
    out: Option<PathBuf>,
    /// Replace an existing run; other files in its directory are kept
    #[arg(long, help_heading = "Run directory", conflicts_with = "resume")]
    force: bool,
    /// Resume from the newest checkpoint of the run, exactly as if it had not stopped; with =auto, skip damaged
    /// checkpoints
    #[arg(long, value_enum, value_name = "FROM", help_heading = "Run directory",
          num_args = 0..=1, require_equals = true, default_missing_value = "newest",
          conflicts_with_all = ["preset", "config", "init", "overfit_batch"])]
    resume: Option<ResumeFrom>,
    /// Stop at this step and save, like an interrupted run; continue with --resume
    #[arg(long, value_name = "STEP", help_heading = "Run directory",
          value_parser = clap::value_parser!(u64).range(1..))]
    until: Option<u64>,
    /// Run one step, print the settings, the number of parameters and the memory of a step, and write nothing
    #[arg(long, help_heading = "Run directory", conflicts_with_all = ["resume", "force", "profile"])]
    dry_run: bool,

    /// Time every kernel of the training steps and print a table at the end; this slows down training on a GPU but does
    /// not change its results
    #[arg(long, help_heading = "Machine")]
    profile: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Accepts a relative path that stays inside its parent folder.
fn below(name: &str) -> Result<String, String> {
    let mut parts = Path::new(name).components().peekable();
    if parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_))) {
        return Ok(name.to_string());
    }
    Err("expected a name inside runs/; use --out for any other directory".into())
}

impl Train {
    pub fn run(&self) -> Result<()> {
        if self.dry_run {
            ranks::refuse("a dry run")?;
            let mut settings = self.settings.resolve(Some(self.model))?;
            let (data, _) = self.settings.open(&mut settings)?;
            let (config, data) = settings.fit(data)?;
            warn(&config, &data)?;
            give("settings", &config);
            say(settings.explain(&config).trim_end())?;
            return self.machine.run(|device| dry_run(&config, &data, device));
        }
        let ranks = Ranks::enter()?;
        if !ranks.is_first() {
            return self.follow(ranks);
        }
        match self.resume {
            Some(from) => self.resume_run(from, ranks),
            None => self.begin(ranks),
        }
    }

    /// Resumes a run.
    fn resume_run(&self, from: ResumeFrom, ranks: Ranks) -> Result<()> {
        let resume = match from {
            ResumeFrom::Newest => Resume::Newest,
            ResumeFrom::Auto => Resume::NewestWhole,
        };
        let default = presets::default_of(self.model.name()).name;
        let (run, mut saved) = RunDir::open(&self.directory(default))?;
        self.model.check(&saved, &format!("the run {}", run.path().display()))?;
        if let Some(name) = self.settings.data.as_ref().filter(|name| saved.data.may_be(name)) {
            // The same data at another path, so limit and binarization stay.
            saved.data.name.clone_from(name);
        }
        let mut settings = Settings::new(&saved);
        self.settings.put(&mut settings)?;
        let (data, fingerprint) = self.settings.open(&mut settings)?;
        let (config, data) = settings.fit(data)?;
        warn(&config, &data)?;
        run.newest()?;
        ranks.tell_text(config.to_toml());
        // Record the original command, so that the run can be reproduced.
        let begun = settings::command(&config);
        let command = match begun {
            Ok(begun) => format!("{begun}; resumed by {}", command_line()),
            Err(_) => command_line(),
        };
        self.machine.run(|device| {
            fits(&config, &data, ranks, device)?;
            let job = self.job(config, (data, fingerprint), device, run, ranks);
            self.train(Job { resume, command, ..job })
        })
    }

    /// Starts a new run.
    fn begin(&self, ranks: Ranks) -> Result<()> {
        let mut settings = self.settings.resolve(Some(self.model))?;
        let (data, fingerprint) = self.settings.open(&mut settings)?;
        let (config, data) = settings.fit(data)?;
        warn(&config, &data)?;
        let init = config.init.as_deref().map(|init| begin_with(init, &config)).transpose()?;
        let history = init.as_ref().map_or(Ok(Vec::new()), Located::stages)?;
        if let Some(init) = &init {
            let outline = config.model.without_numbers()?;
            init.checkpoint.load_into(outline.model())?; // Check the weights before the run is created.
        }
        let of = if self.settings.overfit_batch { "-overfit" } else { "" };
        let path = self.directory(&format!("{}{of}", config.preset));
        init.iter().try_for_each(|init| spares(&path, &init.checkpoint))?;
        RunDir::check_new(&path, self.force)?;
        init.as_ref().map_or(Ok(()), Located::announce)?;
        let init = init.map(|located| located.checkpoint);
        self.machine.run(|device| {
            fits(&config, &data, ranks, device)?; // Check this before an existing run is replaced.
            let run = RunDir::create(&path, &config, self.force)?;
            ranks.tell_text(config.to_toml());
            let job = self.job(config, (data, fingerprint), device, run, ranks);
            self.train(Job { init, history, ..job })
        })
    }

    /// The job of a new run with new weights.
    fn job(
        &self,
        config: Config,
        (data, fingerprint): (DataSet, Fingerprint),
        device: &Device,
        run: RunDir,
        ranks: Ranks,
    ) -> Job {
        let again = self.again(&config, run.path());
        Job {
            config,
            data,
            device: device.clone(),
            run,
            ranks,
            resume: Resume::No,
            init: None,
            history: Vec::new(),
            until: self.until,
            fingerprint: Some(fingerprint),
            command: command_line(),
            again,
        }
    }

    /// Trains as a rank other than 0. Rank 0 sends the settings and alone writes files and prints.
    fn follow(&self, ranks: Ranks) -> Result<()> {
        let text = ranks.tell_text(String::new());
        let config: Config = toml::from_str(&text).map_err(|e| Error::Config(e.to_string()))?;
        let data = config.data.open(&remark)?;
        let (config, data) = Settings::new(&config).fit(data)?;
        let run = RunDir::of_another_rank(&self.directory(&config.preset));
        self.machine.run(|device| {
            let (device, resume, init) = (device.clone(), Resume::No, None);
            let (command, again, fingerprint) = (command_line(), String::new(), None);
            let job = Job {
                config,
                data,
                device,
                run,
                ranks,
                resume,
                init,
                history: Vec::new(),
                until: self.until,
                fingerprint,
                command,
                again,
            };
            match train(job, None) {
                // Rank 0 reports it.
                Err(Error::Interrupted { .. }) => Ok(()),
                outcome => Ok(outcome.map(drop)?),
            }
        })
    }

    /// Trains and prints the outcome. The table of kernels is printed even when a signal ends the run.
    fn train(&self, job: Job) -> Result<()> {
        let mut profile = self.profile.then(Profile::default);
        give("run", job.run.path());
        let (run, again) = (job.run.path().to_path_buf(), job.again.clone());
        remark(&format!("run: {}", run.display()));
        let outcome = train(job, profile.as_mut());
        if let Some(profile) = profile.filter(|profile| profile.runs > 0) {
            let said = say(&by_kernel(&profile, "step").to_string());
            give("profile", &profile);
            // An error of the training matters more than an error of stdout.
            outcome.as_ref().map_or(Ok(()), |_| said)?;
        }
        match outcome? {
            Some(summary) => {
                remark(&format!("report: {}", run.join("report.html").display()));
                self.outcome(summary)
            }
            None => {
                remark(&format!("stopped at the step given by --until; to resume:\n{again}"));
                Ok(())
            }
        }
    }

    /// The command that resumes the run at `path`, including the flags that are not stored in its settings and the
    /// folder of the data sets.
    fn again(&self, config: &Config, path: &Path) -> String {
        let path = path.display().to_string();
        let mut words =
            ["train", self.model.name(), "--resume", "--out", &path].map(String::from).to_vec();
        if config.data.dir != Path::new("data") {
            words.extend(["--data-dir".into(), config.data.dir.display().to_string()]);
        }
        words.extend(self.machine.arguments());
        in_shell(&words)
    }

    fn directory(&self, default: &str) -> PathBuf {
        match (&self.out, &self.name) {
            (Some(out), _) => out.clone(),
            (None, Some(name)) => locate::runs().join(name),
            (None, None) => locate::runs().join(default),
        }
    }

    fn outcome(&self, summary: Summary) -> Result<()> {
        let Summary { split, what, device, score, text, .. } = &summary;
        give_all(&summary);
        if let Some(note) = &summary.note {
            remark(&format!("note: {note}"));
        }
        if let Some(warning) = &summary.warning {
            remark(&format!("warning: {warning}"));
        }
        if let Some(stopped) = &summary.stopped {
            remark(&format!("note: {stopped}"));
        }
        if summary.scored_step != summary.steps {
            remark(&format!(
                "note: the weights of step {}, with the best validation score, were scored",
                summary.scored_step
            ));
        }
        say(&format!("{split} {score}: {text} ({what}, {device})"))?;
        Ok(())
    }
}

/// Warns about schedules and warm-ups that do not fit the run.
fn warn(config: &Config, data: &DataSet) -> Result<(), Error> {
    let warnings = config.warnings(data.train.count)?;
    warnings.iter().for_each(|warning| remark(&format!("warning: {warning}")));
    if !warnings.is_empty() {
        give("schedule_warnings", &warnings);
    }
    Ok(())
}

/// Rejects a run that does not fit into this machine's memory.
fn fits(config: &Config, data: &DataSet, ranks: Ranks, device: &Device) -> Result<(), Error> {
    let rows = ranks.rows(config.batch.min(data.train.count)).len();
    let step = Step::of(config, &data.train, rows.max(1));
    Step { processes: ranks.count(), ..step }.check(device).map(drop)
}

/// Runs one step and prints its memory use; writes nothing.
fn dry_run(config: &Config, data: &DataSet, device: &Device) -> Result<()> {
    const MIB: f64 = (1 << 20) as f64;
    let estimated = |bytes: usize| {
        remark(&format!("estimated memory of a step: {:.1} MiB", bytes as f64 / MIB));
    };
    let done = dry_run::dry_run(config, data, device, &estimated)?;
    give_all(&done);
    let DryRun { parameters, steps, batch, estimated_bytes, measured_bytes, loss } = done;
    let (estimated, measured) = (estimated_bytes as f64 / MIB, measured_bytes as f64 / MIB);
    say(&format!("\nparameters  {}", thousands(parameters)))?;
    say(&format!("steps       {} of {batch} images", thousands(steps as usize)))?;
    say(&format!(
        "memory {estimated:.1} MiB of tensors in a step (estimated), {measured:.1} MiB (measured) ({}; \
         without the data set)",
        device.name()
    ))?;
    say(&format!("loss        {loss:.2} nats in that step"))?;
    Ok(say("dry run: nothing was written")?)
}

/// The weights that training starts from. If they have no settings, those of the run apply.
fn begin_with(init: &Path, config: &Config) -> Result<Located, Error> {
    let settings = locate::model_of(init)?.is_none().then(|| config.clone());
    locate::find(init, false, settings)
}

/// Rejects a new run at `run` that would replace the run whose weights it starts from.
fn spares(run: &Path, init: &Checkpoint) -> Result<(), Error> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    match real(run).zip(real(&init.path)) {
        Some((run_now, weights)) if weights.starts_with(&run_now) => Err(Error::Config(format!(
            "--init takes its weights from {0}, and the new run would replace {0}; choose another --name",
            run.display()
        ))),
        _ => Ok(()),
    }
}

/// The command line, quoted for a shell.
fn command_line() -> String {
    let words: Vec<_> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    in_shell(&words)
}
