//! The model families, and what the trainer asks of a model.

pub mod draw;
pub mod halves;
pub mod iwae;
pub mod pixel;
pub mod vae;

use std::borrow::Cow;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::rng::Key;
use crate::tensor::Tensor;
use halves::Halves;
use pixel::{Known, Watch};

/// A named quantity of each image of a batch, in nats; an `error` is 0 or 1.
pub type PerImage = (Cow<'static, str>, Vec<f32>);

/// A model that the trainer can train. Images are rows of \[rows, height * width * channels\]
/// with values in \[0, 1\].
pub trait Model: Module + Sync {
    /// What the trainer keeps for a batch while it makes [`Model::updates`] steps on it, such as
    /// posterior samples. `labels` \[rows\] are class numbers, where the data has them.
    fn prepare(&self, _x: &Tensor, _labels: Option<&Tensor>, _key: Key) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// Optimiser steps on each batch. The keys of their losses count optimiser steps: update u of
    /// batch s has the step s * updates + u; [`Model::prepare`] has that of the first.
    fn updates(&self) -> u64 {
        1
    }

    /// The number that a training step makes smaller: nats an image, mean over the rows of x; shape \[\].
    fn loss<'t>(&self, x: &Var<'t>, prepared: &[Tensor], key: Key) -> Var<'t>;

    /// How a batch is split on a CPU that computes two halves faster, each on a tape of its own; none if it does not.
    fn halves(&self) -> Option<Halves<'_>> {
        None
    }

    /// For each row of x: first the (bound on the) negative log-likelihood, then its parts. Fails where
    /// the model needs `labels` \[rows\] and there are none.
    fn evaluate(&self, x: &Tensor, labels: Option<&Tensor>, key: Key) -> Result<Vec<PerImage>>;

    /// The model as one whose bound can be tightened by importance weights, if it is of that kind.
    fn weighted(&self) -> Option<&dyn Weighted> {
        None
    }

    /// The model as one that draws images pixel by pixel, if it is of that kind.
    fn autoregressive(&self) -> Option<&dyn Autoregressive> {
        None
    }

    /// `count` images drawn from the model, as means in \[0, 1\]: \[count, height * width * channels\].
    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor>;
}

/// A model with latent variables z.
pub trait Weighted {
    /// Numbers that the largest tensor of [`Weighted::log_weights`] has for a row.
    fn numbers_a_row(&self) -> usize;

    /// log p(x, z) - log q(z|x) in nats of `samples` draws z ~ q(z|x) for each row of x \[B, D\]:
    /// \[samples * B\], row l B + i holding draw l of image i.
    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> Result<Tensor>;
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
}

/// The product of sizes, the largest number if it is beyond that.
pub(crate) fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, &n| product.saturating_mul(n))
}

/// Rejects what would make a tensor of 2^31 numbers or more: matrices are indexed by 32 bits. `smaller` names
/// the settings that make `what` smaller.
pub(crate) fn indexable(what: &str, sizes: &[usize], smaller: &str) -> Result<()> {
    let numbers = sizes.iter().fold(1_u128, |product, &n| product.saturating_mul(n as u128));
    if numbers < 1 << 31 {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{what} would have {numbers} numbers, it must stay below {}; choose a smaller {smaller}",
        1_u64 << 31
    )))
}
