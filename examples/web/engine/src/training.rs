//! Trains a VAE from random weights on the embedded digits.

use pixelloom::models::Model;
use pixelloom::models::vae::{Vae, VaeConfig};
use pixelloom::nn::{Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::{Answer, PIXELS};

/// Images per step.
const BATCH: usize = 100;

/// The first bytes of an image file in MNIST's format. They mean: unsigned bytes, three axes.
const MAGIC: [u8; 4] = [0, 0, 8, 3];
const HEADER: usize = 16;

/// Images as grey levels, \[count, 784\].
pub struct Digits(Vec<u8>);

impl Digits {
    /// Whether a file starts like an image file.
    pub fn are_in(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads the images of a file.
    pub fn from_bytes(bytes: &[u8]) -> Answer<Digits> {
        let count =
            bytes.get(4..8).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])) as usize;
        if count < BATCH || Some(bytes.len()) != count.checked_mul(PIXELS).map(|n| n + HEADER) {
            return Err(format!(
                "the file of digits is damaged: {} bytes for {count} images",
                bytes.len()
            ));
        }
        Ok(Digits(bytes[HEADER..].to_vec()))
    }

    fn count(&self) -> usize {
        self.0.len() / PIXELS
    }
}

/// A VAE in training.
pub struct Training {
    model: Vae,
    optimizer: Optimizer,
    seed: u64,
    step: usize,
    /// The order of the images in the current epoch, and the number of the epoch.
    order: (u32, Vec<usize>),
}

/// The images of an epoch in its order.
fn shuffled(count: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let key = Key::new(seed, stream::SHUFFLE, epoch);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| key.uniform(a as u64).total_cmp(&key.uniform(b as u64)));
    order
}

impl Training {
    /// A model with random weights, and Adam.
    pub fn new(device: &Device, hidden: usize, latent: usize, seed: u64) -> Answer<Training> {
        if !(1..=1000).contains(&hidden) || !(1..=100).contains(&latent) {
            return Err(
                "a VAE here has 1 to 1000 hidden units and 1 to 100 latent variables".into()
            );
        }
        let config = VaeConfig { hidden, ..VaeConfig::mnist(latent) };
        let model = Vae::new(device, config, seed);
        let optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 1e-3));
        Ok(Training { model, optimizer, seed, step: 0, order: (u32::MAX, Vec::new()) })
    }

    /// A step on the next images, with dynamic binarization. Returns its loss in nats/image.
    pub fn step(&mut self, device: &Device, digits: &Digits) -> Answer<f32> {
        let steps_an_epoch = digits.count() / BATCH;
        let (epoch, batch) = ((self.step / steps_an_epoch) as u32, self.step % steps_an_epoch);
        if self.order.0 != epoch {
            self.order = (epoch, shuffled(digits.count(), self.seed, epoch));
        }
        let bits = Key::new(self.seed, stream::BINARIZE, epoch);
        let mut x = Vec::with_capacity(BATCH * PIXELS);
        for &image in &self.order.1[batch * BATCH..(batch + 1) * BATCH] {
            x.extend((image * PIXELS..(image + 1) * PIXELS).map(|i| {
                f32::from(u8::from(bits.uniform(i as u64) * 255.0 < f32::from(digits.0[i])))
            }));
        }
        let tape = Tape::new();
        let x = tape.constant(Tensor::new(device, &x, &[BATCH, PIXELS]));
        let noise = Key::new(self.seed, stream::LATENT, self.step as u32);
        let loss = self.model.loss(&x, &[], noise);
        self.optimizer.step(&self.model, &tape.backward_from(&loss));
        self.step += 1;
        loss.value().item().map_err(|e| e.to_string())
    }

    /// Means of images sampled from the model, always for the same z.
    pub fn samples(&self, device: &Device, count: usize) -> Answer<Vec<f32>> {
        let images = self.model.sample(device, count, Key::new(self.seed, stream::SAMPLE, 0));
        images.and_then(|images| images.to_vec()).map_err(|e| e.to_string())
    }
}
