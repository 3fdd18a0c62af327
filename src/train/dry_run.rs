//! A dry run: one step of a run, its loss and its memory use, without writing anything.

use serde::Serialize;

use super::memory::Step;
use super::step::{Batch, Place, noise};
use super::trainer::to_try;
use crate::data::{DataSet, Loader};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::TrainState;
use crate::settings::{Config, build};

/// The result of a dry run.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Steps of the whole run.
    pub steps: u64,
    /// Batch size.
    pub batch: usize,
    /// Peak bytes of tensors in a step, computed from their shapes.
    pub estimated_bytes: usize,
    /// The same, measured in a step with a full batch.
    pub measured_bytes: usize,
    /// Loss of that step, after an update on one image, nats/image.
    pub loss: f64,
}

/// Builds the model of `config` and runs a step on one image, then one on a full batch. `estimated` receives the
/// estimated bytes before anything is allocated.
///
/// Errors: those of training, including [`Error::Config`] if there is not enough memory, and [`Error::NotFinite`].
pub fn dry_run(
    config: &Config,
    data: &DataSet,
    device: &Device,
    estimated: &dyn Fn(usize),
) -> Result<DryRun> {
    let images = &data.train;
    let loader = Loader::new(images.count, config.batch, config.seed);
    let steps = config.epochs.saturating_mul(loader.batches_per_epoch());
    let (epoch, indices) = loader.batch(0);
    let batch = indices.len();
    let estimated_bytes = Step::of(config, images, batch).check(device)?.in_a_step() as usize;
    estimated(estimated_bytes);
    let before = device.live_bytes();
    let model = build(&config.model, device, config.seed)?;
    let model = model.model();
    let mut training = TrainState::new(config.optimizer(images.count, steps * model.updates()));
    // Loss and memory of an update on `rows` images.
    let mut step = |rows: usize| -> Result<(f64, usize)> {
        let key = noise(config.seed, 0);
        let place = Place { seed: config.seed, epoch, images: &indices[..rows] };
        let mut host = vec![0.0; rows * images.dims()];
        let (loss, bytes) = device.most_bytes(|| {
            let batch = Batch::upload(data, &place, device, &mut host);
            let prepared = batch.prepare(model, key)?;
            let (loss, gradients) = batch.loss_and_gradients(model, &prepared, key);
            training.update(model, &loss, &gradients);
            loss.item()
        });
        let loss = loss?;
        let faults = training.faults()?;
        let what = match (faults.overflow, faults.first) {
            (Some(_), _) => "a weight or a moment of the optimizer is not finite after".into(),
            (None, Some(_)) if loss.is_finite() => "a gradient is not finite in".into(),
            (None, Some(_)) => format!("the loss is {loss} in"),
            (None, None) => return Ok((loss.into(), bytes - before)),
        };
        let images = if rows == 1 { "1 image".into() } else { format!("{rows} images") };
        Err(Error::NotFinite(format!("{what} a step on {images}; {}", to_try(&config.optimizer))))
    };
    step(1)?; // The first step allocates the optimiser's moments.
    let (loss, measured_bytes) = step(batch)?;
    let parameters = model.parameter_count();
    Ok(DryRun { parameters, steps, batch, estimated_bytes, measured_bytes, loss })
}
