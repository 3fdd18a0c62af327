//! What a run directory holds: `config.toml`, `metrics.jsonl`, `timing.jsonl`, `summary.json` and
//! pictures.
//!
//! A line of metrics is one JSON object:
//! `{"kind":"train","step":N,"images":SEEN,"loss":NATS,..}`, with `"skipped":N,"first_skipped":STEP` where
//! updates were left out since the line before as they were not finite (the loss is the mean of the
//! others, null if there are none), or
//! `{"kind":"eval","split":"valid","what":"..","step":N,"images":SEEN,"bound":NATS,..}`, of pixel
//! models with `"nll":NATS,"bits_per_dim":BITS` for the bound, of DRAW also with
//! `"kl_per_glimpse":[NATS,..]`, of classifiers with `"nll":NATS,"error_percent":PERCENT`, or
//! `{"kind":"marginal","split":"valid","what":"..","step":N,"images":SEEN,"log_p":NATS}`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::NATS;
use super::html::{escape, figure};
use crate::data::{files, thousands};
use crate::error::{Error, Result};
use crate::train::metrics::ERROR_PERCENT;

/// The longest file that is read: far more than any run writes.
const MOST: u64 = 1 << 28;

/// A run directory in memory.
pub struct Run {
    /// The directory's name.
    pub name: String,
    /// Its settings, TOML.
    pub config: String,
    /// Lines of `metrics.jsonl`.
    pub metrics: Vec<Value>,
    /// Lines of `timing.jsonl`.
    timing: Vec<Value>,
    /// `summary.json`, null while there is none.
    pub summary: Value,
    /// Pictures by kind and moment.
    pub pictures: Vec<Picture>,
}

/// A score of a split: a bound or an exact nll.
pub struct Score {
    /// Nats an image.
    pub nats: f64,
    /// Bits a number of the image, where they are given.
    bits: Option<f64>,
    /// Wrong answers in percent of the images, of a classifier.
    pub error: Option<f64>,
    /// What it is on.
    pub what: String,
}

impl Score {
    /// `name` is [`Run::score`]. For example "bound: 98.19 nats an image", "nll: 85.20 nats an image,
    /// 0.157 bits/dim" or "error: 4.18 %, nll: 0.13 nats an image".
    pub fn text(&self, name: &str) -> String {
        let error = self.error.map_or(String::new(), |error| format!("error: {error:.2} %, "));
        let bits = self.bits.map_or(String::new(), |bits| format!(", {bits:.3} bits/dim"));
        format!("{error}{name}: {:.2} {NATS}{bits}", self.nats)
    }
}

/// A PNG or GIF file of a run.
pub struct Picture {
    /// Its path below the run directory, without `.png`.
    name: String,
    bytes: Vec<u8>,
    width: u32,
    height: u32,
}

