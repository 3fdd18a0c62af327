//! Errors with a cause outside the program: files, devices, settings.
//!
//! A message says what is wrong, where, and what to do next. Wrong shapes are bugs of the caller, so they panic
//! and the panic reports the caller's line.

use std::path::Path;

use crate::text;

/// An error. Each variant has its own exit code ([`Error::exit_code`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings contradict each other or name something unknown.
    #[error("{}", plain(.0))]
    Config(String),
    /// A data set is missing, damaged or of the wrong kind.
    #[error("{}", plain(.0))]
    Data(String),
    /// A checkpoint is missing, damaged or of another model.
    #[error("{}", plain(.0))]
    Checkpoint(String),
    /// There is no such device, it was lost, or its memory is exhausted.
    #[error("{}", plain(.0))]
    Device(String),
    /// A value became infinite or not a number.
    #[error("{}", plain(.0))]
    NotFinite(String),
    /// Writing failed, for example because the disk is full.
    #[error("{}", plain(.0))]
    Disk(String),
    /// A check of a device failed: its results differ from those of the reference, a gradient from finite differences,
    /// or a kernel is slower than it was.
    #[error("{}", plain(.0))]
    Disagreement(String),
    /// A signal stopped the program.
    #[error("interrupted by signal {signal}{}", to_resume(.resume))]
    Interrupted {
        /// Number of the signal.
        signal: i32,
        /// Command that resumes the run; empty if nothing was saved.
        resume: String,
    },
}

/// End of a message: the command alone on the last line, so that it is easy to copy.
fn to_resume(command: &str) -> String {
    if command.is_empty() { String::new() } else { format!("; resume with:\n{}", plain(command)) }
}

/// Number of characters of a long message that are shown, at its beginning and at its end.
const SHOWN: (usize, usize) = (1200, 400);

/// A message as one line, shortened and without control characters: names and values in it may come from any file and
/// have any length.
fn plain(message: &str) -> String {
    let line = text::line(message);
    let end = |line: &str, letters| line.char_indices().nth(letters).map(|(at, _)| at);
    let begin =
        |line: &str, letters: usize| line.char_indices().nth_back(letters - 1).map(|(at, _)| at);
    match (end(&line, SHOWN.0), begin(&line, SHOWN.1)) {
        (Some(end), Some(begin)) if end < begin => {
            format!("{} ... {}", &line[..end], &line[begin..])
        }
        _ => line,
    }
}

/// `Result` with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The program's exit code for this error. Code 1 is reserved for bugs of the program, 2 for wrong usage.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Config(_) => 3,
            Error::Data(_) => 4,
            Error::Checkpoint(_) => 5,
            Error::Device(_) => 6,
            Error::NotFinite(_) => 7,
            Error::Disk(_) => 8,
            Error::Disagreement(_) => 9,
            Error::Interrupted { signal, .. } => 128 + signal,
        }
    }

    /// A failed write: "cannot {what} {path}: {cause}".
    pub fn disk(what: &str, path: &Path, cause: impl std::fmt::Display) -> Error {
        Error::Disk(format!(
            "cannot {what} {}: {cause}; check that its folder is there, may be written to and has room",
            path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_without_control_characters() {
        let error = Error::Data("a\nb\u{1b}[31m \0 é \u{9b}".into());
        assert_eq!(error.to_string(), "a b\\u{1b}[31m \\u{0} é \\u{9b}");
    }

    #[test]
    fn messages_are_short() {
        let fits = "é".repeat(SHOWN.0 + SHOWN.1);
        assert_eq!(Error::Data(fits.clone()).to_string(), fits);
        let text = Error::Data(format!("file.x: {}; remove it", "é\0".repeat(5000))).to_string();
        assert!(
            text.starts_with("file.x: é\\u{0}é") && text.ends_with("\\u{0}; remove it"),
            "{text}"
        );
        assert_eq!(text.chars().count(), SHOWN.0 + 5 + SHOWN.1);
    }
}
