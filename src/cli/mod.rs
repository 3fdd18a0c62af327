//! The command line: one file a command. Results go to stdout, progress and errors to stderr.

mod bar;
mod bench;
mod complete;
mod data;
mod devices;
mod eval;
mod explain;
mod export;
mod glimpses;
mod locate;
mod machine;
mod models;
mod presets;
mod report;
mod sample;
mod train;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use pixelloom::train::ranks;

const AFTER: &str = "\
Exit codes: 0 done, 1 fault of the program, 2 usage, 3 settings, 4 data, 5 checkpoint, 6 device,
7 not finite, 8 disk, 130 and 143 stopped by a signal after saving.";

/// Generative image models on a hand-written autodiff engine: AEVB, DRAW, PixelRNN.
#[derive(Parser)]
#[command(name = "pixelloom", version, after_help = AFTER)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Sample(sample::Sample),
    Complete(complete::Complete),
    Explain(explain::Explain),
    Report(report::Report),
    Export(export::Export),
    Models(models::Models),
    Bench(bench::Bench),
    Data(data::Data),
    Devices(devices::Devices),
    Presets(presets::Presets),
}

impl Cli {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<()> {
        if !matches!(self.command, Command::Train(_)) {
            ranks::refuse("this command")?;
        }
        match &self.command {
            Command::Train(command) => command.run(),
            Command::Eval(command) => command.run(),
            Command::Sample(command) => command.run(),
            Command::Complete(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Models(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Data(command) => command.run(),
            Command::Devices(command) => command.run(),
            Command::Presets(command) => command.run(),
        }
    }
}

/// A line of results, on stdout.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// A line on stderr; if nobody reads it, it is lost.
pub fn complain(text: &str) {
    // One write: lines of several processes come together.
    let _ = io::stderr().write_all(format!("{}{text}\n", ranks::prefix()).as_bytes());
}

/// Whether the reader of stdout has gone away, which is not an error (`pixelloom data | head -1`).
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
