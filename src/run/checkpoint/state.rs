//! The file beside the weights of a checkpoint: the position of the run, and the optimiser's state.

use std::path::{Path, PathBuf};

use super::{Position, STATE, json};
use crate::error::{Error, Result};
use crate::model_file::Content;
use crate::nn::{Module, TrainState};
use crate::settings::Config;
use crate::tensor::Tensor;
use crate::tiles::Tiles;

pub(super) const LOSS_SUM: &str = "loss_sum";
/// Prefix of the moments in the state file: the parameter's name and the index of the moment follow.
pub(super) const MOMENTS: &str = "optimizer.";
/// Prefix of the trained weights in the state file, for runs whose model file has moving averages.
pub(super) const RAW: &str = "raw.";
/// The metadata key of the tiles, on which the order of sums depends.
pub(super) const TILES: &str = "tiles";

/// The settings that a checkpoint was trained with, in its stored form.
pub enum RunSettings {
    /// Those that a resumed run must share, see [`shared`](crate::settings::shared).
    Values(Box<Config>),
    /// Their hash, in a checkpoint from before the settings themselves were stored.
    Hash(String),
}

/// What a run is resumed from, in addition to the weights.
pub struct State {
    /// The position of the run.
    pub position: Position,
    /// The settings.
    pub settings: RunSettings,
    /// The tiles of the GPU that it was trained on; absent for [`Tiles::DISCRETE`], the CPU, and in checkpoints that
    /// predate this field.
    pub tiles: Option<Tiles>,
    /// Checksum of the model file that it belongs to; absent in checkpoints that predate this field.
    pub(super) model: Option<String>,
    content: Content,
    path: PathBuf,
}

impl State {
    /// Reads the state file in `dir`. Fails with [`Error::Checkpoint`].
    pub fn open(dir: &Path) -> Result<State> {
        State::of(Content::read(&dir.join(STATE))?, dir)
    }

    /// Parses the state file of `dir` from its `content`. Fails as [`State::open`] does.
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
        let tiles = match content.texts.contains_key(TILES) {
            true => Some(content.json::<Tiles>(TILES, &path)?),
            false => None,
        };
        if let Some(fault) = tiles.and_then(|tiles| tiles.fault()) {
            return Err(Error::Checkpoint(format!(
                "{}: {fault}; restore it from a copy, or resume from another checkpoint with --resume=auto",
                path.display()
            )));
        }
        Ok(State { position, settings, tiles, model, content, path })
    }

    /// Restores moments, moving averages and the running sum of losses in `training`. In a run with moving averages,
    /// replaces the averages in `model` by the weights that are being trained.
    pub fn restore(self, model: &dyn Module, training: &mut TrainState) -> Result<()> {
        let fault = |what: String| {
            Error::Checkpoint(format!(
                "{}: {what}; this state belongs to another run",
                self.path.display()
            ))
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
                continue; // A parameter that has not received a gradient yet.
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

/// The metadata of the tiles of the device that `model` is on, unless they are [`Tiles::DISCRETE`].
pub(super) fn tiles_text(model: &dyn Module) -> Result<Option<(String, String)>> {
    let device = model.parameters().first().map(|(_, param)| param.value().device().clone());
    let tiles = device.map(|device| device.tiles()).filter(|tiles| *tiles != Tiles::DISCRETE);
    tiles.map(|tiles| Ok((TILES.to_string(), json(&tiles)?))).transpose()
}
