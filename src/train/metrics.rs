//! `metrics.jsonl`: one JSON object a line. Numbers that depend on the clock, `seconds` and those after
//! it, come last in a line; the rest of a line is a function of the settings.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serializer};
use serde_json::Value;

use super::checkpoint::Position;
use super::files::{self, write_whole};
use crate::data::files::whole;
use crate::error::{Error, Result};

/// The key of a classifier's wrong answers, in percent of the images.
pub const ERROR_PERCENT: &str = "error_percent";
/// The key of the mean KL of every glimpse, an array, nats.
pub const KL_PER_GLIMPSE: &str = "kl_per_glimpse";

/// Wall time of a run, in seconds: all of it, and what of it went into training steps, into evaluations
/// with their pictures, and into checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// From the start on.
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
    /// What `line` says, none where it says nothing.
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

/// A file of metrics, open for appending; none on a rank that leaves the files to another.
pub struct Metrics {
    file: Option<File>,
    path: PathBuf,
}

/// Keys and values in this order.
struct Line<'a>(&'a [(&'a str, Value)]);

impl serde::Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl Metrics {
    /// Opens the file at `path`, made if it is not there.
    pub fn open(path: &Path) -> Result<Metrics> {
        let file = files::open_to_append(path);
        let file = file.map_err(|e| Error::disk("open", path, e))?;
        Ok(Metrics { file: Some(file), path: path.to_path_buf() })
    }

    /// Metrics that are written nowhere.
    pub fn nowhere() -> Metrics {
        Metrics { file: None, path: PathBuf::new() }
    }

    /// Appends one object.
    pub fn line(&mut self, fields: &[(&str, Value)]) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_string(&Line(fields)).expect("keys are strings");
        text.push('\n');
        files::write(file, text.as_bytes()).map_err(|e| Error::disk("write", &self.path, e))
    }

    /// Waits until the lines are on the disk.
    pub fn sync(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        files::sync(file).map_err(|e| Error::disk("sync", &self.path, e))
    }
}

/// What decides whether a resumed run keeps a line; whatever else is in it takes no memory.
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
    fn time(&self) -> Option<Seconds> {
        Some(Seconds {
            all: self.seconds?,
            steps: self.seconds_in_steps?,
            evaluations: self.seconds_in_evaluations?,
            checkpoints: self.seconds_in_checkpoints?,
        })
    }
}

/// Cuts off what was written after the checkpoint at `position`, which a resumed run writes anew.
/// Returns the time that the kept lines account for.
pub fn rewind(path: &Path, position: &Position) -> Result<Seconds> {
    let bytes = match whole(path, u64::MAX) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Seconds::default()),
        Err(e) => {
            let path = path.display();
            let what = format!("cannot read {path}: {e}; move it away to go on without it");
            return Err(Error::Disk(what));
        }
    };
    let (kept, seconds) = rewound(&bytes, position);
    write_whole(path, &kept)?;
    Ok(seconds)
}

/// What [`rewind`] keeps of a file's bytes, and their time. It ends at the first line that cannot be read: a
/// killed process, or a machine whose power failed, leaves anything behind what was synced.
pub fn rewound(bytes: &[u8], position: &Position) -> (Vec<u8>, Seconds) {
    let mut seconds = Seconds::default();
    let mut kept = Vec::with_capacity(bytes.len());
    // A last line without its end is what a killed process left.
    for line in bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")) {
        let Ok(head) = serde_json::from_slice::<Head>(line) else { break };
        let test = head.split.as_deref() == Some("test");
        let before = match head.step {
            Some(step) if step == position.step => match head.kind.as_deref() {
                // Of one evaluation, all or none: its lines are written together.
                Some("eval" | "marginal") => !test && position.evaluated == step,
                _ => true,
            },
            Some(step) => step < position.step && !test,
            None => false,
        };
        if before {
            kept.extend_from_slice(line);
            seconds = head.time().unwrap_or(seconds);
        }
    }
    (kept, seconds)
}

/// An f32 as the shortest decimal that gives it back.
pub fn short(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the checkpoint's own step stay only as far as the checkpoint knows of them.
    #[test]
    fn lines_after_the_checkpoint_are_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("metrics.jsonl");
        let line = |kind: &str, split: &str, step: u64| {
            format!("{{\"kind\":\"{kind}\",\"split\":\"{split}\",\"step\":{step}}}\n")
        };
        let before = [line("train", "", 3), line("eval", "valid", 4), line("marginal", "train", 4)];
        let at = [line("eval", "valid", 8), line("eval", "train", 8), line("marginal", "valid", 8)];
        let after = [line("eval", "test", 8), line("train", "", 9), "{\"kind\":\"tr".to_string()];
        let step = line("train", "", 8);
        let all = [before.concat(), step.clone(), at.concat(), after.concat()].concat();
        for (evaluated, kept) in [
            (4, [before.concat(), step.clone()].concat()),
            (8, [before.concat(), step.clone(), at.concat()].concat()),
        ] {
            std::fs::write(&path, &all).unwrap();
            rewind(&path, &Position { step: 8, evaluated, ..Position::default() }).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), kept, "evaluated at {evaluated}");
        }
    }
}
