//! Errors of everything that can fail for a reason outside the program: files, devices, settings.
//!
//! A message says what is wrong, where, and what to do next. Mistakes in shapes are bugs of the
//! caller and panic at the caller's line instead.

use std::path::Path;

/// What went wrong, by kind; the kind decides the program's exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that contradict each other or name something unknown.
    #[error("{0}")]
    Config(String),
    /// A data set that is missing, damaged or of the wrong kind.
    #[error("{0}")]
    Data(String),
    /// A checkpoint that is missing, damaged or of another model.
    #[error("{0}")]
    Checkpoint(String),
    /// No such device, device lost, out of device memory.
    #[error("{0}")]
    Device(String),
    /// A value became infinite or not a number.
    #[error("{0}")]
    NotFinite(String),
    /// Writing failed: full disk, no permission.
    #[error("{0}")]
    Disk(String),
    /// Stopped by a signal (its number), after the state was saved.
    #[error("interrupted by signal {0}; the state was saved")]
    Interrupted(i32),
}

/// `Result` with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The program's exit code for this error (1 is kept for faults of the program, 2 for usage).
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Config(_) => 3,
            Error::Data(_) => 4,
            Error::Checkpoint(_) => 5,
            Error::Device(_) => 6,
            Error::NotFinite(_) => 7,
            Error::Disk(_) => 8,
            Error::Interrupted(signal) => 128 + signal,
        }
    }

    /// A failed write: what, where, why.
    pub fn disk(what: &str, path: &Path, cause: impl std::fmt::Display) -> Error {
        Error::Disk(format!("cannot {what} {}: {cause}", path.display()))
    }
}
