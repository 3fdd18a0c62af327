//! Folders of numbered files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{By, FileKind, Output, Target, is_run, new_file};
use crate::error::{Error, Result};
use crate::files;
use crate::signals::postponed;

/// A folder that the user names, for files that the program numbers.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    kind: FileKind,
    force: bool,
    count: usize,
}

impl Folder {
    /// A folder for `count` files of this kind, created if it does not exist. Checks each of the files like
    /// [`Output::named`], with the same `force` and errors. Fails with [`Error::Config`] if `path` cannot be a folder.
    pub fn named(path: &Path, kind: FileKind, count: usize, force: bool) -> Result<Folder> {
        let folder = Folder { path: path.to_path_buf(), kind, force, count };
        let failed = |e| Error::disk("write", path, e);
        let there = path.is_dir();
        if !there && fs::symlink_metadata(path).is_ok() {
            return Err(Error::Config(format!(
                "{} is no folder; name one, or a new one",
                path.display()
            )));
        }
        let real = if there { fs::canonicalize(path) } else { new_file(path, true) };
        let real = real.map_err(failed)?;
        if let Some(run) = real.ancestors().find(|folder| is_run(folder)) {
            return Err(Error::Config(format!(
                "{} is inside the run {}, where only the program itself writes; choose a path outside it",
                path.display(),
                run.display()
            )));
        }
        let first = real.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
        files::check_writable(first).map_err(failed)?;
        if there {
            let mut taken = (0..count).map(|i| folder.file(i)).filter(|file| file.path.exists());
            taken.try_for_each(|file| file.target().map(drop))?;
        }
        Ok(folder)
    }

    /// The folder as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder. Fails with [`Error::Disk`].
    pub fn create(&self) -> Result<()> {
        files::create_dir(&self.path).map_err(|e| Error::disk("create", &self.path, e))
    }

    /// Writes file number `i`. Fails as [`Output::named`] does.
    pub fn put(&self, i: usize, bytes: &[u8]) -> Result<()> {
        let file = self.file(i);
        match file.target()? {
            Target::File(real) => postponed(|| files::replace_soon(&real, bytes))?
                .map_err(|e| Error::disk("write", &file.path, e)),
            _ => file.put(bytes),
        }
    }

    /// Waits until the names of the files are on the disk. Fails with [`Error::Disk`].
    pub fn sync(&self) -> Result<()> {
        files::sync_dir(&self.path)
    }

    /// Name of file number `i`, counted from 0, with enough digits for the largest number and at least 5.
    pub fn file(&self, i: usize) -> Output {
        let digits = self.count.saturating_sub(1).to_string().len().max(5);
        let path = self.path.join(format!("{i:0digits$}.{}", self.kind.names().1[0]));
        Output { path, by: By::User { kind: self.kind, force: self.force } }
    }
}
