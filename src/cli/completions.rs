//! `pixelloom completions`: scripts with which a shell completes commands, flags and their values.

use std::io;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

const EXAMPLES: &str = "\
Examples:
  pixelloom completions bash > ~/.local/share/bash-completion/completions/pixelloom
  pixelloom completions zsh > ~/.zfunc/_pixelloom
  pixelloom completions fish > ~/.config/fish/completions/pixelloom.fish";

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pixelloom", &mut script);
        Ok(io::Write::write_all(&mut io::stdout(), &script)?)
    }
}
