//! Reads the contents of a run directory: `config.toml`, `metrics.jsonl`, `summary.json` and pictures.
//!
//! A line of metrics is one JSON object: `{"kind":"train","step":N,"images":SEEN,"loss":NATS,..}`, with
//! `"skipped":N,"first_skipped":STEP` if updates since the previous line were skipped because of NaN or infinity (the
//! loss is the mean of the other steps, null if there are none), or
//! `{"kind":"eval","split":"valid","what":"..","device":"..","step":N,"images":SEEN,"bound":NATS,..}`, for pixel models
//! with `"nll":NATS,"bits_per_dim":BITS` instead of the bound, for DRAW also with `"kl_per_glimpse":[NATS,..]`, for
//! classifiers with `"nll":NATS,"error_percent":PERCENT`, or
//! `{"kind":"marginal","split":"valid","what":"..","device":"..","step":N,"images":SEEN,"log_p":NATS}`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use super::gallery::{self, RunPicture};
use super::labels::{BITS, BITS_PER_DIM, NATS};
use crate::data::files;
use crate::error::{Error, Result};
use crate::run::metrics::{ERROR_PERCENT, Seconds};

/// Maximum bytes of a file that is read, far more than any run writes.
pub(super) const MOST: u64 = 1 << 28;

/// A run directory in memory.
pub struct Run {
    /// The directory's name.
    pub name: String,
    /// Its settings, TOML.
    pub config: String,
    /// Lines of `metrics.jsonl`.
    pub metrics: Vec<Value>,
    /// `summary.json`, null while there is none.
    pub summary: Value,
    /// `profile.json`, null if the run was not profiled.
    pub profile: Value,
    /// Pictures, ordered by step and name.
    pub pictures: Vec<RunPicture>,
}

/// A score of a split: a bound or an exact nll.
pub struct Score {
    /// Nats per image.
    pub nats: f64,
    /// Bits per dimension, if known.
    pub bits: Option<f64>,
    /// Error of a classifier, in percent of the images.
    pub error: Option<f64>,
    /// The data that was scored.
    pub what: String,
}

impl Score {
    /// `name` is [`Run::score`]. For example "bound: 98.19 nats/image", "nll: 85.20 nats/image,
    /// 0.157 bits/dim" or "error: 4.18 %, nll: 0.13 nats/image".
    pub fn text(&self, name: &str) -> String {
        let error = self.error.map_or(String::new(), |error| format!("error: {error:.2} %, "));
        let bits = self.bits.map_or(String::new(), |bits| format!(", {bits:.3} {BITS_PER_DIM}"));
        format!("{error}{name}: {:.2} {NATS}{bits}", self.nats)
    }
}

impl Run {
    /// Reads a run directory; files other than `config.toml` may be missing.
    pub fn read(dir: &Path) -> Result<Run> {
        let config = dir.join("config.toml");
        let config = read(&config)?.ok_or_else(|| {
            Error::Data(format!(
                "{} is missing, so {} is not a run directory; name one that `pixelloom train` created, \
                 such as runs/NAME",
                config.display(),
                dir.display()
            ))
        })?;
        Ok(Run {
            name: name_of(dir),
            config: String::from_utf8_lossy(&config).into_owned(),
            metrics: read_metrics(&dir.join("metrics.jsonl"))?,
            summary: summary(dir)?,
            profile: json(&dir.join("profile.json"))?,
            pictures: gallery::read(dir)?,
        })
    }

    /// The training method of a vae: `sgvb`, `wake-sleep`, `monte-carlo-em`.
    pub fn method(&self) -> Option<String> {
        let settings: toml::Table = self.config.parse().ok()?;
        let method = settings.get("model")?.get("method")?.get("name")?;
        method.as_str().map(String::from)
    }

    /// The number of values that a channel of a pixel can have, if the model's data are discrete.
    pub fn levels(&self) -> Option<i64> {
        let settings: toml::Table = self.config.parse().ok()?;
        settings.get("model")?.get("levels")?.as_integer()
    }

    /// The factor from nats/image to bits/dim, from an evaluation that has both.
    pub fn bits_per_nat(&self) -> Option<f64> {
        let name = self.score();
        self.metrics.iter().find_map(|line| Some(line[BITS].as_f64()? / line[name].as_f64()?))
    }

