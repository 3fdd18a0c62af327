//! The files that a command writes: `--force`, and the checks before the work.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use pixelloom::Error;
use pixelloom::output::{FileKind, Output, Target};

use super::out;

#[derive(Args)]
pub struct Outputs {
    /// Replace files that pixelloom did not write, or that are write-protected
    #[arg(long)]
    force: bool,
    /// The real paths of the command's files.
    #[arg(skip)]
    taken: Mutex<Vec<PathBuf>>,
}

impl Outputs {
    /// The file of this kind that the user named `path`. Fails with [`Error::Config`] if it must not be
    /// written there, or if the command writes another file there, with [`Error::Disk`] if it cannot be.
    pub fn open(&self, path: &Path, kind: FileKind) -> Result<Output, Error> {
        let output = Output::named(path, kind, self.force)?;
        match output.target()? {
            Target::Stdout => out::leave_stdout(),
            Target::Stream => {}
            Target::File(real) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if taken.contains(&real) {
                    return Err(Error::Config(format!(
                        "{} would be written twice; give each file a name of its own",
                        path.display()
                    )));
                }
                taken.push(real);
            }
        }
        Ok(output)
    }

    /// As [`Outputs::open`], of a file that the user may leave out.
    pub fn open_if(&self, path: Option<&PathBuf>, kind: FileKind) -> Result<Option<Output>, Error> {
        path.map(|path| self.open(path, kind)).transpose()
    }
}
