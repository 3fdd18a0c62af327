//! Errors of everything that can fail for a reason outside the program: files, devices, settings.
//!
//! A message says what is wrong, where, and what to do next. Mistakes in shapes are bugs of the
//! caller and panic at the caller's line instead.

use std::path::Path;

use crate::text;

/// What went wrong, by kind; the kind decides the program's exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that contradict each other or name something unknown.
    #[error("{}", plain(.0))]
    Config(String),
    /// A data set that is missing, damaged or of the wrong kind.
    #[error("{}", plain(.0))]
    Data(String),
    /// A checkpoint that is missing, damaged or of another model.
    #[error("{}", plain(.0))]
    Checkpoint(String),
    /// No such device, device lost, out of device memory.
    #[error("{}", plain(.0))]
    Device(String),
    /// A value became infinite or not a number.
    #[error("{}", plain(.0))]
    NotFinite(String),
    /// Writing failed: full disk, no permission.
    #[error("{}", plain(.0))]
    Disk(String),
    /// Stopped by a signal.
    #[error("interrupted by signal {signal}{}", to_resume(.resume))]
    Interrupted {
        /// Its number.
        signal: i32,
        /// The command that resumes what was saved; empty where nothing was.
        resume: String,
    },
}

/// The end of a message: a command alone on the last line, where it can be copied.
fn to_resume(command: &str) -> String {
    if command.is_empty() { String::new() } else { format!("; resume with:\n{}", plain(command)) }
}

/// The letters of a message that are shown, from its begin and its end.
const SHOWN: (usize, usize) = (1200, 400);

/// A message as a line that does nothing to a terminal: names and values in it may come from any file, and may be
/// of any length.
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
    /// The program's exit code for this error (1 is kept for faults of the program, 2 for usage).
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Config(_) => 3,
            Error::Data(_) => 4,
            Error::Checkpoint(_) => 5,
            Error::Device(_) => 6,
            Error::NotFinite(_) => 7,
            Error::Disk(_) => 8,
            Error::Interrupted { signal, .. } => 128 + signal,
        }
    }

    /// A failed write: what, where, why.
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