impl Run {
    /// Reads a run directory; what is missing beside `config.toml` is empty.
    pub fn read(dir: &Path) -> Result<Run> {
        let config = dir.join("config.toml");
        let config = read(&config)?.ok_or_else(|| {
            Error::Data(format!(
                "{} is missing: {} is not a run directory; name one that training made, such as \
                 runs/NAME",
                config.display(),
                dir.display()
            ))
        })?;
        let summary = dir.join("summary.json");
        let summary = match read(&summary)? {
            None => Value::Null,
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| damaged(&summary, e))?,
        };
        // The name of "." or ".." is that of the directory it leads to.
        let path = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
        Ok(Run {
            name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            config: String::from_utf8_lossy(&config).into_owned(),
            metrics: read_metrics(&dir.join("metrics.jsonl"))?,
            timing: read_lines(&dir.join("timing.jsonl"))?,
            summary,
            pictures: pictures(dir)?,
        })
    }

    /// How it was trained, where its settings say so: `sgvb`, `wake-sleep`, `monte-carlo-em`.
    pub fn method(&self) -> Option<String> {
        let settings: toml::Table = self.config.parse().ok()?;
        let method = settings.get("model")?.get("method")?.get("name")?;
        method.as_str().map(String::from)
    }

    /// A number of the summary.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.summary[key].as_f64()
    }

    /// A text of the summary.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.summary[key].as_str()
    }

    /// Device and threads, or that nothing is known of them.
    pub fn device(&self) -> String {
        match (self.text("device"), self.number("threads")) {
            (Some(device), Some(1.0)) => format!("{device}, 1 thread"),
            (Some(device), Some(threads)) => format!("{device}, {threads} threads"),
            (Some(device), None) => device.into(),
            _ => "a device not recorded yet".into(),
        }
    }

    /// The highest `step` or `images` of the metrics.
    pub fn last(&self, key: &str) -> f64 {
        self.metrics.iter().filter_map(|line| line[key].as_f64()).fold(0.0, f64::max)
    }

    /// The last value of `key` in the timings, or else in the metrics.
    pub fn last_timing(&self, key: &str) -> Option<f64> {
        let last = |lines: &[Value]| lines.iter().rev().find_map(|line| line[key].as_f64());
        last(&self.timing).or_else(|| last(&self.metrics))
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

    /// Whether it is of a classifier, whose evaluations have errors.
    pub fn classifies(&self) -> bool {
        self.text("score") == Some("error")
            || self.metrics.iter().any(|line| line[ERROR_PERCENT].is_number())
    }

    /// What its scores are called, also in the metrics: "bound" or "nll".
    pub fn score(&self) -> &'static str {
        let exact = |line: &Value| line["kind"] == "eval" && line["nll"].is_number();
        let named = matches!(self.text("score"), Some("nll" | "error"));
        if named || self.metrics.iter().any(exact) { "nll" } else { "bound" }
    }

    /// The last score on a split: the summary's, or else of the metrics.
    pub fn last_score(&self, split: &str) -> Option<Score> {
        let name = self.score();
        let mut evals = self.metrics.iter().rev().filter(|line| line["kind"] == "eval");
        let line = evals.find(|line| line["split"] == split && line[name].is_number());
        let measured = line.and_then(|line| {
            let (nats, bits) = (line[name].as_f64()?, line["bits_per_dim"].as_f64());
            Some(Score { nats, bits, error: line[ERROR_PERCENT].as_f64(), what: what(line) })
        });
        match self.number(&format!("{split}_{name}")) {
            // The summary repeats an evaluation, which knows best what it was on.
            Some(nats) if measured.as_ref().is_none_or(|m| !((m.nats - nats).abs() < 5e-3)) => {
                let bits = self.number(&format!("{split}_bits_per_dim"));
                let error = self.number(&format!("{split}_{ERROR_PERCENT}"));
                Some(Score { nats, bits, error, what: self.summary_what(split) })
            }
            _ => measured,
        }
    }

    /// What a score that only the summary has is on.
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

    /// What the training loss is on: the data set and binarization that the evaluations name.
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

/// The data that an evaluation line is about.
pub fn what(line: &Value) -> String {
    let split = || line["split"].as_str().unwrap_or("unknown");
    line["what"]
        .as_str()
        .map_or_else(|| format!("{} split of a data set not recorded", split()), String::from)
}

impl Picture {
    /// For a picture such as `samples/step-00001000`, its kind `samples/step-` and moment 1000.
    pub fn moment(&self) -> Option<(&str, u64)> {
        let kind = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let moment = self.name[kind.len()..].parse().ok()?;
        self.name.starts_with("samples/").then_some((kind, moment))
    }

    /// A figure element with the picture in it.
    pub fn figure(&self) -> String {
        let (caption, alt) = match self.moment() {
            Some((kind, moment)) if kind.ends_with("step-") => {
                let text = format!("after step {}", thousands(moment as usize));
                (text.clone(), format!("Sheet of images drawn from the model {text}"))
            }
            _ => match CAPTIONS.iter().find(|(name, _)| *name == self.name) {
                Some((_, text)) => (text.to_string(), format!("Sheet of images: {text}")),
                None => (self.name.clone(), format!("Sheet of images: {}", self.name)),
            },
        };
        let (width, height) = (self.width, self.height);
        let kind = if self.name.ends_with(FILM) { "gif" } else { "png" };
        let image = format!(
            "<img alt=\"{}\" width=\"{width}\" height=\"{height}\" \
             src=\"data:image/{kind};base64,{}\">",
            escape(&alt),
            STANDARD.encode(&self.bytes)
        );
        figure(&image, &caption)
    }
}

