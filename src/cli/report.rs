//! `pixelloom report`: the report of a run, written again, and several runs side by side.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::train::{RunDir, report};

use super::{locate, say};

/// Write report.html of runs, finished or not
#[derive(Args)]
pub struct Report {
    /// The runs: their directories, or their names below runs/
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Also write a page that compares them
    #[arg(long, value_name = "FILE.html")]
    compare: Option<PathBuf>,
    /// Compare over a logarithmic axis, as the AEVB paper's Figures 2 and 3 do
    #[arg(long, requires = "compare")]
    log_x: bool,
}

impl Report {
    pub fn run(&self) -> Result<()> {
        let runs: Vec<PathBuf> = self.runs.iter().map(|run| locate::run_path(run)).collect();
        for run in &runs {
            let (run, _) = RunDir::open(run)?;
            report::write(run.path())?;
            say(&run.path().join("report.html").display().to_string())?;
        }
        if let Some(out) = &self.compare {
            let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
            report::compare(&runs, out, self.log_x)?;
            say(&out.display().to_string())?;
        }
        Ok(())
    }
}
