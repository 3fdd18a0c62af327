//! The memory that training needs, computed before anything is allocated: a step runs on a meta device, which has
//! shapes but no numbers ([`Device::meta`]). It uses the real constructors and the real step, so no separate formula
//! can disagree with them.
//!
//! The result is a lower bound: it counts live tensors and, on a CPU, the copies that a checkpoint is written from, but
//! not idle buffers of the pool or the data set. So a run that fits is never refused.

use serde::Serialize;

use crate::data::Images;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::machine::memory::{Available, available};
use crate::models::Model;
use crate::models::ModelConfig;
use crate::models::halves::{on_one_tape, rows_at_once};
use crate::nn::{OptimizerConfig, TrainState};
use crate::profile::Profile;
use crate::rng::Key;
use crate::settings::Config;
use crate::settings::limits::{check_weights, setting_of, size};
use crate::tensor::Tensor;

/// A step of training: which model, which optimiser, how many images.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The model.
    pub model: &'a ModelConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Images of a batch that this process handles.
    pub rows: usize,
    /// Processes that share a batch, each with its own rows.
    pub processes: usize,
    /// Whether the images have labels.
    pub labels: bool,
}

/// Memory of training, in bytes of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Weights.
    pub weights: u64,
    /// Moments and moving averages.
    pub optimizer: u64,
    /// Peak of the values and gradients of a step.
    pub step: u64,
    /// The largest output of a kernel, ...
    #[serde(skip)]
    pub largest: u64,
    /// ... and the kernel.
    #[serde(skip)]
    pub kernel: &'static str,
}

impl Need {
    /// What lives between steps, which a checkpoint is a copy of.
    fn lasting(&self) -> u64 {
        self.weights + self.optimizer
    }

    /// The peak of a step.
    pub fn in_a_step(&self) -> u64 {
        self.lasting() + self.step
    }

    /// The peak of a run whose tensors lie in the memory of the machine: of a step, or of a checkpoint.
    pub fn bytes(&self) -> u64 {
        self.lasting() + self.step.max(self.lasting())
    }
}

impl<'a> Step<'a> {
    /// A step of a run with `config` on `rows` of `images`.
    pub fn of(config: &'a Config, images: &Images, rows: usize) -> Step<'a> {
        let labels = images.labels.is_some();
        Step { model: &config.model, optimizer: config.optimizer, rows, processes: 1, labels }
    }

    /// The memory of this step on `device`. Fails with [`Error::Config`] on invalid sizes.
    pub fn need(&self, device: &Device) -> Result<Need> {
        let device = &Device::meta(device);
        let mut config = self.model.clone();
        config.shorten();
        let built = config.build(device, 0)?;
        let model = built.model();
        let weights = device.live_bytes();
        let mut training = TrainState::new(self.optimizer);
        let mut step = |rows: usize| {
            let (done, most) = device.most_bytes(|| self.run(model, rows, &mut training, device));
            done.map(|()| most)
        };
        step(1)?; // The first step allocates moments and averages.
        let lasting = device.live_bytes();
        let most = step(rows_at_once(model, self.rows, device))?;
        let (largest, kernel) = device.largest_output().unwrap_or_default();
        let bytes = |n: usize| n as u64;
        Ok(Need {
            weights: bytes(weights),
            optimizer: bytes(lasting - weights),
            step: bytes(most - lasting),
            largest,
            kernel,
        })
    }

    /// The launches of this step on `device`, with their work but without times. Fails as [`Step::need`] does.
    pub fn launches(&self, device: &Device) -> Result<Profile> {
        let device = &Device::meta(device);
        let mut config = self.model.clone();
        config.shorten();
        let built = config.build(device, 0)?;
        let (mut training, mut profile) = (TrainState::new(self.optimizer), Profile::default());
        device.profiled(&mut profile, || {
            self.run(built.model(), self.rows, &mut training, device)
        })??;
        Ok(profile)
    }

    fn run(
        &self,
        model: &dyn Model,
        rows: usize,
        training: &mut TrainState,
        device: &Device,
    ) -> Result<()> {
        let (height, width, channels) = self.model.shape();
        let x = Tensor::unwritten(device, &[rows, height * width * channels]);
        let labels = self.labels.then(|| Tensor::unwritten(device, &[rows]));
        let key = Key::new(0, 0, 0);
        let prepared = model.prepare(&x, labels.as_ref(), key)?;
        let (loss, gradients) = on_one_tape(model, &x, &prepared, key);
        training.update(model, &loss, &gradients);
        Ok(())
    }

    /// Returns the memory of this step. Fails with [`Error::Config`] if it does not fit into this machine's memory or
    /// has a tensor that the GPU cannot bind.
    pub fn check(&self, device: &Device) -> Result<Need> {
        check_weights(self.model, device)?;
        // A GPU has its own memory and does not report how much.
        let room = if device.is_cpu() { Some(available()) } else { None };
        self.check_in(room, device)
    }

    fn check_in(&self, room: Option<Available>, device: &Device) -> Result<Need> {
        let need = self.need(device)?;
        if let Some(room) = room.filter(|room| need.bytes() > room.bytes) {
            let advice = self.advice(device, |need| need.bytes(), room.bytes)?;
            return Err(Error::Config(format!(
                "training needs about {} of memory (weights {}, optimizer {}, one step of {} {}, a checkpoint {}), \
                 but only {} are available {}; {advice}",
                size(need.bytes()),
                size(need.weights),
                size(need.optimizer),
                images(self.rows),
                size(need.step),
                size(need.lasting()),
                size(room.bytes),
                room.whose,
            )));
        }
        if let Some(limit) = device.largest_tensor().filter(|limit| need.largest > *limit) {
            let advice = self.advice(device, |need| need.largest, limit)?;
            return Err(Error::Config(format!(
                "a step of {} needs a tensor of {} (kernel {}), but {} can bind only {}; {advice}, or --device cpu",
                images(self.rows),
                size(need.largest),
                need.kernel,
                device.name(),
                size(limit),
            )));
        }
        Ok(need)
    }

    /// What to change so that `figure` of a step is at most `most`: the largest batch size that fits, and the most
    /// effective setting of the model.
    fn advice(&self, device: &Device, figure: fn(&Need) -> u64, most: u64) -> Result<String> {
        let of = |step: Step| step.need(device).map(|need| figure(&need));
        let fits = |rows: usize| Ok::<_, Error>(of(Step { rows, ..*self })? <= most);
        let (mut good, mut bad) = (0, self.rows);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle)? { good = middle } else { bad = middle }
        }
        let setting = setting_of(self.model, &|model| of(Step { model, ..*self }).ok());
        let smaller = setting.map(|key| format!("a smaller {key}"));
        Ok(match (good * self.processes, smaller) {
            (0, Some(smaller)) => format!("no batch is small enough: choose {smaller}"),
            (0, None) => "no batch is small enough: choose a smaller model".into(),
            (batch, None) => format!("choose --batch {batch}"),
            (batch, Some(smaller)) => format!("choose --batch {batch} or {smaller}"),
        })
    }
}

fn images(rows: usize) -> String {
    if rows == 1 { "1 image".into() } else { format!("{rows} images") }
}

#[cfg(test)]
mod tests;
