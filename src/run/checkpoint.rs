//! Checkpoints. A checkpoint is a directory `step-NNNNNNNN` with two files. `model.safetensors` has the weights under
//! their `Module` names, and the metadata `kind`, `config`, `data`, `step`, and `history` if the run started from
//! trained weights. `state.safetensors` has the optimiser's moments and the loss summed since the last line of metrics,
//! and the metadata `position`, `settings`, `model`, the checksum of the model file that it belongs to, and `tiles`,
//! those of the GPU unless they are the usual ones. In a run with moving averages, the model file has the averages,
//! and the weights that are being trained are in the state as `raw.NAME`.
//!
//! A checkpoint is written under a temporary name, each file and the directory are synced, and then it is renamed, so a
//! directory with the final name is complete. If a checkpoint of the same step exists, it is first renamed to
//! `step-NNNNNNNN.old`, which is used if the process dies before the new one has its name.

mod state;
#[cfg(test)]
mod tests;
mod trained_on;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use state::{LOSS_SUM, MOMENTS, RAW, tiles_text};
pub use state::{RunSettings, State};
pub use trained_on::TrainedOn;

use super::card::Card;
use super::history::TrainingStage;
use crate::data::Binarization;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::{self, sync_dir};
use crate::model_file::{Content, HostTensor};
use crate::models::{AnyModel, KINDS, ModelConfig};
use crate::nn::{Module, Param, TrainState};
use crate::output::Output;
use crate::settings::{Config, build, shared};
use crate::tensor::Tensor;
use crate::text;

const MODEL: &str = "model.safetensors";
const STATE: &str = "state.safetensors";
/// The metadata that describe the model of a file, without which it has only weights.
const SETTINGS: [&str; 4] = ["kind", "config", "data", "step"];
/// The metadata key of a model file's card.
const CARD: &str = "card";
/// The metadata key of a checkpoint's earlier stages; an exported file has them in its card.
const HISTORY: &str = "history";
/// Prefix, followed by a process id, of a checkpoint that is being written.
pub(super) const WRITING: &str = ".writing-";
/// Prefix, followed by its name, of a checkpoint that is being removed.
pub(super) const REMOVING: &str = ".removing-";

/// The position of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Number of finished steps. The images, binarization and noise of the following steps are functions of it and the
    /// seed.
    pub step: u64,
    /// Number of finished optimiser steps.
    pub optimizer_steps: u64,
    /// Number of losses summed since the last line of metrics.
    pub summed: u64,
    /// Number of these steps that were skipped because of NaN or infinity, ...
    #[serde(default)]
    pub skipped: u64,
    /// ... and the first of them, counted from 1.
    #[serde(default)]
    pub first_skipped: Option<u64>,
    /// The step of the last evaluation.
    pub evaluated: u64,
    /// Step and validation score of the best evaluation.
    pub best: Option<(u64, f64)>,
    /// Lines of metrics.jsonl that were on disk when the checkpoint was written; absent in checkpoints that predate
    /// this field.
    #[serde(default)]
    pub lines: Option<u64>,
}

/// A checkpoint's weights with their description, read and validated.
pub struct Checkpoint {
    /// The file of the weights.
    pub path: PathBuf,
    /// The model.
    pub model: ModelConfig,
    /// The data it was trained on.
    pub data: TrainedOn,
    /// Number of training steps.
    pub step: u64,
    /// The earlier stages of training, oldest first; empty if it started from random weights, or predates histories.
    pub history: Vec<TrainingStage>,
    /// Whether another program wrote it, so that nothing is known about its training.
    pub foreign: bool,
    weights: Content,
}

/// Name of the checkpoint of a step.
pub fn name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step of a checkpoint's name.
pub fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-").filter(|n| n.len() >= 8)?.parse().ok()
}

/// Where the checkpoint `target` is moved while a new one takes its name.
pub fn aside(target: &Path) -> PathBuf {
    target.with_extension("old")
}

/// Renames the directory `written` to `target`, replacing an existing one. After a crash at any point, a complete
/// checkpoint exists under that name or under that of [`aside`].
fn exchange(written: &Path, target: &Path) -> std::io::Result<()> {
    let (old, parent) = (aside(target), target.parent().unwrap_or(Path::new(".")));
    let sync = || sync_dir(parent).map_err(std::io::Error::other);
    if target.exists() {
        if old.exists() {
            files::remove(&old)?;
        }
        files::rename(target, &old)?;
    }
    files::rename(written, target)?;
    sync()?;
    if old.exists() { files::remove(&old) } else { Ok(()) }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Checkpoint(format!("no JSON text: {e}")))
}

