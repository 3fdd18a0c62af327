//! `pixelloom report`: the report of a run, written again, and several runs side by side.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::Error;
use pixelloom::train::{RunDir, report};

use super::locate;
use super::out::wrote;

/// The page that compares several runs, if it gets no other name.
const COMPARED: &str = "compare.html";

const EXAMPLES: &str = "\
Examples:
  pixelloom report digits
  pixelloom report runs/a runs/b --compare compare.html
  pixelloom report digits --csv metrics.csv --tensorboard events";

/// Write report.html of runs, finished or not, and a page that compares them if they are several
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// The runs: their directories, or their names below runs/
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The page that compares the runs [default of several: compare.html]
    #[arg(long, value_name = "FILE.html")]
    compare: Option<PathBuf>,
    /// Compare over a logarithmic axis, as the AEVB paper's Figures 2 and 3 do
    #[arg(long)]
    log_x: bool,
    /// Also write the metrics of all the runs into one table, a row a line of metrics.jsonl
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Also write metrics and pictures as event files for TensorBoard, in a folder of each run's name
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
}

impl Report {
    pub fn run(&self) -> Result<()> {
        if self.log_x && self.compare.is_none() && self.runs.len() == 1 {
            return Err(Error::Config(
                "--log-x is of the page that compares runs; name several, or --compare FILE.html"
                    .into(),
            )
            .into());
        }
        let runs: Vec<PathBuf> = self.runs.iter().map(|run| locate::run_path(run)).collect();
        for run in &runs {
            let (run, _) = RunDir::open(run)?;
            report::write(run.path())?;
            wrote(&run.path().join("report.html"))?;
        }
        let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
        let several = (runs.len() > 1).then(|| PathBuf::from(COMPARED));
        if let Some(out) = self.compare.as_ref().or(several.as_ref()) {
            report::compare(&runs, out, self.log_x)?;
            wrote(out)?;
        }
        if let Some(out) = &self.csv {
            report::csv(&runs, out)?;
            wrote(out)?;
        }
        if let Some(out) = &self.tensorboard {
            for run in &runs {
                wrote(&report::events(run, out)?)?;
            }
        }
        Ok(())
    }
}
