//! Which images are in a batch: every epoch is shuffled with a seed and split into batches.
//!
//! The order of an epoch is a pure function of (seed, epoch), so a run resumes in the middle of an
//! epoch from its step alone.

use std::sync::{Arc, Mutex};

use super::shuffled;
use crate::rng::{Key, stream};

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
