//! What the program asks of a model family's settings: sizes, limits, cost, and what its scores mean.

use std::f64::consts::LN_2;

use super::Model;
use crate::device::Device;
use crate::error::Result;

/// Height, width, channels.
pub type Shape = (usize, usize, usize);

/// The widest map of an evaluation has about as many numbers (64 MiB), if an image has fewer.
const EVALUATED: usize = 1 << 24;
/// Images of an evaluation batch, at most.
pub(super) const MOST_EVALUATED: usize = 100;

/// Nats on fixed binarized MNIST that no model is known to reach: with latent variables, ...
pub(super) const PLAUSIBLE_BOUND: f64 = 79.0;
/// ... and pixel by pixel.
pub(super) const PLAUSIBLE_NLL: f64 = 78.0;

/// Multiply-adds of an image, the least that the layers need. Of a masked convolution visible weights count;
/// activations, likelihoods and the optimiser do not. Zeros of an image count, though a layer may skip them
/// ([`crate::Var::sparse_linear`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// Forwards, all layers.
    pub all: usize,
    /// Of these, in layers whose input is the image, which has no gradient.
    pub first: usize,
    /// Forwards, what drawing an image needs.
    pub drawing: usize,
}

/// The settings of a model, as the program sees them.
pub trait Family {
    /// What messages call such a model.
    fn noun(&self) -> &'static str;

    /// Rejects sizes that make no model. Fails with [`Error::Config`](crate::Error::Config).
    fn check(&self) -> Result<()>;

    /// A model of checked sizes, its weights drawn by `seed`.
    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model>;

    /// Size of the images it models.
    fn shape(&self) -> Shape;

    /// Takes the size of the images. Fails with [`Error::Config`](crate::Error::Config) where it can have no such
    /// size.
    fn set_shape(&mut self, shape: Shape) -> Result<()>;

    /// Numbers that the largest tensor of an image has in training.
    fn widest(&self) -> usize;

    /// Multiply-adds of an image.
    fn products(&self) -> Products;

    /// A score as messages call it ("a bound"), and the nats/image below which it is not believed on the test
    /// split of fixed binarized MNIST; none if its scores are not those of images as bits.
    fn plausible(&self) -> Option<(&'static str, f64)>;

    /// What a reader of the model's figures must know; `grey`: the images have grey levels, not bits.
    fn caveat(&self, _grey: bool) -> Option<&'static str> {
        None
    }

    /// Values that a channel of the images can have, if the model counts them.
    fn levels(&self) -> Option<usize> {
        None
    }

    /// Classes that the images' labels must be among, if the model needs labels.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// Whether it draws images.
    fn draws(&self) -> bool {
        true
    }

    /// Dimensions of the latent variable, of a model with a single one for each image.
    fn single_latent(&self) -> Option<usize> {
        None
    }

    /// The setting that gives an image more than one row of a batch, and the number of rows.
    fn samples(&self) -> Option<(&'static str, usize)> {
        None
    }

    /// Optimiser steps for each batch.
    fn updates(&self) -> u64 {
        1
    }

    /// Images that are evaluated at once. The noise of an image depends on its place in its batch, so
    /// this is a function of the model and no setting.
    fn evaluation_batch(&self) -> usize {
        (EVALUATED / self.widest().max(1)).clamp(1, MOST_EVALUATED)
    }

    /// Whether scoring all training images takes little time beside training on them.
    fn scores_quickly(&self) -> bool {
        false
    }

    /// Shortens what takes time and no memory, for a measurement of memory.
    fn shorten(&mut self) {}
}

impl dyn Family {
    /// Numbers of an image.
    pub fn dims(&self) -> usize {
        let (height, width, channels) = self.shape();
        super::product(&[height, width, channels])
    }

    /// Floating-point operations of an image in a training step: forwards, and as many again for the
    /// gradient of the weights and for that of the inputs, where these have one.
    pub fn training_flops(&self) -> f64 {
        let Products { all, first, .. } = self.products();
        2.0 * (3 * all - first) as f64
    }

    /// Floating-point operations of drawing an image, a pixel model's with what was computed for the
    /// pixels before at hand.
    pub fn sampling_flops(&self) -> f64 {
        2.0 * self.products().drawing as f64
    }

    /// A score of this model as text: `nats`, and of pixel models also bits per dimension.
    pub fn nats(&self, nats: f64) -> String {
        match self.bits_per_dim(nats) {
            None => format!("{nats:.2} nats"),
            Some(bits) => format!("{nats:.2} nats, {bits:.3} bits/dim"),
        }
    }

    /// Nats/image as bits per number of the image, of models whose data are whole numbers.
    pub fn bits_per_dim(&self, nats: f64) -> Option<f64> {
        let (height, width, channels) = self.shape();
        let dims = (height * width * channels) as f64;
        self.levels().map(|_| nats / (dims * LN_2))
    }

    /// The mean figure `name` as text: an `error` in percent, the score as by `nats`, any other in nats.
    pub fn figure(&self, name: &str, mean: f64) -> String {
        match name {
            "error" => format!("{:.2} %", 100.0 * mean),
            "bound" | "nll" => self.nats(mean),
            _ => format!("{mean:.2} nats"),
        }
    }

    /// A warning about a score (nats) on the images of data set `data` that is better than the best
    /// published models of its kind reach.
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
