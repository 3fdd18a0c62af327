//! `pixelloom runs`: lists the runs with their best scores.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::report::read::Run;
use pixelloom::run::RunDir;
use pixelloom::settings::Config;
use pixelloom::{Error, text};
use serde_json::{Value, json};

use super::locate;
use super::out::{add, remark, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom runs
  pixelloom runs --json
  pixelloom runs --runs elsewhere";

/// List the runs with their best validation scores
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Runs {}

/// A run in the list.
struct Line {
    path: PathBuf,
    config: Config,
    run: Run,
}

impl Runs {
    pub fn run(&self) -> Result<()> {
        let runs = runs_in(locate::runs())?;
        if runs.is_empty() {
            remark(&format!(
                "note: {} holds no runs; train one with `pixelloom train vae`, or name another folder with --runs",
                locate::runs().display()
            ));
        }
        let name = |line: &Line| {
            line.path.strip_prefix(locate::runs()).unwrap_or(&line.path).display().to_string()
        };
        let width = runs.iter().map(|line| name(line).chars().count()).max().unwrap_or(0);
        for line in &runs {
            let best = line.best();
            let state = if line.run.summary.is_null() { "not finished" } else { "finished" };
            let steps = line.run.last("step");
            add(
                "runs",
                json!({
                    "path": line.path,
                    "model": line.config.model.kind(),
                    "preset": line.config.preset,
                    "data": line.config.data.name,
                    "steps": steps,
                    "finished": !line.run.summary.is_null(),
                    "score": line.run.score(),
                    "best_valid": best.map(|(_, score)| score),
                    "best_step": best.map(|(step, _)| step),
                    "test": line.test(),
                }),
            );
            let nats = |score| line.config.model.figure(line.run.score(), score);
            let best = best.map_or("not evaluated".into(), |(step, score)| {
                format!("best valid {} at step {step}", nats(score))
            });
            let test = line.test().map_or(String::new(), |score| format!(", test {}", nats(score)));
            let (name, kind, data) =
                (name(line), line.config.model.kind(), text::line(&line.config.data.name));
            say(&format!("{name:width$}  {kind} on {data}, {steps} steps, {state}: {best}{test}"))?;
        }
        Ok(())
    }
}

impl Line {
    /// Step and value of the best validation score.
    fn best(&self) -> Option<(u64, f64)> {
        let lines = self.run.metrics.iter();
        let valid = lines.filter(|line| line["kind"] == "eval" && line["split"] == "valid");
        let scores = valid.filter_map(|line| Some((line["step"].as_u64()?, self.score_of(line)?)));
        scores.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn score_of(&self, line: &Value) -> Option<f64> {
        line[self.run.score()].as_f64()
    }

    /// The score of the test split, if the run has one.
    fn test(&self) -> Option<f64> {
        self.run.number(&format!("test_{}", self.run.score()))
    }
}

/// The runs below `folder`, sorted by name. A run that cannot be read is reported and left out.
fn runs_in(folder: &Path) -> Result<Vec<Line>, Error> {
    let mut runs = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            if !path.join("config.toml").is_file() {
                // A name may contain several folders.
                if !path.is_symlink() {
                    folders.push(path);
                }
                continue;
            }
            match RunDir::open(&path).and_then(|(_, config)| Ok((config, Run::read(&path)?))) {
                Ok((config, run)) => runs.push(Line { path, config, run }),
                Err(e) => remark(&format!("warning: {e}")),
            }
        }
    }
    runs.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(runs)
}
