//! Checkpoints: a directory `step-NNNNNNNN` with `model.safetensors` (weights by their `Module` names;
//! texts `kind`, `config`, `data`, `step`) and `state.safetensors` (the optimiser's moments, the loss
//! summed since the last line of metrics; texts `position`, `settings`). Of a run with moving averages
//! the weights are the averages, and what is trained is in the state, as `raw.NAME`.
//!
//! It is written under another name, each file and the directory synced, then renamed: what bears
//! the name is complete. One that replaces another of its step puts that aside first, as
//! `step-NNNNNNNN.old`, which stands in until the new one bears the name.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::card::Card;
use super::files::{self, sync_dir};
use super::model::KINDS;
use super::tensors_file::{Content, HostTensor};
use super::{AnyModel, Config, ModelConfig, Output};
use crate::data::Binarization;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{Module, Optimizer};
use crate::tensor::Tensor;

const MODEL: &str = "model.safetensors";
const STATE: &str = "state.safetensors";
/// The text of a model file that holds its card.
const CARD: &str = "card";
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
}

/// The images a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// Name of the data set.
    pub name: String,
    /// How its pixels became numbers.
    pub binarization: Binarization,
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
    weights: Content,
}

/// What a resumed run goes on from.
pub struct State {
    /// How far it is.
    pub position: Position,
    /// Hash of the settings ([`Config::hash`]).
    pub settings: String,
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
    model: &dyn Module,
    optimizer: &Optimizer,
    position: &Position,
) -> Result<PathBuf> {
    let (mut weights, mut state) = (Content::default(), Content::default());
    for (name, param) in model.parameters() {
        let value = host(&param.value())?;
        let value = match optimizer.averages.get(&name) {
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
    for (name, moments) in &optimizer.states {
        for (i, tensor) in moments.iter().enumerate() {
            state.tensors.insert(format!("{MOMENTS}{name}.{i}"), host(tensor)?);
        }
    }
    let sum = optimizer.loss_sum.as_ref().map_or(Ok(0.0), Tensor::item)?;
    state.tensors.insert(LOSS_SUM.into(), HostTensor { shape: Vec::new(), data: vec![sum] });
    for (name, tensor) in weights.tensors.iter().chain(&state.tensors) {
        if !tensor.data.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite(format!("a number of {name} is not finite")));
        }
    }
    state.texts = [("position", json(position)?), ("settings", config.hash())]
        .map(|(key, text)| (key.to_string(), text))
        .into();

    let target = parent.join(name(position.step));
    let temporary = parent.join(format!("{WRITING}{}", std::process::id()));
    let write = || {
        let fail = |e| Error::disk("write", &target, e);
        if temporary.exists() {
            files::remove(&temporary).map_err(fail)?;
        }
        files::create_dir(&temporary).map_err(fail)?;
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
            "{} is of step {}, {STATE} beside it of step {}; restore both from one copy, or go on from \
             another checkpoint with --resume=auto",
            dir.join(MODEL).display(),
            weights.step,
            state.position.step
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
        if !KINDS.contains(&kind) {
            return Err(Error::Checkpoint(format!(
                "{} holds a model of kind \"{kind}\"; this program knows {}",
                path.display(),
                KINDS.join(", ")
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
        let checkpoint = Checkpoint { model, data, step, weights, path };
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
        content.texts.insert(CARD.into(), json(card)?);
        out.put(&content.to_bytes())
    }

    /// The model with its weights.
    pub fn load(&self, device: &Device) -> Result<AnyModel> {
        let model = self.model.build(device, 0)?;
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
        let settings = content.texts.get("settings").cloned().unwrap_or_default();
        Ok(State { position, settings, content, path })
    }

    /// Puts moments, moving averages and the running sum of losses into `optimizer`, and the weights
    /// that are trained into `model`, which holds the checkpoint's weights.
    pub fn restore(self, model: &dyn Module, optimizer: &mut Optimizer) -> Result<()> {
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
                optimizer.averages.insert(name.clone(), value.clone());
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
            if moments.len() != optimizer.config.rule.states() {
                return Err(fault(format!("{name} has {} moments", moments.len())));
            }
            optimizer.states.insert(name, moments);
        }
        if let Some(extra) = tensors.keys().next() {
            return Err(fault(format!("tensor {extra} is unknown")));
        }
        optimizer.steps = self.position.optimizer_steps;
        let device = model.parameters().first().map(|(_, param)| param.value().device().clone());
        optimizer.loss_sum = device.map(|device| Tensor::new(&device, &sum.data, &[1]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::models::vae::VaeConfig;

    fn model(hidden: usize, likelihood: crate::models::vae::Likelihood) -> ModelConfig {
        let config = VaeConfig { height: 3, width: 2, hidden, likelihood, ..VaeConfig::mnist(2) };
        ModelConfig::Vae(config)
    }

    /// The weights of `model` in a file that says it is of `kind`.
    fn write(dir: &Path, model: &ModelConfig, kind: &str) {
        let built = model.build(&Device::cpu(), 1).unwrap();
        let mut content = Content::default();
        for (name, param) in built.model().parameters() {
            content.tensors.insert(name, host(&param.value()).unwrap());
        }
        let data = TrainedOn { name: "digits".into(), binarization: Binarization::Dynamic };
        content.texts = [
            ("kind", kind.to_string()),
            ("config", json(model).unwrap()),
            ("data", json(&data).unwrap()),
            ("step", "7".to_string()),
        ]
        .map(|(key, text)| (key.to_string(), text))
        .into();
        content.write(&dir.join(MODEL)).unwrap();
    }

    #[test]
    fn only_the_same_model_takes_the_weights() {
        use crate::models::vae::Likelihood::{Bernoulli, Gaussian};
        let dir = tempfile::tempdir().unwrap();
        let bernoulli = model(4, Bernoulli);
        write(dir.path(), &bernoulli, "vae");
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        assert_eq!((checkpoint.step, &checkpoint.model), (7, &bernoulli));
        let load = |config: &ModelConfig, seed| {
            let built = config.build(&Device::cpu(), seed).unwrap();
            checkpoint.load_into(built.model()).map(|()| built)
        };
        let values = |model: &AnyModel| -> Vec<Vec<f32>> {
            model.model().parameters().iter().map(|(_, p)| p.value().to_vec().unwrap()).collect()
        };
        let same = load(&bernoulli, 2).unwrap();
        assert_eq!(values(&same), values(&bernoulli.build(&Device::cpu(), 1).unwrap()));
        for (other, part) in [(model(5, Bernoulli), "shape"), (model(4, Gaussian), "is missing")] {
            let Err(Error::Checkpoint(message)) = load(&other, 1) else { panic!("{part}: taken") };
            assert!(message.contains(part) && message.contains(MODEL), "{message}");
        }
        write(dir.path(), &model(4, Gaussian), "vae");
        let more = Checkpoint::open(dir.path()).unwrap();
        let built = bernoulli.build(&Device::cpu(), 1).unwrap();
        let Err(Error::Checkpoint(message)) = more.load_into(built.model()) else { panic!() };
        assert!(message.contains("decoder.log_variance.bias is unknown"), "{message}");
    }

    #[test]
    fn an_impossible_model_is_a_bad_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let good = model(4, crate::models::vae::Likelihood::Bernoulli);
        write(dir.path(), &good, "vae");
        let path = dir.path().join(MODEL);
        for (from, to) in [("\"latent\":2", "\"latent\":0"), ("\"width\":2", "\"width\":1048577")] {
            let mut content = Content::read(&path).unwrap();
            let config = content.texts["config"].replace(from, to);
            assert_ne!(config, content.texts["config"]);
            content.texts.insert("config".into(), config);
            let bad = dir.path().join("bad");
            fs::create_dir_all(&bad).unwrap();
            content.write(&bad.join(MODEL)).unwrap();
            let Err(Error::Checkpoint(message)) = Checkpoint::open(&bad) else { panic!("{to}") };
            assert!(message.contains(MODEL) && message.contains("model."), "{message}");
        }
    }

    #[test]
    fn a_checkpoint_takes_the_name_of_another() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join(name(7));
        let put = |dir: &Path, text: &str| {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("file"), text).unwrap();
        };
        // What a crash can leave before: nothing, the proper one, the one aside, both.
        for before in 0..4 {
            let written = home.path().join(".writing-1");
            put(&written, "new");
            if before & 1 != 0 {
                put(&target, "old");
            }
            if before & 2 != 0 {
                put(&aside(&target), "older");
            }
            exchange(&written, &target).unwrap();
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "new", "{before}");
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{before}: no remains");
            fs::remove_dir_all(&target).unwrap();
        }
        // If the new one cannot take the name, the old one is still there, aside.
        put(&target, "old");
        assert!(exchange(&home.path().join("missing"), &target).is_err());
        assert_eq!(fs::read_to_string(aside(&target).join("file")).unwrap(), "old");
    }

    #[test]
    fn another_kind_is_named() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &model(4, crate::models::vae::Likelihood::Bernoulli), "gan");
        let Err(Error::Checkpoint(message)) = Checkpoint::open(dir.path()) else { panic!() };
        assert!(message.contains("\"gan\""), "{message}");
    }

    #[test]
    fn names_and_steps() {
        assert_eq!(step_of(&name(42)), Some(42));
        assert_eq!(step_of(&name(123_456_789)), Some(123_456_789));
        for other in ["step-42", "step-0000004x", ".writing-1", "step-00000042.tmp"] {
            assert_eq!(step_of(other), None, "{other}");
        }
    }
}