/// How a film's name ends.
const FILM: &str = ".gif";

/// What pictures show, by their names.
const CAPTIONS: [(&str, &str); 7] = [
    (
        "samples/completions",
        "completions, a row each: what is given, what the model draws, the original",
    ),
    (
        "samples/film",
        "samples as they are drawn, a row each: the canvas after each glimpse, in red where it writes",
    ),
    ("samples/film.gif", "samples as they are drawn, in red where each glimpse writes"),
    (
        "samples/reading",
        "test images glimpse by glimpse: in green where it looks, below in red where it writes on the \
         canvas; a classifier writes nothing, a red frame marks what it gets wrong",
    ),
    ("samples/reading.gif", "the same as a film"),
    ("samples/nearest", "samples, each beside the training image nearest to it, in a blue frame"),
    ("samples/reconstructions", "reconstructions, each below its test image"),
];

/// The pictures of a run: its own and those in `samples/`, by kind and moment.
fn pictures(dir: &Path) -> Result<Vec<Picture>> {
    let mut found = Vec::new();
    for (folder, prefix) in [(dir.to_path_buf(), ""), (dir.join("samples"), "samples/")] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match name.strip_suffix(".png") {
                Some(stem) => found.push(picture(&path, format!("{prefix}{stem}"))?),
                None if name.ends_with(FILM) => found.push(film(&path, format!("{prefix}{name}"))?),
                None => {}
            }
        }
    }
    found.sort_by(|a, b| (a.moment(), &a.name).cmp(&(b.moment(), &b.name)));
    Ok(found)
}

fn picture(path: &Path, name: String) -> Result<Picture> {
    let bytes = files::whole(path, MOST).map_err(|e| damaged(path, e))?;
    let reader = png::Decoder::new(Cursor::new(&bytes)).read_info();
    let (width, height) = reader.map_err(|e| damaged(path, e))?.info().size();
    Ok(Picture { name, bytes, width, height })
}

fn film(path: &Path, name: String) -> Result<Picture> {
    let bytes = files::whole(path, MOST).map_err(|e| damaged(path, e))?;
    let decoder = gif::Decoder::new(Cursor::new(&bytes)).map_err(|e| damaged(path, e))?;
    let (width, height) = (decoder.width().into(), decoder.height().into());
    Ok(Picture { name, bytes, width, height })
}

/// The lines of a `metrics.jsonl`, none if there is no such file.
///
/// A last line that does not end and cannot be read was being written when the run was killed, or
/// is being written now: it is left out. Any other line that is no JSON object with a `kind` is an
/// [`Error::Data`] naming file and line.
pub fn read_metrics(path: &Path) -> Result<Vec<Value>> {
    let lines = read_lines(path)?;
    if let Some(at) = lines.iter().position(|line| !line["kind"].is_string()) {
        return Err(damaged(path, format!("line {}: has no \"kind\"", at + 1)));
    }
    Ok(lines)
}

/// The JSON objects of a file, one a line.
fn read_lines(path: &Path) -> Result<Vec<Value>> {
    lines_of(&read(path)?.unwrap_or_default(), path)
}

/// The JSON objects in the bytes of a file, one a line. `path` is for messages.
pub fn lines_of(bytes: &[u8], path: &Path) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for (at, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        match serde_json::from_slice::<Value>(line) {
            Ok(value) if value.is_object() => lines.push(value),
            _ if !line.ends_with(b"\n") => {}
            Ok(_) => return Err(damaged(path, format!("line {}: not an object", at + 1))),
            Err(e) => {
                // The parser saw this line alone and calls it line 1.
                let text = e.to_string();
                let cause = text.split(" at line ").next().unwrap_or_default();
                return Err(damaged(path, format!("line {}: {cause}", at + 1)));
            }
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

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Data(format!(
        "cannot read {}: {cause}; mend or remove it and write the report again",
        path.display()
    ))
}
