//! Checkpoints: a directory `step-NNNNNNNN` with `model.safetensors` (weights by their `Module` names;
//! texts `kind`, `config`, `data`, `step`, and `history` if the run started from trained weights) and `state.safetensors` (the optimiser's moments, the loss
//! summed since the last line of metrics; texts `position`, `settings`, and `model`, the checksum of the model
//! file that it belongs to). Of a run with moving averages the weights are the averages, and what is trained is in
//! the state, as `raw.NAME`.
//!
//! It is written under another name, each file and the directory synced, then renamed: what bears
//! the name is complete. One that replaces another of its step puts that aside first, as
//! `step-NNNNNNNN.old`, which stands in until the new one bears the name.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::card::Card;
use super::history::TrainingStage;
use crate::data::{Binarization, DataSet, Fingerprint};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::{self, sync_dir};
use crate::model_file::{Content, HostTensor};
use crate::models::{AnyModel, KINDS, ModelConfig};
use crate::nn::{Module, TrainState};
use crate::output::Output;
use crate::settings::{Config, build, shared};
use crate::tensor::Tensor;

const MODEL: &str = "model.safetensors";
const STATE: &str = "state.safetensors";
/// The text of a model file that holds its card.
const CARD: &str = "card";
/// The text of a checkpoint that holds the stages before its own; an exported file has them in its card.
const HISTORY: &str = "history";
const LOSS_SUM: &str = "loss_sum";
/// Before a process number: a checkpoint that is not finished.
pub(super) const WRITING: &str = ".writing-";
/// Before a checkpoint's name: one that is being removed.
pub(super) const REMOVING: &str = ".removing-";
/// Before the parameter's name in the state file; the number of the state tensor follows it.
const MOMENTS: &str = "optimizer.";
/// Before the parameter's name in the state file, where the weights are moving averages.
const RAW: &str = "raw.";

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Batches done. Order, bits and noise of what follows are functions of it and of the seed.
    pub step: u64,
    /// Optimiser steps done.
    pub optimizer_steps: u64,
    /// Losses since the last line.
    pub summed: u64,
    /// Of these steps those that were left out, as something was not finite, ...
    #[serde(default)]
    pub skipped: u64,
    /// ... and the batch of the first, from 1.
    #[serde(default)]
    pub first_skipped: Option<u64>,
    /// The step evaluated last.
    pub evaluated: u64,
    /// Step and validation score of the best evaluation.
    pub best: Option<(u64, f64)>,
    /// Lines of metrics.jsonl that were on the disk when the checkpoint was written; absent in those from before
    /// this was stored.
    #[serde(default)]
    pub lines: Option<u64>,
}

/// The images a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Name of the data set.
    pub name: String,
    /// How its pixels became numbers.
    pub binarization: Binarization,
    /// Fingerprint of its images; absent in checkpoints and model files from before this was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

impl TrainedOn {
    /// A line about `data`, on which the model `what` is scored, if it has the name of the set that it was trained on:
    /// a warning if its images are others, a note if that cannot be checked.
    pub fn remark(&self, data: &DataSet, what: &str) -> Option<String> {
        if data.name != self.name {
            return None;
        }
        let Some(trained) = &self.fingerprint else {
            return Some(format!("note: {}", self.unknown(what)));
        };
        let now = Fingerprint::of(data);
        (now != *trained).then(|| {
            format!(
                "warning: {} holds other images than in training ({now}; then {trained}), so images \
                 scored here may have been trained on",
                self.name
            )
        })
    }

    /// The message that the training images of `what` are unknown.
    pub(super) fn unknown(&self, what: &str) -> String {
        let split = match self.name.contains("folder:") {
            true => {
                "; a folder without train, valid and test is split by the names of its images now, so \
                 images of another split may have been trained on"
            }
            false => "",
        };
        format!(
            "{what} is from before runs stored a fingerprint of their images, so its data cannot be \
             checked{split}"
        )
    }
}

/// A checkpoint's weights and what they are, read and checked.
pub struct Checkpoint {
    /// Its file of weights.
    pub path: PathBuf,
    /// The model.
    pub model: ModelConfig,
    /// The data it was trained on.
    pub data: TrainedOn,
    /// Batches it was trained for.
    pub step: u64,
    /// The trainings before this one, oldest first; empty if it started from random weights, or before histories
    /// were stored.
    pub history: Vec<TrainingStage>,
    weights: Content,
}

/// The settings that a checkpoint was trained with, as it stores them.
pub enum RunSettings {
    /// Those that a resumed run must share, see [`shared`].
    Values(Box<Config>),
    /// Their hash, in a checkpoint from before they were stored themselves.
    Hash(String),
}

/// What a run is resumed from, beside the weights.
pub struct State {
    /// How far it is.
    pub position: Position,
    /// The settings.
    pub settings: RunSettings,
    /// Checksum of the model file that it belongs to; absent in checkpoints from before this was stored.
    model: Option<String>,
    content: Content,
    path: PathBuf,
}

