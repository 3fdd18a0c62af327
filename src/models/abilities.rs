//! What some models can do beside what every [`Model`](super::Model) can. A model gives each ability that it has;
//! what comes out is numbers, never pictures.

use super::trace::Trace;
use crate::autograd::Var;
use crate::device::Device;
use crate::error::Result;
use crate::rng::Key;
use crate::tensor::Tensor;

/// A model with latent variables z.
pub trait Weighted {
    /// Numbers that the largest tensor of [`Weighted::log_weights`] has for a row.
    fn numbers_a_row(&self) -> usize;

    /// log p(x, z) - log q(z|x) in nats of `samples` draws z ~ q(z|x) for each row of x \[B, D\]:
    /// \[samples * B\], row l B + i holding draw l of image i.
    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> Result<Tensor>;
}

/// Pixels that are given, of all images of a batch.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// \[B, H, W, C\] in \[0, 1\]; only the given pixels are read.
    pub images: &'a Tensor,
    /// \[H * W\], true where a pixel is given.
    pub mask: &'a [bool],
}

/// Interval in pixels, and the callback that receives the partial images.
pub type Film<'a> = (usize, &'a mut dyn FnMut(Vec<f32>));

/// Who looks on while images are drawn.
pub struct Watch<'a> {
    /// Told how many pixels of how many are done, from any thread; its error ends the work.
    pub progress: &'a (dyn Fn(usize, usize) -> Result<()> + Sync),
    /// Receives the partial images \[B, H, W, C\] in \[0, 1\] at an interval of pixels, after waiting for the device.
    pub film: Option<Film<'a>>,
}

impl Watch<'_> {
    /// Nobody looks on.
    pub fn nobody() -> Watch<'static> {
        Watch { progress: &|_, _| Ok(()), film: None }
    }
}

/// A model that draws images pixel by pixel.
pub trait Autoregressive: Sync {
    /// `count` images \[count, height * width * channels\] in \[0, 1\]; pixels that are `known` are taken
    /// over. Fails when the device does.
    fn draw(
        &self,
        device: &Device,
        count: usize,
        known: Option<Known>,
        key: Key,
        watch: &mut Watch,
    ) -> Result<Tensor>;

    /// Logits of every pixel \[B, H, W, C levels\] of images x \[B, H, W, C\] in \[0, 1\]; their
    /// gradients tell what a pixel's prediction sees.
    fn logits<'t>(&self, x: &Var<'t>) -> Var<'t>;

    /// What a reader of these gradients must know.
    fn note_on_logits(&self) -> Option<&'static str> {
        None
    }
}

/// A model with one latent variable z \[Z\] for each image.
pub trait SingleLatent {
    /// Dimensions Z.
    fn dimensions(&self) -> usize;

    /// Means of p(x|z) in \[0, 1\], \[B, D\], for z \[B, Z\].
    fn decode_means(&self, z: &Tensor) -> Tensor;

    /// log p(x) of each row of x \[B, D\], nats, estimated by appendix D of the AEVB paper; none if `stop` stopped
    /// it. Good for few dimensions. Fails with [`Error::NotFinite`](crate::Error::NotFinite).
    fn log_marginal(
        &self,
        x: &Tensor,
        key: Key,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f64>>>;
}

/// A model with an encoder and a decoder.
pub trait Reconstructs {
    /// What the model makes of images x \[B, D\]: means in \[0, 1\], as many numbers. Some take the mean of q(z|x),
    /// others draw from it under `key`.
    fn reconstruction(&self, x: &Tensor, key: Key) -> Result<Vec<f32>>;
}

/// A model that reads images by glimpses.
pub trait Reads {
    /// What every glimpse does to read x \[B, D\], under `key`; and the class that a classifier finds for each image.
    fn read(&self, x: &Tensor, key: Key) -> Result<(Trace, Option<Vec<usize>>)>;
}

/// A model that draws images by glimpses.
pub trait Draws {
    /// What every glimpse writes when `count` images are drawn.
    fn imagine(&self, device: &Device, count: usize, key: Key) -> Result<Trace>;
}
