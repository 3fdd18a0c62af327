//! `metrics.jsonl`: one JSON object per line. Values that depend on the clock (`seconds` and those after it) come last
//! in a line; the rest is a function of the settings.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serializer};
use serde_json::Value;

use super::checkpoint::Position;
use crate::data::files::whole;
use crate::error::{Error, Result};
use crate::files::{self, write_whole};

/// The key of a classifier's error, in percent of the images.
pub const ERROR_PERCENT: &str = "error_percent";
/// The key of the mean KL of every glimpse, an array, nats.
pub const KL_PER_GLIMPSE: &str = "kl_per_glimpse";

/// Wall time of a run in seconds: the total, and the parts spent in training steps, in evaluations with their pictures,
/// and in checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// Total.
    pub all: f64,
    /// In training steps.
    pub steps: f64,
    /// In evaluations and pictures.
    pub evaluations: f64,
    /// In checkpoints.
    pub checkpoints: f64,
}

/// The keys of [`Seconds`], in their order, in lines of kind "train" and in the summary.
pub const SECONDS: [&str; 4] =
    ["seconds", "seconds_in_steps", "seconds_in_evaluations", "seconds_in_checkpoints"];

impl Seconds {
    /// The times in `line`, or `None` if it has none.
    pub fn of(line: &Value) -> Option<Seconds> {
        let [all, steps, evaluations, checkpoints] = SECONDS.map(|key| line[key].as_f64());
        Some(Seconds {
            all: all?,
            steps: steps?,
            evaluations: evaluations?,
            checkpoints: checkpoints?,
        })
    }
}

/// A metrics file that is open for appending; without a file on ranks other than 0.
pub struct Metrics {
    file: Option<File>,
    path: PathBuf,
    lines: u64,
}

/// Keys and values, serialized in this order.
struct Line<'a>(&'a [(&'a str, Value)]);

impl serde::Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Metrics {
    /// Opens the file at `path`, which has `lines` lines, or creates it.
    pub fn open(path: &Path, lines: u64) -> Result<Metrics> {
        let file = files::open_to_append(path);
        let file = file.map_err(|e| Error::disk("open", path, e))?;
        Ok(Metrics { file: Some(file), path: path.to_path_buf(), lines })
    }

    /// Metrics that are discarded.
    pub fn nowhere() -> Metrics {
        Metrics { file: None, path: PathBuf::new(), lines: 0 }
    }

    /// Appends one object.
    pub fn line(&mut self, fields: &[(&str, Value)]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_string(&Line(fields)).expect("keys are strings");
        text.push('\n');
        files::write(file, text.as_bytes()).map_err(|e| Error::disk("write", &self.path, e))?;
        self.lines += 1;
        Ok(())
    }

    /// Number of lines in the file.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Waits until the lines are on the disk.
    pub fn sync(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        files::sync(file).map_err(|e| Error::disk("sync", &self.path, e))
    }
}

/// The fields that decide whether a resumed run keeps a line; others are skipped while parsing.
#[derive(Deserialize)]
struct Head<'a> {
    step: Option<u64>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    split: Option<Cow<'a, str>>,
    seconds: Option<f64>,
    seconds_in_steps: Option<f64>,
    seconds_in_evaluations: Option<f64>,
    seconds_in_checkpoints: Option<f64>,
}

impl Head<'_> {
    /// Whether this line was written before the checkpoint at `position`.
    fn is_before(&self, position: &Position) -> bool {
        let test = self.split.as_deref() == Some("test");
        match self.step {
            Some(step) if step == position.step => match self.kind.as_deref() {
                // Keep all lines of an evaluation or none: they are written together.
                Some("eval" | "marginal") => !test && position.evaluated == step,
                _ => true,
            },
            Some(step) => step < position.step && !test,
            None => false,
        }
    }

    fn time(&self) -> Option<Seconds> {
        Some(Seconds {
            all: self.seconds?,
            steps: self.seconds_in_steps?,
            evaluations: self.seconds_in_evaluations?,
            checkpoints: self.seconds_in_checkpoints?,
        })
    }
}

/// The part of its metrics that a resumed run keeps.
#[derive(Debug, Default, PartialEq)]
pub struct Kept {
    /// Bytes of the lines that stay.
    pub bytes: usize,
    /// Number of the lines that stay.
    pub lines: u64,
    /// The time that they account for.
    pub seconds: Seconds,
}

/// Truncates the lines written after the checkpoint at `position`, which a resumed run writes again. Fails with
/// [`Error::Data`], without changing the file, if a line from before the checkpoint is damaged, and with
/// [`Error::Disk`].
pub fn rewind(path: &Path, position: &Position) -> Result<Kept> {
    let bytes = match whole(path, u64::MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(e) => {
            let path = path.display();
            let what = format!("cannot read {path}: {e}; move it away to resume without it");
            return Err(Error::Disk(what));
        }
    };
    let kept = rewound(&bytes, position, path)?;
    write_whole(path, &bytes[..kept.bytes])?;
    Ok(kept)
}

