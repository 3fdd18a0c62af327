//! A run's directory: `config.toml`, `metrics.jsonl`, `checkpoints/`, `samples/`, `summary.json`,
//! `report.html`.

use std::fs;
use std::path::{Path, PathBuf};

use super::Config;
use super::checkpoint;
use crate::error::{Error, Result};

/// The directory of a run.
#[derive(Clone, Debug)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// A new directory with `config.toml`. A directory that is there and not empty is an error, or is
    /// removed with `force` if it is a run.
    pub fn create(path: &Path, config: &Config, force: bool) -> Result<RunDir> {
        let run = RunDir(path.to_path_buf());
        let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            if !force {
                return Err(Error::Config(format!(
                    "{} exists already; continue it with --resume, replace it with --force, or \
                     choose another --name",
                    path.display()
                )));
            }
            if !run.config_path().is_file() {
                return Err(Error::Config(format!(
                    "{} is no run (it has no config.toml), so --force does not remove it; choose \
                     another --name or --out",
                    path.display()
                )));
            }
            fs::remove_dir_all(path).map_err(|e| Error::disk("remove", path, e))?;
        }
        for dir in [run.checkpoints(), run.samples()] {
            fs::create_dir_all(&dir).map_err(|e| Error::disk("create", &dir, e))?;
        }
        run.write_config(config)?;
        Ok(run)
    }

    /// The directory of an existing run and its settings. Fails with [`Error::Checkpoint`].
    pub fn open(path: &Path) -> Result<(RunDir, Config)> {
        let run = RunDir(path.to_path_buf());
        let file = run.config_path();
        let fault = |e: &dyn std::fmt::Display| {
            Error::Checkpoint(format!("{} is no run: {}: {e}", path.display(), file.display()))
        };
        let text = fs::read_to_string(&file).map_err(|e| fault(&e))?;
        let config = toml::from_str(&text).map_err(|e| fault(&e))?;
        Ok((run, config))
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        self.write("config.toml", &config.to_toml())
    }

    /// Writes a file of the run, by way of another name.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!("{name}.tmp"));
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|e| Error::disk("write", &path, e))
    }

    /// Steps of the complete checkpoints, rising.
    pub fn steps(&self) -> Vec<u64> {
        let names = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let mut steps: Vec<u64> =
            names.filter_map(|e| checkpoint::step_of(e.file_name().to_str()?)).collect();
        steps.sort_unstable();
        steps
    }

    /// Directory of the newest checkpoint. Fails with [`Error::Checkpoint`] if there is none.
    pub fn newest(&self) -> Result<PathBuf> {
        self.steps().last().map(|&step| self.checkpoint(step)).ok_or_else(|| {
            Error::Checkpoint(format!(
                "{} holds no complete checkpoint; start anew with --force",
                self.checkpoints().display()
            ))
        })
    }

    /// Removes all checkpoints but the last `keep` and that of step `best`, and what a killed process
    /// left half written.
    pub fn prune(&self, keep: usize, best: Option<u64>) -> Result<()> {
        let steps = self.steps();
        let old = &steps[..steps.len().saturating_sub(keep)];
        let stale = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let stale = stale.filter(|e| e.file_name().to_string_lossy().starts_with(".writing-"));
        let old = old.iter().filter(|&&s| Some(s) != best).map(|&s| self.checkpoint(s));
        for path in old.chain(stale.map(|e| e.path())) {
            fs::remove_dir_all(&path).map_err(|e| Error::disk("remove", &path, e))?;
        }
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// The directory of one checkpoint.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(checkpoint::name(step))
    }

    /// Where the pictures are.
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// The file of the run's numbers.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    fn config_path(&self) -> PathBuf {
        self.0.join("config.toml")
    }
}
