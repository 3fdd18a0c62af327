//! The interface between the program and a model family's configuration: sizes, limits, cost, and the meaning of its
//! scores.

use std::f64::consts::LN_2;

use super::Model;
use crate::device::Device;
use crate::error::Result;

/// Height, width, channels.
pub type Shape = (usize, usize, usize);

/// Limit on the elements of the largest tensor of an evaluation batch (64 MiB), unless one image exceeds it.
const EVALUATED: usize = 1 << 24;
/// Largest evaluation batch.
pub(super) const MOST_EVALUATED: usize = 100;

/// Score in nats/image on fixed binarized MNIST that no known model with latent variables reaches.
pub(super) const PLAUSIBLE_BOUND: f64 = 79.0;
/// The same for models that draw pixel by pixel.
pub(super) const PLAUSIBLE_NLL: f64 = 78.0;

/// Multiply-adds per image, the minimum that the layers need. Only visible weights of masked convolutions count;
/// activations, likelihoods and the optimiser do not. Zeros of an image count, although a layer may skip them
/// ([`crate::Var::sparse_linear`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// Forward pass, all layers.
    pub all: usize,
    /// The part of `all` in layers whose input is the image, which needs no gradient.
    pub first: usize,
    /// Drawing an image.
    pub drawing: usize,
}

/// The configuration of a model, as the program sees it.
pub trait Family {
    /// Noun for such a model in messages.
    fn noun(&self) -> &'static str;

    /// Rejects invalid sizes. Fails with [`Error::Config`](crate::Error::Config).
    fn check(&self) -> Result<()>;

    /// A model with weights drawn from `seed`. The sizes must have passed [`Family::check`].
    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model>;

    /// Size of the model's images.
    fn shape(&self) -> Shape;

    /// Sets the size of the images. Fails with [`Error::Config`](crate::Error::Config) if the model does not support
    /// it.
    fn set_shape(&mut self, shape: Shape) -> Result<()>;

    /// Elements per image of the largest tensor in training.
    fn widest(&self) -> usize;

    /// Multiply-adds per image.
    fn products(&self) -> Products;

    /// The name of a score in messages ("a bound"), and the nats/image on the test split of fixed binarized MNIST
    /// below which it is implausible. `None` if the scores are not likelihoods of binary images.
    fn plausible(&self) -> Option<(&'static str, f64)>;

    /// A caveat about the model's scores, if there is one. `grey`: the images have grey levels, not bits.
    fn caveat(&self, _grey: bool) -> Option<&'static str> {
        None
    }

    /// Number of discrete values of a channel, for models with discrete likelihoods.
    fn levels(&self) -> Option<usize> {
        None
    }

    /// Number of classes, if the model needs labels.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// Whether the model draws images.
    fn draws(&self) -> bool {
        true
    }

    /// Number of latent dimensions, for models with a single latent variable per image.
    fn single_latent(&self) -> Option<usize> {
        None
    }

    /// The setting that turns an image into several rows of a batch, and the number of rows.
    fn samples(&self) -> Option<(&'static str, usize)> {
        None
    }

    /// Optimiser steps per batch.
    fn updates(&self) -> u64 {
        1
    }

    /// Optimiser steps over which the weight of the KL divergence rises, if it does.
    fn kl_warmup(&self) -> Option<u64> {
        None
    }

    /// Batch size of evaluations. It depends on the model and is not a setting, because the noise of an image depends
    /// on its index in the batch, and scores should be reproducible.
    fn evaluation_batch(&self) -> usize {
        (EVALUATED / self.widest().max(1)).clamp(1, MOST_EVALUATED)
    }

    /// Whether scoring all training images takes little time compared with training.
    fn scores_quickly(&self) -> bool {
        false
    }

    /// Reduces settings that cost time but no memory, before memory is measured.
    fn shorten(&mut self) {}
}

impl dyn Family {
    /// Numbers per image: height * width * channels.
    pub fn dims(&self) -> usize {
        let (height, width, channels) = self.shape();
        super::product(&[height, width, channels])
    }

    /// Floating-point operations per image of a training step: the forward pass, the gradient of the weights, and the
    /// gradient of the inputs (except in the first layers) cost the same number each.
    pub fn training_flops(&self) -> f64 {
        let Products { all, first, .. } = self.products();
        2.0 * (3 * all - first) as f64
    }

    /// Floating-point operations for drawing an image; a pixel model reuses cached features of earlier pixels.
    pub fn sampling_flops(&self) -> f64 {
        2.0 * self.products().drawing as f64
    }

    /// A score of this model as text: nats, and bits/dim too if its data are discrete.
    pub fn nats(&self, nats: f64) -> String {
        match self.bits_per_dim(nats) {
            None => format!("{nats:.2} nats"),
            Some(bits) => format!("{nats:.2} nats, {bits:.3} bits/dim"),
        }
    }

    /// Converts nats/image to bits/dim; `None` if the model's data are not discrete.
    pub fn bits_per_dim(&self, nats: f64) -> Option<f64> {
        let (height, width, channels) = self.shape();
        let dims = (height * width * channels) as f64;
        self.levels().map(|_| nats / (dims * LN_2))
    }

    /// The mean of the quantity `name` as text: `error` in percent, the score as in `nats`, any other in nats.
    pub fn figure(&self, name: &str, mean: f64) -> String {
        match name {
            "error" => format!("{:.2} %", 100.0 * mean),
            "bound" | "nll" => self.nats(mean),
            _ => format!("{mean:.2} nats"),
        }
    }

    /// A warning if a score (nats/image) on data set `data` is better than the best published models of its kind.
    pub fn suspicion(&self, data: &str, score: f64) -> Option<String> {
        let (name, least) = self.plausible()?;
        (data == "binarized-mnist" && score < least).then(|| {
            format!(
                "{name} of {score:.2} nats on fixed binarized MNIST is below {least}, where a \
                 leak between splits or a wrong constant is likelier than so good a model; look for \
                 one before you believe it"
            )
        })
    }
}
