//! Reading and writing model files; [`model_file`](crate::model_file) defines their format.

use std::path::Path;

use crate::data::files::{cause, whole};
use crate::error::{Error, Result};
use crate::files::write_synced;
use crate::model_file::{Content, Fault};
use crate::text::shell_word;

impl Content {
    /// Writes and syncs the file. Fails with [`Error::Disk`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_synced(path, |out| self.write_to(out)).map_err(|e| Error::disk("write", path, e))
    }

    /// Reads and validates a file. Fails with [`Error::Checkpoint`].
    pub fn read(path: &Path) -> Result<Content> {
        let bytes = whole(path, u64::MAX).map_err(|e| fault(path, &cause(&e)))?;
        Content::parse(&bytes, path)
    }

    /// Parses and validates the bytes of the file at `path`. Fails with [`Error::Checkpoint`].
    ///
    /// Memory: the tensors, plus a few copies of the header.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Content> {
        Content::from_bytes(bytes).map_err(|why| refused(why, path))
    }

    /// Reads a file of weights from any program. Fails with [`Error::Checkpoint`].
    pub fn read_any(path: &Path) -> Result<Content> {
        let bytes = whole(path, u64::MAX).map_err(|e| fault(path, &cause(&e)))?;
        Content::from_any(&bytes).map_err(|why| refused(why, path))
    }

    /// The metadata `key`, parsed as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str, path: &Path) -> Result<T> {
        let text = self.texts.get(key).map_or("", String::as_str);
        serde_json::from_str(text).map_err(|e| {
            Error::Checkpoint(format!(
                "{}: cannot parse the metadata \"{key}\": {e}; the file was written by another program or version",
                path.display()
            ))
        })
    }
}

/// The error for a file at `path` that cannot be read.
fn refused(why: Fault, path: &Path) -> Error {
    match why {
        Fault::Damaged(_) => fault(path, &why.to_string()),
        Fault::Format(_) | Fault::Unusable(_) => {
            Error::Checkpoint(format!("{} {why}", path.display()))
        }
        Fault::Rewritten => Error::Checkpoint(format!(
            "{} {why}; restore the original, or start a new run with its weights: --init {}",
            path.display(),
            shell_word(&path.display().to_string())
        )),
    }
}

/// The error about an unusable file.
fn fault(path: &Path, what: &str) -> Error {
    Error::Checkpoint(format!(
        "{} {what}; restore it from a copy, or resume from the previous checkpoint with --resume=auto",
        path.display()
    ))
}
