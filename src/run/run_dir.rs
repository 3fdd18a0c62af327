//! A run's directory: `config.toml`, `metrics.jsonl`, `checkpoints/`, `samples/`, `summary.json`, `profile.json`, `report.html`, and
//! `lock`, which the training process holds. While a process trains, its directory may be moved or removed, and another
//! run may start in its place. So before each write, the process checks that the file at `RUN/lock` is still the one
//! that it locked ([`RunDir::held`]).

use std::fs::{self, DirEntry, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use same_file::Handle;

use super::checkpoint::{self, REMOVING, WRITING};
use crate::error::{Error, Result};
use crate::files::{self, is_unfinished, write_whole};
use crate::output::{CHECKPOINTS, CONFIG, Output};
use crate::settings::{Config, layers};

/// The file that is locked while a process trains here.
const LOCK: &str = "lock";
const SAMPLES: &str = "samples";
const METRICS: &str = "metrics.jsonl";
/// What the program writes into a run in addition to settings, lock and checkpoints.
const WRITTEN: [&str; 6] =
    [SAMPLES, METRICS, "summary.json", "profile.json", "report.html", "curve.svg"];

/// Whether a process that ended before it wrote the settings leaves this entry.
fn is_begun(entry: &DirEntry) -> bool {
    match entry.file_name().to_str() {
        Some(LOCK) => true,
        Some(CHECKPOINTS | SAMPLES) => {
            fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_none())
        }
        Some(name) => is_unfinished(name),
        None => false,
    }
}

/// The directory of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The lock file; it stays locked until the last clone is dropped or the process ends.
    lock: Option<Arc<Handle>>,
}

impl RunDir {
    /// Creates and locks a directory with `config.toml`. A directory that exists and is not empty is an error. With
    /// `force`, the run in it is removed if no process trains there, and files that are not part of a run stay.
    pub fn create(path: &Path, config: &Config, force: bool) -> Result<RunDir> {
        RunDir::create_after(path, config, force, || ())
    }

    /// Like [`RunDir::create`]; tests use `before_lock` to act as another process.
    fn create_after(
        path: &Path,
        config: &Config,
        force: bool,
        before_lock: impl FnOnce(),
    ) -> Result<RunDir> {
        let mut run = RunDir { path: path.to_path_buf(), lock: None };
        run.check_vacant(force)?;
        files::create_dir(path).map_err(|e| Error::disk("create", path, e))?;
        before_lock();
        run.lock()?;
        // Another process may have trained here from start to end since the first check.
        run.check_vacant(force)?;
        run.clear()?;
        for dir in [run.checkpoints(), run.path.join(SAMPLES)] {
            files::create_dir(&dir).map_err(|e| Error::disk("create", &dir, e))?;
        }
        run.write_config(config)?;
        Ok(run)
    }

    /// That a new run may be made at `path`, as [`RunDir::create`] checks again. Fails with [`Error::Config`].
    pub fn check_new(path: &Path, force: bool) -> Result<()> {
        RunDir { path: path.to_path_buf(), lock: None }.check_vacant(force)
    }

