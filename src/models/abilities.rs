//! Abilities: traits for what only some models can do, in addition to [`Model`](super::Model). Their results are
//! numbers; the program turns them into pictures.

use super::trace::Trace;
use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::rng::Key;
use crate::tensor::Tensor;

/// A model with latent variables z, whose bound importance weights can tighten ([`super::iwae`]).
pub trait Weighted {
    /// Elements per row of the largest tensor in [`Weighted::log_weights`].
    fn numbers_a_row(&self) -> usize;

    /// log p(x, z) - log q(z|x) in nats for `samples` draws z ~ q(z|x) per row of x \[B, D\]. The result is
    /// \[samples * B\]; element l B + i is draw l of image i.
    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> Result<Tensor>;
}

/// Given pixels for a completion; they have the same positions in all images of a batch.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Images \[B, H, W, C\] in \[0, 1\], of which only the given pixels are read.
    pub images: &'a Tensor,
    /// \[H * W\]; true for given pixels.
    pub mask: &'a [bool],
}

/// Interval in pixels, and the callback that receives the partial images.
pub type Film<'a> = (usize, &'a mut dyn FnMut(Vec<f32>));

/// Callbacks while images are drawn.
pub struct Watch<'a> {
    /// Called with (pixels done, pixels in total), from any thread. If it returns an error, drawing stops with it.
    pub progress: &'a (dyn Fn(usize, usize) -> Result<()> + Sync),
    /// Receives the partial images \[B, H, W, C\] in \[0, 1\] at an interval of pixels. Each call waits for the device.
    pub film: Option<Film<'a>>,
}

impl Watch<'_> {
    /// Callbacks that do nothing.
    pub fn nobody() -> Watch<'static> {
        Watch { progress: &|_, _| Ok(()), film: None }
    }
}

/// A model that draws images pixel by pixel.
pub trait Autoregressive: Sync {
    /// Number of classes that condition the images; 0 for a model without labels.
    fn classes(&self) -> usize {
        0
    }

    /// Draws `count` images \[count, height * width * channels\] in \[0, 1\]. `classes` has the class of each image, for a
    /// model with classes; for others it is empty. `known` pixels are copied instead of drawn. Fails with
    /// [`Error::Data`](crate::Error::Data) for a class that does not exist, if the device fails, or with the error of
    /// [`Watch::progress`].
    fn draw(
        &self,
        device: &Device,
        count: usize,
        classes: &[usize],
        known: Option<Known>,
        key: Key,
        watch: &mut Watch,
    ) -> Result<Tensor>;

    /// Logits \[B, H, W, C levels\] of every pixel of images x \[B, H, W, C\] in \[0, 1\]. Their gradients with
    /// respect to x show which pixels a prediction depends on (the receptive field). A model with classes treats all
    /// images as class 0.
    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t>;

    /// A note for readers of these gradients, if the logits are not those of the whole model.
    fn note_on_logits(&self) -> Option<&'static str> {
        None
    }
}

/// A model with one latent variable z \[Z\] for each image.
pub trait SingleLatent {
    /// Dimensions Z.
    fn dimensions(&self) -> usize;

    /// Mean and log variance of q(z|x), \[B, Z\] each, for x \[B, D\].
    fn posterior(&self, x: &Tensor) -> (Tensor, Tensor);

    /// Means of p(x|z) in \[0, 1\], \[B, D\], for z \[B, Z\].
    fn decode_means(&self, z: &Tensor) -> Tensor;

    /// log p(x) in nats of each row of x \[B, D\], estimated as in appendix D of the AEVB paper; only good for few
    /// latent dimensions. `None` if `stop` returned true. Fails with [`Error::NotFinite`](crate::Error::NotFinite) if
    /// an estimate is not finite.
    fn log_marginal(
        &self,
        x: &Tensor,
        key: Key,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f64>>>;
}

/// A model with an encoder and a decoder.
pub trait Reconstructs {
    /// Reconstructions of images x \[B, D\]: means in \[0, 1\], B * D numbers. Some models decode the mean of q(z|x),
    /// others a sample drawn with `key`.
    fn reconstruction(&self, x: &Tensor, key: Key) -> Result<Vec<f32>>;
}

/// A model that reads images by glimpses.
pub trait Reads {
    /// The glimpses at x \[B, D\], with noise from `key`; and, for a classifier, the predicted class of each image.
    fn read(&self, x: &Tensor, key: Key) -> Result<(Trace, Option<Vec<usize>>)>;
}

/// A model that draws images by glimpses.
pub trait Draws {
    /// The glimpses with which `count` images are drawn from the model.
    fn imagine(&self, device: &Device, count: usize, key: Key) -> Result<Trace>;
}