    /// A number of the summary.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.summary[key].as_f64()
    }

    /// A text of the summary.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.summary[key].as_str()
    }

    /// Device and threads of the summary, otherwise the device of the last evaluation, otherwise a text that it is
    /// unknown.
    pub fn device(&self) -> String {
        match (self.text("device"), self.number("threads")) {
            (Some(device), Some(1.0)) => format!("{device}, 1 thread"),
            (Some(device), Some(threads)) => format!("{device}, {threads} threads"),
            (Some(device), None) => device.into(),
            _ => {
                let device = self.metrics.iter().rev().find_map(|line| line["device"].as_str());
                device.unwrap_or("a device not recorded yet").into()
            }
        }
    }

    /// The highest `step` or `images` of the metrics.
    pub fn last(&self, key: &str) -> f64 {
        self.metrics.iter().filter_map(|line| line[key].as_f64()).fold(0.0, f64::max)
    }

    /// The last value of `key` in the training lines.
    pub fn last_of_training(&self, key: &str) -> Option<f64> {
        let training = self.metrics.iter().rev().filter(|line| line["kind"] == "train");
        training.filter_map(|line| line[key].as_f64()).next()
    }

    /// The wall time and its parts, from the summary or else from the last training line.
    pub fn seconds(&self) -> Option<Seconds> {
        let lines = self.metrics.iter().rev().filter(|line| line["kind"] == "train");
        Seconds::of(&self.summary).or_else(|| lines.filter_map(Seconds::of).next())
    }

    /// The last evaluation line of each kind of data: train, valid, test.
    pub fn evals(&self) -> Vec<&Value> {
        let order = |line: &Value| {
            let splits = ["train", "valid", "test"];
            splits.iter().position(|split| line["split"] == *split).unwrap_or(splits.len())
        };
        let evals = self.metrics.iter().filter(|line| line["kind"] == "eval");
        let last: BTreeMap<_, _> = evals.map(|line| ((order(line), what(line)), line)).collect();
        last.into_values().collect()
    }

    /// Whether the run is of a classifier, whose evaluations have errors.
    pub fn classifies(&self) -> bool {
        self.text("score") == Some("error")
            || self.metrics.iter().any(|line| line[ERROR_PERCENT].is_number())
    }

    /// The name of its scores, also in the metrics: "bound" or "nll".
    pub fn score(&self) -> &'static str {
        let exact = |line: &Value| line["kind"] == "eval" && line["nll"].is_number();
        let named = matches!(self.text("score"), Some("nll" | "error"));
        if named || self.metrics.iter().any(exact) { "nll" } else { "bound" }
    }

    /// The last score on a split, from the summary or else from the metrics.
    pub fn last_score(&self, split: &str) -> Option<Score> {
        let name = self.score();
        let mut evals = self.metrics.iter().rev().filter(|line| line["kind"] == "eval");
        let line = evals.find(|line| line["split"] == split && line[name].is_number());
        let measured = line.and_then(|line| {
            let (nats, bits) = (line[name].as_f64()?, line[BITS].as_f64());
            Some(Score { nats, bits, error: line[ERROR_PERCENT].as_f64(), what: what(line) })
        });
        match self.number(&format!("{split}_{name}")) {
            // If the summary repeats an evaluation, take the evaluation: it describes its data precisely.
            Some(nats) if measured.as_ref().is_none_or(|m| !((m.nats - nats).abs() < 5e-3)) => {
                let bits = self.number(&format!("{split}_{BITS}"));
                let error = self.number(&format!("{split}_{ERROR_PERCENT}"));
                Some(Score { nats, bits, error, what: self.summary_what(split) })
            }
            _ => measured,
        }
    }

    /// The data of a score that is only in the summary.
    fn summary_what(&self, split: &str) -> String {
        if let Some(what) = self.text(&format!("{split}_what")) {
            return what.into();
        }
        match self.text("what") {
            Some(what) if what.contains(&format!("{split} split")) => what.into(),
            Some(what) => format!("{split} split; {what}"),
            None => format!("{split} split of a data set not recorded"),
        }
    }

    /// The data of the training loss: the data set and binarization that the evaluations name.
    pub fn training_what(&self) -> String {
        let lines = || self.metrics.iter().rev();
        let own = lines().filter(|l| l["kind"] == "train").find_map(|l| l["what"].as_str());
        let derived = lines().filter(|l| l["kind"] == "eval").find_map(|line| {
            let (what, split) = (line["what"].as_str()?, line["split"].as_str()?);
            let (set, _) = what.split_once(&format!(", {split} split"))?;
            let (_, binarization) = what.rsplit_once(", ")?;
            Some(format!("{set}, train split, minibatches, {binarization}"))
        });
        own.map(String::from)
            .or(derived)
            .or_else(|| Some(format!("{}, minibatches of the train split", self.text("what")?)))
            .unwrap_or_else(|| "minibatches of a data set not recorded yet".into())
    }
}

/// The name of the run in `dir`; that of "." or ".." is the name of the directory it leads to.
pub fn name_of(dir: &Path) -> String {
    let path = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The `summary.json` of the run in `dir`, null while there is none. Fails with [`Error::Data`] if it cannot be
/// read.
pub fn summary(dir: &Path) -> Result<Value> {
    json(&dir.join("summary.json"))
}

/// The JSON value in a file, null if there is no such file.
fn json(path: &Path) -> Result<Value> {
    match read(path)? {
        None => Ok(Value::Null),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| damaged(path, e)),
    }
}

/// The data that an evaluation line is about.
pub fn what(line: &Value) -> String {
    let split = || line["split"].as_str().unwrap_or("unknown");
    line["what"]
        .as_str()
        .map_or_else(|| format!("{} split of a data set not recorded", split()), String::from)
}

/// The lines of a `metrics.jsonl`; empty if there is no such file.
///
/// A last line without a line break that cannot be parsed is incomplete, because the run was killed or is still
/// writing: it is left out. Any other line that is not a JSON object with a `kind` is an [`Error::Data`] that names the
/// file and the line.
pub fn read_metrics(path: &Path) -> Result<Vec<Value>> {
    lines_of(&read(path)?.unwrap_or_default(), path)
}

/// [`read_metrics`] of the bytes of a file. `path` is for messages.
pub fn lines_of(bytes: &[u8], path: &Path) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let fault = |what: &str| Err(damaged(path, format!("line {}: {what}", at + 1)));
        match serde_json::from_slice::<Value>(line) {
            Ok(value) if value["kind"].is_string() => lines.push(value),
            _ if !line.ends_with(b"\n") => {}
            Ok(Value::Object(_)) => return fault("has no \"kind\""),
            Ok(_) => return fault("not an object"),
            // The parser saw only this line and calls it line 1.
            Err(e) => return fault(e.to_string().split(" at line ").next().unwrap_or_default()),
        }
    }
    Ok(lines)
}

/// The bytes of a file, `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match files::whole(path, MOST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(damaged(path, e)),
    }
}

pub(super) fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Data(format!(
        "cannot read {}: {cause}; repair the file or move it away, then run the command again",
        path.display()
    ))
}