    /// Checks that the directory contains nothing that a new run would replace or, with `force`, only a run.
    fn check_vacant(&self, force: bool) -> Result<()> {
        let occupied = fs::read_dir(&self.path)
            .is_ok_and(|entries| entries.flatten().any(|entry| !is_begun(&entry)));
        if occupied && !force {
            return Err(Error::Config(format!(
                "{0} already exists; resume it with --resume --out {0}, replace it with --force, or choose \
                 another --name",
                self.path.display()
            )));
        }
        if occupied && (RunDir::open(&self.path).is_err() || !self.checkpoints().is_dir()) {
            return Err(Error::Config(format!(
                "{} is not a run of this program (a run has config.toml and checkpoints/), so --force does \
                 not remove it; choose another --name or --out",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Removes the files of an earlier run, but nothing else. Settings and checkpoints/ stay, so that a process that is
    /// killed here leaves a run that can be replaced again.
    fn clear(&self) -> Result<()> {
        let mut old: Vec<PathBuf> = WRITTEN.map(|name| self.path.join(name)).to_vec();
        if self.checkpoints().is_dir() {
            let entries = fs::read_dir(self.checkpoints());
            let entries = entries.map_err(|e| Error::disk("read", &self.checkpoints(), e))?;
            old.extend(entries.flatten().map(|entry| entry.path()));
        }
        for path in old.into_iter().filter(|path| fs::symlink_metadata(path).is_ok()) {
            files::remove(&path).map_err(|e| Error::disk("remove", &path, e))?;
        }
        Ok(())
    }

    /// The directory of an existing run and its settings. Fails with [`Error::Checkpoint`].
    pub fn open(path: &Path) -> Result<(RunDir, Config)> {
        let run = RunDir { path: path.to_path_buf(), lock: None };
        let file = run.config_path();
        let fault = |e: &dyn std::fmt::Display| {
            Error::Checkpoint(format!(
                "{} is not a run: {}: {}; name a directory that `pixelloom train` created, such as runs/digits",
                path.display(),
                file.display(),
                e.to_string().trim().replace('\n', " ")
            ))
        };
        let text = layers::text(&file).map_err(|e| fault(&e))?;
        let config = toml::from_str(&text).map_err(|e| fault(&e))?;
        Ok((run, config))
    }

    /// The directory at `path`, neither created nor read, for ranks other than 0.
    pub fn of_another_rank(path: &Path) -> RunDir {
        RunDir { path: path.to_path_buf(), lock: None }
    }

    /// Prevents other processes from training here until this value is dropped or the process ends in any way, and
    /// removes unfinished files of a killed process. Fails with [`Error::Config`] if another process trains here.
    pub fn lock(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = self.path.join(LOCK);
        let file = files::open_to_append(&path);
        let file = file.map_err(|e| Error::disk("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {
                let file = Handle::from_file(file).map_err(|e| Error::disk("lock", &path, e))?;
                self.lock = Some(Arc::new(file));
                self.held()?;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Config(format!(
                    "another process is training in {}; wait for it, stop it, or choose another --name",
                    self.path.display()
                )));
            }
            Err(TryLockError::Error(e)) => return Err(Error::disk("lock", &path, e)),
        }
        for dir in [self.path.clone(), self.path.join(SAMPLES)] {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_some_and(is_unfinished) {
                    let path = entry.path();
                    files::remove(&path).map_err(|e| Error::disk("remove", &path, e))?;
                }
            }
        }
        Ok(())
    }

    /// Checks that this directory is still the one that [`RunDir::lock`] locked; always succeeds if it was not locked.
    /// Fails with [`Error::Disk`], which says where the run is now if that can be determined.
    pub fn held(&self) -> Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let there = Handle::from_path(self.path.join(LOCK));
        if there.is_ok_and(|there| there == **lock) {
            return Ok(());
        }
        let path = self.path.display();
        let rest = "while this process trained in it, so nothing more is written";
        let Some(now) = moved_to(lock) else {
            return Err(Error::Disk(format!(
                "{path} was moved, removed or replaced {rest}; if it was moved, its last checkpoint is in \
                 checkpoints/ at its new place; resume it there with --resume --out DIR"
            )));
        };
        let newest = RunDir { path: now.clone(), lock: None }.newest();
        let last = newest.map_or("it holds no checkpoint yet".into(), |dir| {
            let dir = dir.display();
            format!("its last checkpoint is {dir}; resume it with --resume --out {}", now.display())
        });
        Err(Error::Disk(format!("{path} was moved to {} {rest}; {last}", now.display())))
    }

    /// The output for the picture `name`. Fails as [`RunDir::held`] does.
    pub fn sample(&self, name: &str) -> Result<Output> {
        self.held()?;
        Ok(Output::in_run(self.path.join(SAMPLES).join(name)))
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        self.write(CONFIG, &config.to_toml())
    }

    /// Writes a file of the run atomically. Fails as [`RunDir::held`] does, and with
    /// [`Error::Disk`] if it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        self.held()?;
        write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Steps of the complete checkpoints in ascending order, including those set aside whose successor is missing.
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
                "{} contains no complete checkpoint; start again with --force",
                self.checkpoints().display()
            ))
        })
    }

    /// Removes all checkpoints except the last `keep` and that of step `best`, and incomplete ones of a killed process.
    pub fn prune(&self, keep: usize, best: Option<u64>) -> Result<()> {
        self.held()?;
        let steps = self.steps();
        let old = &steps[..steps.len().saturating_sub(keep)];
        let stale = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let stale = stale.map(|e| e.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // A checkpoint that was set aside is removed once its successor exists.
            let replaced = name.ends_with(".old") && path.with_extension("").exists();
            name.starts_with(WRITING) || name.starts_with(REMOVING) || replaced
        });
        // Remove stale copies first: they would take the place of removed checkpoints.
        let stale: Vec<PathBuf> = stale.collect();
        let old = old.iter().filter(|&&s| Some(s) != best).map(|&s| self.checkpoint(s));
        let old: Vec<PathBuf> = old.collect();
        for path in stale {
            files::remove(&path).map_err(|e| Error::disk("remove", &path, e))?;
        }
        for path in old {
            // Rename before removing, so that a partly removed checkpoint never has a checkpoint's name.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let doomed = path.with_file_name(format!("{REMOVING}{name}"));
            let removed = files::rename(&path, &doomed).and_then(|()| files::remove(&doomed));
            removed.map_err(|e| Error::disk("remove", &path, e))?;
        }
        Ok(())
    }

    /// Renames a damaged checkpoint `step-NNNNNNNN` to `step-NNNNNNNN.damaged`, which is ignored from then on. Returns
    /// its new path.
    pub fn put_away(&self, dir: &Path) -> Result<PathBuf> {
        self.held()?;
        let away = dir.with_extension("damaged");
        let moved = if away.exists() { files::remove(&away) } else { Ok(()) };
        moved
            .and_then(|()| files::rename(dir, &away))
            .map_err(|e| Error::disk("rename", dir, e))?;
        Ok(away)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// The directory of one checkpoint: the regular one, or else the one set aside.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        let proper = self.checkpoints().join(checkpoint::name(step));
        let aside = checkpoint::aside(&proper);
        if !proper.exists() && aside.exists() { aside } else { proper }
    }

    /// The metrics file.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The settings file.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The text of the settings file. Fails with [`Error::Checkpoint`].
    pub fn config_text(&self) -> Result<String> {
        let file = self.config_path();
        layers::text(&file).map_err(|e| {
            Error::Checkpoint(format!(
                "{} cannot be read: {e}; restore it from a copy",
                file.display()
            ))
        })
    }
}

