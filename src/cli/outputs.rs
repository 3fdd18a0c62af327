//! The files that a command writes: `--force`, and checks that happen before the work starts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use pixelloom::Error;
use pixelloom::output::{FileKind, Folder, Output, Target};

use super::out;

#[derive(Args)]
pub struct Outputs {
    /// Replace files that pixelloom did not write, or that are write-protected
    #[arg(long)]
    force: bool,
    /// The canonical paths of the command's files.
    #[arg(skip)]
    taken: Mutex<HashSet<PathBuf>>,
}

impl Outputs {
    /// The output file of this kind at `path`. Fails with [`Error::Config`] if it must not be written there or if the
    /// command already writes another file there, and with [`Error::Disk`] if it cannot be written.
    pub fn open(&self, path: &Path, kind: FileKind) -> Result<Output, Error> {
        out::writes_files();
        let output = Output::named(path, kind, self.force)?;
        match output.target()? {
            Target::Stdout => out::leave_stdout(),
            Target::Stream => {}
            Target::File(real) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if !taken.insert(real) {
                    return Err(Error::Config(format!(
                        "{} would be written twice; give each file its own name",
                        path.display()
                    )));
                }
            }
        }
        Ok(output)
    }

    /// The folder that the user named `path`, for `count` files of this kind. Fails as [`Folder::named`] does.
    pub fn folder(&self, path: &Path, kind: FileKind, count: usize) -> Result<Folder, Error> {
        out::writes_files();
        Folder::named(path, kind, count, self.force)
    }

    /// Like [`Outputs::open`], for an optional file.
    pub fn open_if(&self, path: Option<&PathBuf>, kind: FileKind) -> Result<Option<Output>, Error> {
        path.map(|path| self.open(path, kind)).transpose()
    }
}
