//! `pixelloom report`: the report of a run, written again.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::train::{RunDir, report};

use super::{locate, say};

/// Write report.html of a run, finished or not
#[derive(Args)]
pub struct Report {
    /// The run: its directory, or its name below runs/
    run: PathBuf,
}

impl Report {
    pub fn run(&self) -> Result<()> {
        let (run, _) = RunDir::open(&locate::run_path(&self.run))?;
        report::write(run.path())?;
        say(&run.path().join("report.html").display().to_string())?;
        Ok(())
    }
}
