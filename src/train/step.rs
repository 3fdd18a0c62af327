//! One training step: a batch of images, the loss, the gradients, the update of the weights.

use std::ops::Range;
use std::time::Instant;

use super::exchange;
use super::trainer::Trainer;
use crate::autograd::Gradients;
use crate::data::{DataSet, fill_batch, part};
use crate::device::Device;
use crate::error::Result;
use crate::models::Model;
use crate::models::halves::loss_and_gradients;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

impl Trainer {
    /// Runs one step. The batch is uploaded once and used for all updates that the model does per batch.
    pub(super) fn step(&mut self) -> Result<()> {
        let start = Instant::now();
        let (ranks, seed, step) = (self.job.ranks, self.job.config.seed, self.position.step);
        let model = self.model.model();
        let updates = model.updates();

        let (epoch, images) = self.loader.batch(step);
        let rows = ranks.rows(images.len());
        let place = Place { seed, epoch, images: &images[rows.clone()] };
        let batch = Batch::upload(&self.job.data, &place, &self.job.device, &mut self.host);
        let key = |update| noise(seed, step * updates + update).of_rows(&rows, images.len());
        let prepared = batch.prepare(model, key(0))?;
        for update in 0..updates {
            let (loss, gradients) = batch.loss_and_gradients(model, &prepared, key(update));
            let share = share(&rows, images.len());
            let (loss, gradients) = exchange::sum_gradients(ranks, model, share, &loss, gradients)?;
            self.state.update(model, &loss, &gradients);
            self.position.summed += 1;
        }
        self.job.device.flush()?;

        self.position.step += 1;
        self.position.optimizer_steps = self.state.optimizer.steps;
        self.interval.0 += start.elapsed().as_secs_f64();
        self.interval.1 += images.len() as u64;
        if self.job.device.is_cpu() { self.check() } else { Ok(()) }
    }
}

/// The fraction of a batch of `total` images that a rank's rows are.
fn share(rows: &Range<usize>, total: usize) -> f32 {
    rows.len() as f32 / total as f32
}

/// The noise key of an optimiser step (from 0).
pub(super) fn noise(seed: u64, optimizer_step: u64) -> Key {
    Key::new(seed, stream::LATENT, optimizer_step as u32)
}

/// Which images are in a batch, and what determines their binarization.
pub(super) struct Place<'a> {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u32,
    /// Indices of training images.
    pub images: &'a [usize],
}

/// A batch on the device.
pub(super) struct Batch {
    /// Images \[rows, D\]; a rank may have no rows.
    pub x: Tensor,
    /// Class numbers \[rows\], if the images have labels.
    pub labels: Option<Tensor>,
}

impl Batch {
    /// Fills the start of `host` with the batch \[rows * D\] and uploads it.
    pub fn upload(data: &DataSet, place: &Place, device: &Device, host: &mut [f32]) -> Batch {
        let (train, &Place { seed, epoch, images }) = (&data.train, place);
        let host = &mut host[..images.len() * train.dims()];
        fill_batch(train, data.binarization, seed, epoch, images, host);
        let x = Tensor::new(device, host, &[images.len(), train.dims()]);
        Batch { x, labels: part::labels(device, train, images) }
    }

    /// The tensors that the model keeps for all updates on this batch, see [`Model::prepare`].
    pub fn prepare(&self, model: &dyn Model, key: Key) -> Result<Vec<Tensor>> {
        match self.x.shape()[0] {
            0 => Ok(Vec::new()),
            _ => model.prepare(&self.x, self.labels.as_ref(), key),
        }
    }

    /// The mean loss over the rows, \[\], and its gradients; without rows, 0 and no gradients.
    pub fn loss_and_gradients(
        &self,
        model: &dyn Model,
        prepared: &[Tensor],
        key: Key,
    ) -> (Tensor, Gradients) {
        match self.x.shape()[0] {
            0 => (Tensor::zeros(self.x.device(), &[]), Gradients::none()),
            _ => loss_and_gradients(model, &self.x, prepared, key),
        }
    }
}