/// Name of the checkpoint of a step.
pub fn name(step: u64) -> String {
    format!("step-{step:08}")
}

/// The step of a checkpoint's name.
pub fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step-").filter(|n| n.len() >= 8)?.parse().ok()
}

/// Where the checkpoint `target` is put aside while another takes its name.
pub fn aside(target: &Path) -> PathBuf {
    target.with_extension("old")
}

/// Gives the directory `written` the name `target`, whatever bears it now. After a crash at any point
/// a complete checkpoint bears the name or that of [`aside`].
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

/// Writes a checkpoint below `parent` and returns its directory.
///
/// Fails with [`Error::NotFinite`], writing nothing, when a number is not finite; with
/// [`Error::Disk`] when writing fails.
pub fn save(
    parent: &Path,
    config: &Config,
    data: &TrainedOn,
    history: &[TrainingStage],
    model: &dyn Module,
    training: &TrainState,
    position: &Position,
) -> Result<PathBuf> {
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
            return Err(Error::NotFinite(format!("a number of {name} is not finite")));
        }
    }
    state.texts = [
        ("position", json(position)?),
        ("settings", json(&shared(config))?),
        ("model", weights.checksum()),
    ]
    .map(|(key, text)| (key.to_string(), text))
    .into();

    let target = parent.join(name(position.step));
    let temporary = parent.join(format!("{WRITING}{}", std::process::id()));
    let write = || {
        let fail = |e| Error::disk("write", &target, e);
        if temporary.exists() {
            files::remove(&temporary).map_err(fail)?;
        }
        // Not its parents: a run that was removed meanwhile stays removed.
        files::create_one_dir(&temporary).map_err(fail)?;
        weights.write(&temporary.join(MODEL))?;
        state.write(&temporary.join(STATE))?;
        sync_dir(&temporary)?;
        exchange(&temporary, &target).map_err(fail)
    };
    match write() {
        Ok(()) => Ok(target),
        Err(e) => {
            // A full disk gets its room back, if that can be.
            let _ = files::remove(&temporary);
            Err(e)
        }
    }
}

/// Reads the checkpoint in `dir`, weights and state. Fails with [`Error::Checkpoint`].
pub fn open(dir: &Path) -> Result<(Checkpoint, State)> {
    let (weights, state) = (Checkpoint::open(dir)?, State::open(dir)?);
    if weights.step != state.position.step {
        return Err(Error::Checkpoint(format!(
            "{} is of step {}, {STATE} beside it of step {}; restore both from one copy, or resume from \
             another checkpoint with --resume=auto",
            dir.join(MODEL).display(),
            weights.step,
            state.position.step
        )));
    }
    if state.model.as_ref().is_some_and(|expected| *expected != weights.weights.checksum()) {
        return Err(Error::Checkpoint(format!(
            "{} is not the file that {STATE} beside it was written with; restore both from one copy, or \
             resume from another checkpoint with --resume=auto",
            weights.path.display()
        )));
    }
    Ok((weights, state))
}

impl Checkpoint {
    /// Reads the weights in the directory `dir`, or those of the model file of that name (see
    /// [`export`](Checkpoint::export)). Fails with [`Error::Checkpoint`].
    pub fn open(dir: &Path) -> Result<Checkpoint> {
        let path = if dir.is_file() { dir.to_path_buf() } else { dir.join(MODEL) };
        Checkpoint::of(Content::read(&path)?, path)
    }

    /// The checkpoint that a file at `path` holds, its tensors those of the model that it describes. Fails
    /// with [`Error::Checkpoint`].
    pub fn of(weights: Content, path: PathBuf) -> Result<Checkpoint> {
        let kind = weights.texts.get("kind").map_or("", String::as_str);
        if !KINDS.iter().any(|known| known.name == kind) {
            return Err(Error::Checkpoint(format!(
                "{} holds a model of kind \"{kind}\"; this program knows {}",
                path.display(),
                KINDS.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
            )));
        }
        let model: ModelConfig = weights.json("config", &path)?;
        model.check().map_err(|e| {
            Error::Checkpoint(format!(
                "{}: {e}; no such model can have been saved, take another checkpoint",
                path.display()
            ))
        })?;
        let (data, step) = (weights.json("data", &path)?, weights.json("step", &path)?);
        let mut checkpoint = Checkpoint { model, data, step, history: Vec::new(), weights, path };
        checkpoint.history = match checkpoint.card()? {
            Some(card) => card.history,
            None if checkpoint.weights.texts.contains_key(HISTORY) => {
                checkpoint.weights.json(HISTORY, &checkpoint.path)?
            }
            None => Vec::new(),
        };
        // The metadata may describe a model of any size.
        checkpoint.load_into(checkpoint.model.without_numbers()?.model())?;
        Ok(checkpoint)
    }

    /// What the model's file says of its training, if it is one that was exported. Fails with
    /// [`Error::Checkpoint`] if that cannot be read.
    pub fn card(&self) -> Result<Option<Card>> {
        let there = self.weights.texts.contains_key(CARD);
        there.then(|| self.weights.json(CARD, &self.path)).transpose()
    }