/// The directory in which a lock file is now, on systems that can tell (Linux).
#[cfg(unix)]
fn moved_to(lock: &Handle) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let file = fs::read_link(format!("/proc/self/fd/{}", lock.as_file().as_raw_fd())).ok()?;
    let there = Handle::from_path(&file).is_ok_and(|there| there == *lock);
    file.parent().filter(|_| there).map(Path::to_path_buf)
}

#[cfg(not(unix))]
fn moved_to(_: &Handle) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::presets;

    fn dirs(run: &RunDir) -> Vec<String> {
        let entries = fs::read_dir(run.checkpoints()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What a crash can leave while a checkpoint replaces another: before, between and after the two renames.
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

    #[test]
    fn a_run_that_is_replaced_takes_nothing_else_with_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let config = presets::find("digits").unwrap().config();
        let run = RunDir::create(&path, &config, false).unwrap();
        fs::create_dir(run.checkpoints().join("step-00000007")).unwrap();
        for name in ["summary.json", "report.html", "samples/a.png", "notes.txt"] {
            run.write(name, "text").unwrap();
        }
        drop(run);
        let run = RunDir::create(&path, &config, true).unwrap();
        assert!(run.steps().is_empty() && path.join("notes.txt").is_file());
        for name in ["summary.json", "report.html", "samples/a.png"] {
            assert!(!path.join(name).exists(), "{name} is of the old run");
        }
    }

    /// Another process trains in the same directory from start to end, after this one found it empty.
    #[test]
    fn a_run_that_ended_meanwhile_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let config = presets::find("digits").unwrap().config();
        let other = || {
            let run = RunDir::create(&path, &config, false).unwrap();
            fs::create_dir(run.checkpoints().join("step-00000007")).unwrap();
            run.write("summary.json", "{}").unwrap();
        };
        let Err(Error::Config(message)) = RunDir::create_after(&path, &config, false, other) else {
            panic!("it is replaced")
        };
        assert!(message.contains("run already exists"), "{message}");
        let run = RunDir::open(&path).unwrap().0;
        assert!(run.steps() == [7] && path.join("summary.json").is_file(), "it lost files");
        // A directory that is not a run is not replaced either, even if it appeared late.
        let precious = home.path().join("precious");
        let put = || fs::write(precious.join("file"), "text").unwrap();
        let Err(Error::Config(message)) = RunDir::create_after(&precious, &config, true, put)
        else {
            panic!("it is replaced")
        };
        assert!(message.contains("is not a run") && precious.join("file").is_file(), "{message}");
    }

    #[test]
    fn nothing_is_written_into_another_directory_of_the_same_name() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let config = presets::find("digits").unwrap().config();
        let first = RunDir::create(&path, &config, false).unwrap();
        first.held().unwrap();
        fs::rename(&path, home.path().join("moved")).unwrap();
        let second = RunDir::create(&path, &config, false).unwrap();
        fs::create_dir(second.checkpoints().join("step-00000007")).unwrap();
        for refused in [
            first.held(),
            first.write("summary.json", "{}"),
            first.write_config(&config),
            first.prune(1, None),
            first.sample("a.png").map(drop),
            first.put_away(&first.checkpoint(7)).map(drop),
        ] {
            let Err(Error::Disk(message)) = refused else { panic!("{refused:?}") };
            assert!(message.contains("nothing more is written"), "{message}");
        }
        second.held().unwrap();
        assert_eq!(second.steps(), [7]);
        assert!(!path.join("summary.json").exists());
    }
}
