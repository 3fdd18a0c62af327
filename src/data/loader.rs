//! Which images are in a batch: every epoch is shuffled with a seed and split into batches.
//!
//! The order of an epoch is a pure function of (seed, epoch), so a run resumes in the middle of an
//! epoch from its step alone.

use std::sync::{Arc, Mutex};

use super::{DataSet, EVALUATION_SEED, Split, fill_batch, part, shuffled};
use crate::device::Device;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// The order of the images of a split during training.
#[derive(Debug)]
pub struct Loader {
    count: usize,
    batch: usize,
    seed: u64,
    /// The last epoch and its order, so that each epoch is shuffled only once.
    cached: Mutex<Option<(u32, Arc<[usize]>)>>,
}

impl Loader {
    /// A loader of `count` images in batches of `batch`; the last batch of an epoch may be shorter.
    ///
    /// Panics if either is 0.
    pub fn new(count: usize, batch: usize, seed: u64) -> Loader {
        assert!(count > 0 && batch > 0, "a loader of {count} images in batches of {batch}");
        Loader { count, batch, seed, cached: Mutex::new(None) }
    }

    /// Batches per epoch, including a short last one.
    pub fn batches_per_epoch(&self) -> u64 {
        self.count.div_ceil(self.batch) as u64
    }

    /// The epoch of step `step` (from 0), and the images of its batch.
    pub fn batch(&self, step: u64) -> (u32, Vec<usize>) {
        let epoch = (step / self.batches_per_epoch()) as u32;
        let start = (step % self.batches_per_epoch()) as usize * self.batch;
        let order = self.order(epoch);
        (epoch, order[start..self.count.min(start + self.batch)].to_vec())
    }

    fn order(&self, epoch: u32) -> Arc<[usize]> {
        let mut cached = self.cached.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*cached {
            Some((of, order)) if *of == epoch => order.clone(),
            _ => {
                let key = Key::new(self.seed, stream::SHUFFLE, epoch);
                let order: Arc<[usize]> = shuffled(self.count, key).into();
                *cached = Some((epoch, order.clone()));
                order
            }
        }
    }
}

/// A batch of images as a model sees them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The images, \[rows, D\], in \[0, 1\].
    pub x: Tensor,
    /// The class numbers, \[rows\], if the set has labels.
    pub labels: Option<Tensor>,
    /// Indices of the images in the split.
    pub indices: Vec<usize>,
}

impl DataSet {
    /// The batches of one epoch of a split, with `rows` images each; the last one may have fewer.
    ///
    /// The order of training images and their random bits (dynamic binarization) are functions of (seed, epoch), as in the
    /// program's own training. The other splits ignore both: their images come in order, with the same bits every time.
    ///
    /// ```
    /// use pixelloom::data::{self, Split};
    /// use pixelloom::Device;
    ///
    /// let (device, digits) = (Device::cpu(), data::open("digits", None, "data".as_ref())?);
    /// for batch in digits.batches(&device, Split::Test, 300, 1, 0) {
    ///     let labels = batch.labels.expect("digits have labels");
    ///     assert_eq!(batch.x.shape(), [labels.len(), 784]);
    /// }
    /// # Ok::<(), pixelloom::Error>(())
    /// ```
    ///
    /// Panics if `rows` is 0.
    pub fn batches<'a>(
        &'a self,
        device: &'a Device,
        split: Split,
        rows: usize,
        seed: u64,
        epoch: u32,
    ) -> impl Iterator<Item = Batch> + 'a {
        let images = self.split(split);
        let loader = Loader::new(images.count, rows, seed);
        let steps = loader.batches_per_epoch();
        (0..steps).map(move |step| {
            let (seed, epoch, indices) = match split {
                Split::Train => {
                    let (epoch, indices) = loader.batch(u64::from(epoch) * steps + step);
                    (seed, epoch, indices)
                }
                Split::Valid | Split::Test => {
                    let start = step as usize * rows;
                    (EVALUATION_SEED, 0, (start..images.count.min(start + rows)).collect())
                }
            };
            let mut values = vec![0.0; indices.len() * images.dims()];
            fill_batch(images, self.binarization, seed, epoch, &indices, &mut values);
            let x = Tensor::new(device, &values, &[indices.len(), images.dims()]);
            Batch { x, labels: part::labels(device, images, &indices), indices }
        })
    }
}