fn host(tensor: &Tensor) -> Result<HostTensor> {
    Ok(HostTensor { shape: tensor.shape().to_vec(), data: tensor.to_vec()? })
}

/// Writes a checkpoint in `parent` and returns its directory.
///
/// Fails with [`Error::NotFinite`], without writing anything, if a number is NaN or infinite, and with [`Error::Disk`]
/// if writing fails.
pub fn save(
    parent: &Path,
    config: &Config,
    data: &TrainedOn,
    history: &[TrainingStage],
    model: &dyn Module,
    training: &TrainState,
    position: &Position,
) -> Result<PathBuf> {
    let (weights, state) = contents((config, data, history), model, training, position)?;
    let target = parent.join(name(position.step));
    let temporary = parent.join(format!("{WRITING}{}", std::process::id()));
    let write = || {
        let fail = |e| Error::disk("write", &target, e);
        if temporary.exists() {
            files::remove(&temporary).map_err(fail)?;
        }
        // Do not create parents: a run that was removed meanwhile must stay removed.
        files::create_one_dir(&temporary).map_err(fail)?;
        weights.write(&temporary.join(MODEL))?;
        state.write(&temporary.join(STATE))?;
        sync_dir(&temporary)?;
        exchange(&temporary, &target).map_err(fail)
    };
    match write() {
        Ok(()) => Ok(target),
        Err(e) => {
            // Free the space on a full disk, if possible.
            let _ = files::remove(&temporary);
            Err(e)
        }
    }
}

/// The contents of the two files of a checkpoint, weights and state. Fails with [`Error::NotFinite`].
fn contents(
    (config, data, history): (&Config, &TrainedOn, &[TrainingStage]),
    model: &dyn Module,
    training: &TrainState,
    position: &Position,
) -> Result<(Content, Content)> {
    let (mut weights, mut state) = (Content::default(), Content::default());
    for (name, param) in model.parameters() {
        let value = host(&param.value())?;
        let value = match training.ema.averages.get(&name) {
            None => value,
            Some(average) => {
                state.tensors.insert(format!("{RAW}{name}"), value);
                host(average)?
            }
        };
        weights.tensors.insert(name, value);
    }
    weights.texts = [
        ("kind", config.model.kind().to_string()),
        ("config", json(&config.model)?),
        ("data", json(data)?),
        ("step", position.step.to_string()),
    ]
    .map(|(key, text)| (key.to_string(), text))
    .into();
    if !history.is_empty() {
        weights.texts.insert(HISTORY.into(), json(&history)?);
    }
    for (name, moments) in &training.optimizer.states {
        for (i, tensor) in moments.iter().enumerate() {
            state.tensors.insert(format!("{MOMENTS}{name}.{i}"), host(tensor)?);
        }
    }
    let sum = training.loss_sum.as_ref().map_or(Ok(0.0), Tensor::item)?;
    state.tensors.insert(LOSS_SUM.into(), HostTensor { shape: Vec::new(), data: vec![sum] });
    for (name, tensor) in weights.tensors.iter().chain(&state.tensors) {
        if !tensor.data.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite(format!("{name} contains NaN or infinity")));
        }
    }
    state.texts = [
        ("position", json(position)?),
        ("settings", json(&shared(config))?),
        ("model", weights.checksum()),
    ]
    .map(|(key, text)| (key.to_string(), text))
    .into();
    state.texts.extend(tiles_text(model)?);
    Ok((weights, state))
}

/// Reads the checkpoint in `dir`, weights and state. Fails with [`Error::Checkpoint`].
pub fn open(dir: &Path) -> Result<(Checkpoint, State)> {
    // Accept only the exact bytes that this program writes.
    let path = dir.join(MODEL);
    let (weights, state) = (Checkpoint::of(Content::read(&path)?, path)?, State::open(dir)?);
    if weights.step != state.position.step {
        return Err(Error::Checkpoint(format!(
            "{} is of step {}, but {STATE} next to it is of step {}; restore both from the same copy, or \
             resume from another checkpoint with --resume=auto",
            dir.join(MODEL).display(),
            weights.step,
            state.position.step
        )));
    }
    if state.model.as_ref().is_some_and(|expected| *expected != weights.weights.checksum()) {
        return Err(Error::Checkpoint(format!(
            "{} does not belong to {STATE} next to it; restore both from the same copy, or resume from \
             another checkpoint with --resume=auto",
            weights.path.display()
        )));
    }
    Ok((weights, state))
}

