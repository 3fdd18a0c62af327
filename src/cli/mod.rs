//! The command line, with one file per command. Results go to stdout, progress and errors to stderr.

mod agreement;
mod bar;
mod bench;
mod complete;
mod completions;
mod config;
mod data;
mod devices;
mod encode;
mod eval;
mod explain;
mod export;
mod glimpses;
mod gpu_check;
mod info;
mod kernels;
mod kind;
mod locate;
mod machine;
mod models;
mod out;
mod outputs;
mod presets;
mod report;
mod reproduce;
mod runs;
mod sample;
mod settings;
mod train;
mod tune;

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
pub use out::complain;
use pixelloom::ranks;
use pixelloom::{Error, terminal, text};

const AFTER: &str = "\
Example:
  pixelloom train vae

Exit codes: 0 success, 1 internal error, 2 usage, 3 settings, 4 data, 5 checkpoint, 6 device,
7 NaN or infinity, 8 disk, 9 a check that failed; 129, 130 and 143 stopped by a signal after saving.";

/// Generative image models on a hand-written autodiff engine: AEVB, DRAW, PixelRNN.
#[derive(Parser)]
#[command(name = "pixelloom", version, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print results as one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// Print results, warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Folder of the runs
    #[arg(
        id = "runs_folder",
        long = "runs",
        global = true,
        value_name = "DIR",
        env = "PIXELLOOM_RUNS",
        default_value = "runs"
    )]
    runs: PathBuf,
    /// Print more, such as the whole card of a model
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Sample(sample::Sample),
    Encode(encode::Encode),
    Complete(complete::Complete),
    Explain(explain::Explain),
    Report(report::Report),
    Export(export::Export),
    Runs(runs::Runs),
    Models(models::Models),
    Reproduce(reproduce::Reproduce),
    Bench(bench::Bench),
    Data(data::Data),
    Devices(devices::Devices),
    GpuCheck(gpu_check::GpuCheck),
    Tune(tune::Tune),
    Kernels(kernels::Kernels),
    Presets(presets::Presets),
    Config(config::Config),
    Info(info::Info),
    Completions(completions::Completions),
}

impl Cli {
    /// Parses the arguments. The error is a usage message or the requested help.
    pub fn from_arguments() -> Result<Cli, clap::Error> {
        Cli::try_parse().map_err(|error| {
            // The message quotes arguments, so parse them again with control characters escaped.
            let words = std::env::args_os().map(|word| text::line(&word.to_string_lossy()));
            Cli::try_parse_from(words).err().unwrap_or(error)
        })
    }

    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<()> {
        if !matches!(self.command, Command::Train(_)) {
            ranks::refuse("this command")?;
        }
        if self.quiet {
            terminal::be_quiet();
        }
        if self.verbose {
            out::be_verbose();
        }
        locate::set_runs(&self.runs);
        // A completion script is always plain text.
        if self.json && !matches!(self.command, Command::Completions(_)) {
            out::as_json();
        }
        match &self.command {
            Command::Train(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Sample(command) => command.run(),
            Command::Encode(command) => command.run(),
            Command::Complete(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Runs(command) => command.run(),
            Command::Models(command) => command.run(),
            Command::Reproduce(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Data(command) => command.run(),
            Command::Devices(command) => command.run(),
            Command::GpuCheck(command) => command.run(),
            Command::Tune(command) => command.run(),
            Command::Kernels(command) => command.run(),
            Command::Presets(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Info(command) => command.run(),
            Command::Completions(command) => command.run(),
        }?;
        Ok(out::finish()?)
    }
}

/// Whether the reader of stdout has closed the pipe, which is not an error (`pixelloom data | head -1`).
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Converts an I/O error of stdout, the only one that commands return unconverted, to [`Error`].
pub fn unprintable(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<io::Error>() {
        Ok(e) => Error::Disk(format!(
            "cannot write to standard output: {e}; check that the file or device it is redirected to has free space"
        ))
        .into(),
        Err(other) => other,
    }
}

/// Catches SIGXFSZ, so that a write beyond the file size limit (`ulimit -f`) fails with an error, as on a full disk,
/// instead of killing the process.
pub fn catch_file_size_signal() {
    #[cfg(unix)]
    {
        let caught = std::sync::Arc::default();
        // If this fails, the signal still kills the process.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, caught);
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    use super::*;

    /// Every command has a description, a help text for each argument, and examples that parse.
    #[test]
    fn every_help_is_complete_and_its_examples_work() {
        fn walk(command: &clap::Command, path: &str, examples: &mut Vec<String>) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{path} does not say what it does");
            let helps = |arg: &&Arg| arg.get_help().is_some() || arg.get_long_help().is_some();
            let silent: Vec<_> = command.get_arguments().filter(|arg| !helps(arg)).collect();
            assert!(silent.is_empty(), "{path}: {silent:?}");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> =
                after.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            let own = lines.iter().any(|line| line.starts_with(path));
            assert!(after.starts_with("Example") && own, "{path} shows no example: {after}");
            // Leave out pipes and redirections, which belong to the shell.
            let parts = lines.iter().flat_map(|line| line.split("&&"));
            examples.extend(
                parts.map(|part| part.split(['>', '|']).next().unwrap_or_default().trim().into()),
            );
            for below in command.get_subcommands() {
                walk(below, &format!("{path} {}", below.get_name()), examples);
            }
        }
        let command = Cli::command();
        command.clone().debug_assert();
        let mut examples = Vec::new();
        walk(&command, "pixelloom", &mut examples);
        for example in examples.iter().filter(|example| example.starts_with("pixelloom")) {
            let parsed = Cli::try_parse_from(example.split_whitespace());
            assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
        }
    }
}
