//! Model files on the disk; [`model_file`](crate::model_file) has their format.

use std::path::Path;

use crate::data::files::{cause, whole};
use crate::error::{Error, Result};
use crate::files::write_synced;
use crate::model_file::{Content, Fault};

impl Content {
    /// Writes the file and waits until it is on the disk. Fails with [`Error::Disk`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write_synced(path, &self.to_bytes()).map_err(|e| Error::disk("write", path, e))
    }

    /// Reads and checks a file. Fails with [`Error::Checkpoint`] on whatever is wrong with it.
    pub fn read(path: &Path) -> Result<Content> {
        let bytes = whole(path, u64::MAX).map_err(|e| fault(path, &cause(&e)))?;
        Content::parse(&bytes, path)
    }

    /// Checks the bytes of the file at `path`. Fails with [`Error::Checkpoint`].
    ///
    /// Memory: the tensors, and the header some times over.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Content> {
        Content::from_bytes(bytes).map_err(|why| match why {
            Fault::Damaged(_) => fault(path, &why.to_string()),
            Fault::Format(_) => Error::Checkpoint(format!("{} {why}", path.display())),
        })
    }

    /// The text `key`, parsed from JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self, key: &str, path: &Path) -> Result<T> {
        let text = self.texts.get(key).map_or("", String::as_str);
        serde_json::from_str(text).map_err(|e| {
            Error::Checkpoint(format!(
                "{}: the metadata \"{key}\" is none of this program's: {e}; it was written by \
                 another program or version",
                path.display()
            ))
        })
    }
}

/// That the file at `path` is not to be used.
fn fault(path: &Path, what: &str) -> Error {
    Error::Checkpoint(format!(
        "{} {what}; restore it from a copy, or resume from the checkpoint before it with --resume=auto",
        path.display()
    ))
}