impl Checkpoint {
    /// Reads the weights in the directory `dir`, or those of the model file of that name (see
    /// [`export`](Checkpoint::export)), which may be from another program. Fails with [`Error::Checkpoint`], also on weights
    /// without settings.
    pub fn open(dir: &Path) -> Result<Checkpoint> {
        Checkpoint::open_any(dir, None)?.ok_or_else(|| {
            Error::Checkpoint(format!(
                "{} has weights without the settings of their model; give these with --preset, and with --set \
                 where they differ: `pixelloom presets` lists them",
                dir.display()
            ))
        })
    }

    /// Like [`Checkpoint::open`], but `settings` describes the model of weights without settings; returns `None` if both
    /// are missing. Fails with [`Error::Config`] if both the file and the caller have settings.
    pub fn open_any(dir: &Path, settings: Option<&Config>) -> Result<Option<Checkpoint>> {
        let path = if dir.is_file() { dir.to_path_buf() } else { dir.join(MODEL) };
        let weights = Content::read_any(&path)?;
        let described = SETTINGS.iter().all(|key| weights.texts.contains_key(*key));
        match (described, settings) {
            (true, None) => Checkpoint::of(weights, path).map(Some),
            (true, Some(_)) => Err(Error::Config(format!(
                "{} holds the settings of its model; leave out --preset and --set",
                path.display()
            ))),
            (false, None) => Ok(None),
            (false, Some(settings)) => Checkpoint::foreign(weights, path, settings).map(Some),
        }
    }

    /// Weights without settings, of the model that `settings` describes.
    fn foreign(weights: Content, path: PathBuf, settings: &Config) -> Result<Checkpoint> {
        let model = settings.model.clone();
        model.check()?;
        let binary = model.levels() == Some(2);
        let usual = if binary { Binarization::Threshold } else { Binarization::Grey };
        let data = TrainedOn {
            name: settings.data.name.clone(),
            binarization: settings.data.binarization.unwrap_or(usual),
            options: settings.data.options(),
            fingerprint: None,
        };
        let weights = Content { texts: Default::default(), ..weights };
        let checkpoint =
            Checkpoint { path, model, data, step: 0, foreign: true, history: Vec::new(), weights };
        checkpoint.load_into(checkpoint.model.without_numbers()?.model())?;
        Ok(checkpoint)
    }

    /// The checkpoint in the file at `path`, whose tensors must be those of the model that it describes. Fails with
    /// [`Error::Checkpoint`].
    pub fn of(weights: Content, path: PathBuf) -> Result<Checkpoint> {
        let kind = weights.texts.get("kind").map_or("", String::as_str);
        if !KINDS.iter().any(|known| known.name == kind) {
            return Err(Error::Checkpoint(format!(
                "{} contains a model of kind \"{kind}\"; this program supports {}",
                path.display(),
                KINDS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
            )));
        }
        let model: ModelConfig = weights.json("config", &path)?;
        model.check().map_err(|e| {
            Error::Checkpoint(format!(
                "{}: {e}; the file is damaged; use another checkpoint",
                path.display()
            ))
        })?;
        let (data, step) = (weights.json("data", &path)?, weights.json("step", &path)?);
        let mut checkpoint =
            Checkpoint { model, data, step, history: Vec::new(), foreign: false, weights, path };
        checkpoint.history = match checkpoint.card()? {
            Some(card) => card.history,
            None if checkpoint.weights.texts.contains_key(HISTORY) => {
                checkpoint.weights.json(HISTORY, &checkpoint.path)?
            }
            None => Vec::new(),
        };
        // Check the shapes without allocating: the metadata may describe a model of any size.
        checkpoint.load_into(checkpoint.model.without_numbers()?.model())?;
        Ok(checkpoint)
    }

    /// The model card, if this is an exported model file. Fails with [`Error::Checkpoint`] if it cannot be read.
    pub fn card(&self) -> Result<Option<Card>> {
        let there = self.weights.texts.contains_key(CARD);
        there.then(|| self.weights.json(CARD, &self.path)).transpose()
    }

