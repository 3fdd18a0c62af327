//! One step of a run that leaves nothing behind: its loss, and the memory that it takes.

use serde::Serialize;

use super::{Config, evaluate};
use crate::autograd::Gradients;
use crate::data::{DataSet, Loader, fill_batch};
use crate::device::Device;
use crate::error::Result;
use crate::models::Model;
use crate::models::parts::{loss_and_gradients, on_one_tape, rows_at_once};
use crate::nn::Optimizer;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// Parts of a batch that the two small steps have which the memory of a whole one is told from. Smaller
/// ones tell less: there the weights' gradients are most of it.
const SMALL: [usize; 2] = [4, 2];

/// How a step's loss and gradients are made.
type Make = fn(&dyn Model, &Tensor, &[Tensor], Key) -> (Tensor, Gradients);

/// What a step of a run takes.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Trainable numbers.
    pub parameters: usize,
    /// Steps of the whole run.
    pub steps: u64,
    /// Images of a step.
    pub batch: usize,
    /// Bytes that tensors take at most in a step, told from two steps on parts of a batch: what grows with
    /// the images grows in proportion.
    pub estimated_bytes: usize,
    /// The same, measured in a step on a whole batch.
    pub measured_bytes: usize,
    /// Loss of that step, after some updates on parts of the batch, nats an image.
    pub loss: f64,
}

/// Makes the model of `config` and runs steps on parts of a batch, then one on a whole one. `estimated` is
/// told what that will take before it begins, in bytes.
///
/// Errors: as training has them.
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
    let before = device.live_bytes();
    let model = config.model.build(device, config.seed)?;
    let model = model.model();
    let mut optimizer = Optimizer::new(config.optimizer(images.count, steps * model.updates()));
    // Loss and memory of an update on so many images.
    let mut step = |rows: usize, make: Make| -> Result<(f64, f64)> {
        let key = Key::new(config.seed, stream::LATENT, 0);
        let indices = &indices[..rows];
        let mut host = vec![0.0; rows * images.dims()];
        fill_batch(images, data.binarization, config.seed, epoch, indices, &mut host);
        let (loss, bytes) = device.most_bytes(|| {
            let x = Tensor::new(device, &host, &[rows, images.dims()]);
            let labels = evaluate::labels(device, images, indices);
            let prepared = model.prepare(&x, labels.as_ref(), key)?;
            let (loss, gradients) = make(model, &x, &prepared, key);
            optimizer.step(model, &gradients);
            loss.item()
        });
        Ok((loss?.into(), (bytes - before) as f64))
    };
    let batch = indices.len();
    let few = (batch / SMALL[0]).max(1);
    let more = (batch / SMALL[1]).max(few + 1).min(batch);
    step(few, on_one_tape)?; // From the second step on there are moments.
    let small = step(few, on_one_tape)?.1;
    let rise = if more > few { step(more, on_one_tape)?.1 - small } else { 0.0 };
    let rows = rows_at_once(model, batch, device) as f64 - few as f64;
    let estimated_bytes = (small + rise * rows / (more - few).max(1) as f64) as usize;
    estimated(estimated_bytes);
    let (loss, measured) = step(batch, loss_and_gradients)?;
    let (parameters, measured_bytes) = (model.parameter_count(), measured as usize);
    Ok(DryRun { parameters, steps, batch, estimated_bytes, measured_bytes, loss })
}
