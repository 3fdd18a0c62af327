//! `pixelloom report`: writes the report of a run again, and compares several runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::Error;
use pixelloom::output::FileKind;
use pixelloom::report;
use pixelloom::run::RunDir;
use pixelloom::signals::postponed;

use super::locate;
use super::out::wrote;
use super::outputs::Outputs;

/// Default file of the page that compares runs.
const COMPARED: &str = "compare.html";

const EXAMPLES: &str = "\
Examples:
  pixelloom report digits
  pixelloom report runs/a runs/b --compare compare.html
  pixelloom report digits --csv metrics.csv --tensorboard events";

/// Write report.html for each run, finished or not, and for several runs a page that compares them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// The runs: their directories, or their names in runs/
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The page that compares the runs [default with several runs: compare.html]
    #[arg(long, value_name = "FILE.html")]
    compare: Option<PathBuf>,
    /// Use a logarithmic x axis, as in Figures 2 and 3 of the AEVB paper
    #[arg(long)]
    log_x: bool,
    /// Also write the metrics of all runs to one table, with a row for each line of metrics.jsonl
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    /// Also write metrics and pictures as TensorBoard event files, in a folder for each run
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

impl Report {
    pub fn run(&self) -> Result<()> {
        if self.log_x && self.compare.is_none() && self.runs.len() == 1 {
            return Err(Error::Config(
                "--log-x applies only to the page that compares runs; name several runs, or give --compare \
                 FILE.html"
                    .into(),
            )
            .into());
        }
        let runs: Vec<PathBuf> = self.runs.iter().map(|run| locate::run_path(run)).collect();
        let runs: Vec<&Path> = runs.iter().map(PathBuf::as_path).collect();
        for run in &runs {
            RunDir::open(run)?;
        }
        let several = (runs.len() > 1).then(|| PathBuf::from(COMPARED));
        let page = self.compare.as_ref().or(several.as_ref());
        let page = self.outputs.open_if(page, FileKind::Html)?;
        let table = self.outputs.open_if(self.csv.as_ref(), FileKind::Csv)?;
        let mut events = Vec::new();
        for (run, folder) in
            runs.iter().flat_map(|run| self.tensorboard.iter().map(move |to| (run, to)))
        {
            events.push((
                run,
                self.outputs.open(&report::events_path(run, folder), FileKind::Events)?,
            ));
        }
        for run in &runs {
            postponed(|| report::write(run))??;
            wrote(&run.join("report.html"))?;
        }
        if let Some(out) = &page {
            report::compare(&runs, out, self.log_x)?;
            wrote(out.path())?;
        }
        if let Some(out) = &table {
            report::csv(&runs, out)?;
            wrote(out.path())?;
        }
        for (run, out) in &events {
            report::events(run, out)?;
            wrote(out.path())?;
        }
        Ok(())
    }
}