    /// The stages that led to these weights. The last is its own training with `settings` (the text of a `config.toml`;
    /// empty if unknown). Empty if another program wrote the weights.
    pub fn stages(&self, settings: String) -> Vec<TrainingStage> {
        if self.foreign {
            return Vec::new();
        }
        let (data, steps, weights) = (self.data.clone(), self.step, self.weights.checksum());
        let own = TrainingStage { settings, data, steps, weights };
        self.history.iter().cloned().chain([own]).collect()
    }

    /// The same checkpoint with weights in half precision, which halves the file. Fails with [`Error::Config`] if a
    /// weight is too large for it.
    pub fn halved(self) -> Result<Checkpoint> {
        Ok(Checkpoint { weights: self.weights.halved()?, ..self })
    }

    /// Whether the checksum of its file could not be compared, because another program rounded the weights.
    pub fn unchecked(&self) -> bool {
        self.weights.unchecked
    }

    /// Whether its weights are in half precision.
    pub fn half(&self) -> bool {
        self.weights.half
    }

    /// Writes the weights and `card` into one file. Fails as [`Output::put`] does.
    pub fn export(&self, card: &Card, out: &Output) -> Result<()> {
        let mut content = self.weights.clone();
        content.texts.remove(HISTORY);
        content.texts.insert(CARD.into(), json(card)?);
        out.put(&content.to_bytes())
    }

    /// The largest absolute difference between its weights and those of `other`, 0 if all are equal; `None` if names or
    /// shapes differ.
    pub fn difference(&self, other: &Checkpoint) -> Option<f32> {
        let (ours, theirs) = (&self.weights.tensors, &other.weights.tensors);
        let same = |(name, tensor): (&String, &HostTensor)| {
            theirs.get(name).is_some_and(|other| other.shape == tensor.shape)
        };
        if ours.len() != theirs.len() || !ours.iter().all(same) {
            return None;
        }
        let pairs = ours.iter().flat_map(|(name, t)| t.data.iter().zip(&theirs[name].data));
        Some(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
    }

    /// Builds the model and loads the weights.
    pub fn load(&self, device: &Device) -> Result<AnyModel> {
        let model = build(&self.model, device, 0)?;
        self.load_into(model.model())?;
        Ok(model)
    }

    /// Loads the weights into `model`. Fails with [`Error::Checkpoint`] unless names and shapes agree, and lists what differs.
    pub fn load_into(&self, model: &dyn Module) -> Result<()> {
        let parameters = model.parameters();
        let different = self.different(&parameters);
        if !different.is_empty() {
            return Err(Error::Checkpoint(format!(
                "{}: {}; these weights belong to another model",
                self.path.display(),
                different.join("; ")
            )));
        }
        for (name, param) in parameters {
            let tensor = &self.weights.tensors[&name];
            param.set(Tensor::new(param.value().device(), &tensor.data, &tensor.shape));
        }
        Ok(())
    }

    /// Descriptions of tensors that are missing, unknown, or have another shape than in the model.
    fn different(&self, parameters: &[(String, &Param)]) -> Vec<String> {
        let tensors = &self.weights.tensors;
        let (mut missing, mut shapes) = (Vec::new(), Vec::new());
        for (name, param) in parameters {
            let (value, name_shown) = (param.value(), text::line(name));
            let needed = value.shape();
            match tensors.get(name) {
                None => missing.push(format!("tensor {name_shown} {needed:?} is missing")),
                Some(tensor) if tensor.shape != needed => shapes.push(format!(
                    "tensor {name_shown} has shape {:?}, but the model needs {needed:?}",
                    tensor.shape
                )),
                Some(_) => {}
            }
        }
        let known: BTreeSet<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let unknown = tensors.iter().filter(|(name, _)| !known.contains(name.as_str()));
        let unknown = unknown.map(|(name, tensor)| {
            let shown: String = text::line(name).chars().take(100).collect();
            format!("tensor {shown} {:?} is unknown", tensor.shape)
        });
        let lists = [missing, unknown.collect(), shapes];
        lists.into_iter().flat_map(|list| shortened(list, LISTED)).collect()
    }
}

/// Number of tensors that a message lists for each kind of difference.
const LISTED: usize = 8;

/// The first `most` lines, and the number of the others.
fn shortened(mut lines: Vec<String>, most: usize) -> Vec<String> {
    if lines.len() > most {
        let more = lines.len() - most;
        lines.truncate(most);
        lines.push(format!("and {more} more like this"));
    }
    lines
}