/// The part of the file's bytes that [`rewind`] keeps; `path` is for messages.
///
/// Lines from before the checkpoint are a prefix of the file and were on disk when the checkpoint was written. The rest
/// may be anything: a killed process leaves half a line, and a power failure leaves arbitrary bytes. So a line that
/// does not belong before the checkpoint counts as damaged if a line that does belong there comes after it, or if it
/// cannot be parsed and the checkpoint recorded more lines than precede it.
pub fn rewound(bytes: &[u8], position: &Position, path: &Path) -> Result<Kept> {
    let mut kept = Kept::default();
    // Number of the first line that is cut off, and whether it can be parsed.
    let mut cut: Option<(u64, bool)> = None;
    for (number, line) in (1..).zip(bytes.split_inclusive(|&b| b == b'\n')) {
        let whole = line.ends_with(b"\n");
        let head =
            serde_json::from_slice::<Head>(line).ok().filter(|head| whole && head.step.is_some());
        match (&head, cut) {
            (Some(head), Some((first, _))) if head.is_before(position) => {
                return Err(damaged(path, first, position));
            }
            (Some(head), None) if head.is_before(position) => {
                kept.bytes += line.len();
                kept.lines += 1;
                kept.seconds = head.time().unwrap_or(kept.seconds);
            }
            (_, None) => cut = Some((number, head.is_some())),
            _ => {}
        }
    }
    match cut {
        Some((first, false)) if position.lines.is_some_and(|lines| kept.lines < lines) => {
            Err(damaged(path, first, position))
        }
        _ => Ok(kept),
    }
}

/// The error about a line from before the checkpoint.
fn damaged(path: &Path, line: u64, position: &Position) -> Error {
    Error::Data(format!(
        "{}: line {line} is damaged or out of order, although it precedes step {}, at which the run is \
         resumed; restore the file from a copy, or repair or remove that line, then resume again",
        path.display(),
        position.step
    ))
}

/// An f32 as the shortest decimal that parses to the same value.
pub fn short(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, split: &str, step: u64) -> String {
        format!("{{\"kind\":\"{kind}\",\"split\":\"{split}\",\"step\":{step}}}\n")
    }

    /// Lines of the checkpoint's own step stay only if the checkpoint recorded their evaluation.
    #[test]
    fn lines_after_the_checkpoint_are_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("metrics.jsonl");
        let before = [line("train", "", 3), line("eval", "valid", 4), line("marginal", "train", 4)];
        let at = [line("eval", "valid", 8), line("eval", "train", 8), line("marginal", "valid", 8)];
        let after = [line("eval", "test", 8), line("train", "", 9), "{\"kind\":\"tr".to_string()];
        let step = line("train", "", 8);
        let all = [before.concat(), step.clone(), at.concat(), after.concat()].concat();
        for (evaluated, lines, kept) in [
            (4, 4, [before.concat(), step.clone()].concat()),
            (8, 7, [before.concat(), step.clone(), at.concat()].concat()),
        ] {
            std::fs::write(&path, &all).unwrap();
            let position =
                Position { step: 8, evaluated, lines: Some(lines), ..Position::default() };
            assert_eq!(rewind(&path, &position).unwrap().lines, lines);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kept, "evaluated at {evaluated}");
        }
    }

    #[test]
    fn a_damaged_line_from_before_the_checkpoint_is_named_and_nothing_changes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("metrics.jsonl");
        let lines: Vec<String> =
            [2, 4, 6, 8, 10].map(|step| line("train", "", step)).into_iter().collect();
        let position = |lines| Position { step: 8, lines, ..Position::default() };
        let kept = |text: &str, lines| {
            std::fs::write(&path, text).unwrap();
            rewind(&path, &position(lines)).map(|kept| kept.lines)
        };
        let refused = |text: &str, lines, number: u64| {
            let Err(error) = kept(text, lines) else { panic!("{text} is taken") };
            let message = error.to_string();
            let place = format!("metrics.jsonl: line {number} is ");
            assert!(error.exit_code() == 4 && message.contains(&place), "{message}");
            assert!(message.contains("restore the file"), "{message}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is as it was");
        };
        let with = |number: usize, text: &str| {
            let mut lines = lines.clone();
            lines[number - 1] = text.into();
            lines.concat()
        };
        for broken in ["{\"kind\":\"tr\n", "\0\0\n", "\n", "{}\n", "{\"step\":99}\n"] {
            for number in 1..4 {
                refused(&with(number, broken), Some(4), number as u64);
                refused(&with(number, broken), None, number as u64);
            }
        }
        // The last line before the checkpoint is distinguished from later ones only by the number of lines.
        refused(&with(4, "{\"step\":8\n"), Some(4), 4);
        refused(&lines.concat()[..lines[..4].concat().len() - 3], Some(4), 4);
        // Anything after the checkpoint is cut off.
        assert_eq!(kept(&with(5, "{\"step\":8\n"), Some(4)).unwrap(), 4);
        assert_eq!(kept(&with(5, "\0"), Some(4)).unwrap(), 4);
        // A line may be removed, as the message says.
        for number in 1..5 {
            assert_eq!(kept(&with(number, ""), Some(4)).unwrap(), 3);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(rewind(&path, &position(Some(4))).unwrap(), Kept::default());
    }
}