    /// The stages that led to these weights, its own training the last, whose settings are `settings` (the text
    /// of a `config.toml`; empty if they are unknown).
    pub fn stages(&self, settings: String) -> Vec<TrainingStage> {
        let (data, steps, weights) = (self.data.clone(), self.step, self.weights.checksum());
        let own = TrainingStage { settings, data, steps, weights };
        self.history.iter().cloned().chain([own]).collect()
    }

    /// The same with weights of half precision, in a file of half the bytes. Fails with
    /// [`Error::Config`] if one is too large.
    pub fn halved(self) -> Result<Checkpoint> {
        Ok(Checkpoint { weights: self.weights.halved()?, ..self })
    }

    /// Whether its weights are of half precision.
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

    /// The largest difference between a weight and that of `other` of the same name, 0 if all are equal; none if
    /// names or shapes differ.
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

    /// The model with its weights.
    pub fn load(&self, device: &Device) -> Result<AnyModel> {
        let model = build(&self.model, device, 0)?;
        self.load_into(model.model())?;
        Ok(model)
    }

    /// Puts the weights into `model`. Fails with [`Error::Checkpoint`] unless names and shapes agree.
    pub fn load_into(&self, model: &dyn Module) -> Result<()> {
        let fault = |what: String| {
            Err(Error::Checkpoint(format!(
                "{}: {what}; it belongs to another model",
                self.path.display()
            )))
        };
        let parameters = model.parameters();
        if let Some(extra) =
            self.weights.tensors.keys().find(|k| parameters.iter().all(|(name, _)| name != *k))
        {
            return fault(format!("tensor {extra} is unknown"));
        }
        for (name, param) in parameters {
            let Some(tensor) = self.weights.tensors.get(&name) else {
                return fault(format!("tensor {name} is missing"));
            };
            let value = param.value();
            if tensor.shape != value.shape() {
                let (found, expected) = (&tensor.shape, value.shape());
                return fault(format!(
                    "tensor {name} has shape {found:?}, the model needs {expected:?}"
                ));
            }
            param.set(Tensor::new(value.device(), &tensor.data, &tensor.shape));
        }
        Ok(())
    }
}

impl State {
    /// Reads what lies beside the weights in `dir`. Fails with [`Error::Checkpoint`].
    pub fn open(dir: &Path) -> Result<State> {
        State::of(Content::read(&dir.join(STATE))?, dir)
    }

    /// The state whose file in `dir` holds `content`. Fails as [`State::open`] does.
    pub fn of(content: Content, dir: &Path) -> Result<State> {
        let path = dir.join(STATE);
        let position = content.json("position", &path)?;
        let settings = match content.texts.get("settings") {
            Some(text) if text.starts_with('{') => {
                RunSettings::Values(Box::new(content.json("settings", &path)?))
            }
            hash => RunSettings::Hash(hash.cloned().unwrap_or_default()),
        };
        let model = content.texts.get("model").cloned();
        Ok(State { position, settings, model, content, path })
    }

    /// Puts moments, moving averages and the running sum of losses into `training`, and the weights
    /// that are trained into `model`, which holds the checkpoint's weights.
    pub fn restore(self, model: &dyn Module, training: &mut TrainState) -> Result<()> {
        let fault = |what: String| {
            Error::Checkpoint(format!("{}: {what}; it belongs to another run", self.path.display()))
        };
        let mut tensors = self.content.tensors;
        let sum = tensors.remove(LOSS_SUM).filter(|sum| sum.data.len() == 1);
        let sum = sum.ok_or_else(|| fault("the sum of losses is missing".into()))?;
        for (name, param) in model.parameters() {
            let value = param.value();
            let device = value.device();
            if let Some(raw) = tensors.remove(&format!("{RAW}{name}")) {
                if raw.shape != value.shape() {
                    return Err(fault(format!("the trained {name} has another shape")));
                }
                param.set(Tensor::new(device, &raw.data, &raw.shape));
                training.ema.averages.insert(name.clone(), value.clone());
            }
            let mut moments = Vec::new();
            while let Some(tensor) = tensors.remove(&format!("{MOMENTS}{name}.{}", moments.len())) {
                if tensor.shape != param.value().shape() {
                    return Err(fault(format!("the moments of {name} have another shape")));
                }
                moments.push(Tensor::new(device, &tensor.data, &tensor.shape));
            }
            if moments.is_empty() {
                continue; // A parameter that no loss has reached yet.
            }
            if moments.len() != training.optimizer.config.rule.states() {
                return Err(fault(format!("{name} has {} moments", moments.len())));
            }
            training.optimizer.states.insert(name, moments);
        }
        if let Some(extra) = tensors.keys().next() {
            return Err(fault(format!("tensor {extra} is unknown")));
        }
        training.optimizer.steps = self.position.optimizer_steps;
        let device = model.parameters().first().map(|(_, param)| param.value().device().clone());
        training.loss_sum = device.map(|device| Tensor::new(&device, &sum.data, &[1]));
        Ok(())
    }
}
