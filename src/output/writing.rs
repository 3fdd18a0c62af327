//! Files that are written part by part, because they may not fit into memory.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use super::{Output, Target};
use crate::error::{Error, Result};
use crate::files;
use crate::signals::postponed;

impl Output {
    /// Starts writing the file part by part. Fails as [`Output::named`] does.
    pub fn begin(&self) -> Result<Writing<'_>> {
        let failed = |e| Error::disk("write", &self.path, e);
        let part = match self.target()? {
            Target::File(real) => {
                let file = files::nameless(files::parent(&real)).map_err(failed)?;
                Part::Spooled(real, file)
            }
            Target::Stream => {
                Part::Stream(File::options().append(true).open(&self.path).map_err(failed)?)
            }
            Target::Stdout => Part::Stdout,
        };
        Ok(Writing { output: self, part })
    }
}

/// Destination of the parts before the file is complete.
enum Part {
    /// A temporary file without a name, which is copied to this real path at the end.
    Spooled(PathBuf, File),
    /// A pipe or a device.
    Stream(File),
    /// Stdout.
    Stdout,
}

/// A file that is written part by part. A regular file appears at [`Writing::finish`].
pub struct Writing<'a> {
    output: &'a Output,
    part: Part,
}

impl Writing<'_> {
    /// Appends bytes. Fails with [`Error::Disk`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.part {
            Part::Spooled(_, file) | Part::Stream(file) => files::write(file, bytes),
            Part::Stdout => match io::stdout().lock().write_all(bytes) {
                Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => written,
            },
        };
        written.map_err(|e| Error::disk("write", &self.output.path, e))
    }

    /// Completes the file at its path. Fails as [`Output::named`] does.
    pub fn finish(self) -> Result<()> {
        let failed = |e| Error::disk("write", &self.output.path, e);
        let Part::Spooled(real, mut spooled) = self.part else {
            let _ = io::stdout().lock().flush();
            return Ok(());
        };
        // The path may have changed since the beginning.
        self.output.target()?;
        postponed(|| files::replace_with(&real, |file| files::copy(&mut spooled, file)))?
            .map_err(failed)
    }
}
