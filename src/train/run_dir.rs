//! A run's directory: `config.toml`, `metrics.jsonl`, `checkpoints/`, `samples/`, `summary.json`,
//! `report.html`, and `lock`, which the training process holds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::checkpoint;
use super::files::write_whole;
use crate::error::{Error, Result};

/// The file that says, by being locked, that a process trains here.
const LOCK: &str = "lock";

/// The directory of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The lock file, locked until the last clone is dropped or the process ends.
    lock: Option<Arc<File>>,
}

impl RunDir {
    /// A new directory with `config.toml`, locked. A directory that is there and not empty is an
    /// error, or is emptied with `force` if it is a run that no process trains in.
    pub fn create(path: &Path, config: &Config, force: bool) -> Result<RunDir> {
        let mut run = RunDir { path: path.to_path_buf(), lock: None };
        let occupied = fs::read_dir(path)
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name() != LOCK));
        if occupied && !force {
            return Err(Error::Config(format!(
                "{} exists already; continue it with --resume, replace it with --force, or choose \
                 another --name",
                path.display()
            )));
        }
        if occupied && (RunDir::open(path).is_err() || !run.checkpoints().is_dir()) {
            return Err(Error::Config(format!(
                "{} is no run of this program (one has its settings in config.toml, and \
                 checkpoints/), so --force does not remove it; choose another --name or --out",
                path.display()
            )));
        }
        fs::create_dir_all(path).map_err(|e| Error::disk("create", path, e))?;
        run.lock()?;
        for entry in fs::read_dir(path).map_err(|e| Error::disk("read", path, e))?.flatten() {
            let path = entry.path();
            let removed = match entry.file_type() {
                _ if entry.file_name() == LOCK => Ok(()),
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
                _ => fs::remove_file(&path),
            };
            removed.map_err(|e| Error::disk("remove", &path, e))?;
        }
        for dir in [run.checkpoints(), run.samples()] {
            fs::create_dir_all(&dir).map_err(|e| Error::disk("create", &dir, e))?;
        }
        run.write_config(config)?;
        Ok(run)
    }

    /// The directory of an existing run and its settings. Fails with [`Error::Checkpoint`].
    pub fn open(path: &Path) -> Result<(RunDir, Config)> {
        let run = RunDir { path: path.to_path_buf(), lock: None };
        let file = run.config_path();
        let fault = |e: &dyn std::fmt::Display| {
            Error::Checkpoint(format!(
                "{} is no run: {}: {}; name one that `pixelloom train` made, such as runs/digits",
                path.display(),
                file.display(),
                e.to_string().trim().replace('\n', " ")
            ))
        };
        let text = fs::read_to_string(&file).map_err(|e| fault(&e))?;
        let config = toml::from_str(&text).map_err(|e| fault(&e))?;
        Ok((run, config))
    }

    /// The directory at `path`, neither made nor read: for a rank that leaves the files to another.
    pub fn of_another_rank(path: &Path) -> RunDir {
        RunDir { path: path.to_path_buf(), lock: None }
    }

    /// Keeps other processes from training here, until this value is dropped or the process ends,
    /// however it does. Fails with [`Error::Config`] if one does already.
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = self.path.join(LOCK);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|e| Error::disk("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(Arc::new(file)),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Config(format!(
                    "another process trains in {}; wait for it, stop it, or choose another --name",
                    self.path.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(Error::disk("lock", &path, e)),
        }
        Ok(())
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        self.write("config.toml", &config.to_toml())
    }

    /// Writes a file of the run, whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Steps of the complete checkpoints, rising; those put aside whose successor is missing count.
    pub fn steps(&self) -> Vec<u64> {
        let names = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let step = |name: &str| checkpoint::step_of(name.strip_suffix(".old").unwrap_or(name));
        let mut steps: Vec<u64> = names.filter_map(|e| step(e.file_name().to_str()?)).collect();
        steps.sort_unstable();
        steps.dedup();
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
        let stale = stale.map(|e| e.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // One that was put aside goes when its successor is there.
            let replaced = name.ends_with(".old") && path.with_extension("").exists();
            name.starts_with(".writing-") || replaced
        });
        // What is stale goes first: it would stand in for what is old.
        let stale: Vec<PathBuf> = stale.collect();
        let old = old.iter().filter(|&&s| Some(s) != best).map(|&s| self.checkpoint(s));
        let old: Vec<PathBuf> = old.collect();
        for path in stale.into_iter().chain(old) {
            fs::remove_dir_all(&path).map_err(|e| Error::disk("remove", &path, e))?;
        }
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The directory of one checkpoint: the proper one, or else the one put aside.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        let proper = self.checkpoints().join(checkpoint::name(step));
        let aside = checkpoint::aside(&proper);
        if !proper.exists() && aside.exists() { aside } else { proper }
    }

    /// Where the pictures are.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// The file of the run's numbers.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::presets;

    fn dirs(run: &RunDir) -> Vec<String> {
        let entries = fs::read_dir(run.checkpoints()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What a crash while a checkpoint replaces another can leave: before, between and after the
    /// two renames.
    #[test]
    fn a_checkpoint_survives_a_crash_in_its_replacement() {
        let states: [(&[&str], &str); 3] = [
            (&["step-00000007", ".writing-9"], "step-00000007"),
            (&["step-00000007.old", ".writing-9"], "step-00000007.old"),
            (&["step-00000007.old", "step-00000007"], "step-00000007"),
        ];
        for (left, newest) in states {
            let home = tempfile::tempdir().unwrap();
            let config = presets::find("digits").unwrap().config();
            let run = RunDir::create(&home.path().join("run"), &config, false).unwrap();
            for dir in left.iter().chain(&["step-00000003"]) {
                fs::create_dir(run.checkpoints().join(dir)).unwrap();
            }
            assert_eq!(run.steps(), [3, 7], "{left:?}");
            assert_eq!(run.newest().unwrap().file_name().unwrap(), newest);
            run.prune(1, Some(3)).unwrap();
            assert_eq!(dirs(&run), ["step-00000003", newest], "{left:?}");
            run.prune(1, None).unwrap();
            assert_eq!(dirs(&run), [newest], "{left:?}");
        }
    }

    #[test]
    fn one_process_trains_in_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let config = presets::find("digits").unwrap().config();
        let first = RunDir::create(&path, &config, false).unwrap();
        let refused = |what: Result<()>| {
            let Err(Error::Config(message)) = what else { panic!("{what:?}") };
            assert!(message.contains("another process") && message.contains("run"), "{message}");
        };
        refused(RunDir::open(&path).unwrap().0.lock());
        refused(RunDir::create(&path, &config, true).map(drop));
        assert!(path.join("config.toml").is_file(), "the refused --force removed nothing");
        drop(first);
        RunDir::open(&path).unwrap().0.lock().unwrap();
        RunDir::create(&path, &config, true).unwrap();
    }
}
