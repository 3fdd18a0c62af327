//! The model families, and the trait through which the trainer uses a model.

pub mod abilities;
pub mod draw;
pub mod family;
pub mod halves;
pub mod iwae;
mod kl;
pub mod pixel;
pub mod preset;
pub mod registry;
pub mod trace;
pub mod vae;

use std::borrow::Cow;

use crate::autograd::Var;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::rng::Key;
use crate::tensor::Tensor;
use halves::Halves;

pub use abilities::{Autoregressive, Draws, Reads, Reconstructs, SingleLatent, Weighted};
pub use family::{Family, Shape};
pub use registry::{AnyModel, KINDS, Kind, ModelConfig};

/// A quantity's name and its value for each image of a batch, in nats; an `error` is 0 or 1.
pub type PerImage = (Cow<'static, str>, Vec<f32>);

/// A model that the trainer can train. Images are rows of \[rows, height * width * channels\]
/// with values in \[0, 1\].
pub trait Model: Module + Send + Sync {
    /// Data that the trainer keeps for a batch during its [`Model::updates`] steps, for example posterior samples.
    /// `labels` \[rows\] are class indices, if the data set has them.
    fn prepare(&self, _x: &Tensor, _labels: Option<&Tensor>, _key: Key) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// Optimiser steps per batch. The key of a loss counts optimiser steps: update u of batch s has step
    /// s * updates + u. The key of [`Model::prepare`] is that of the first update.
    fn updates(&self) -> u64 {
        1
    }

    /// The training loss, shape \[\]: nats/image, the mean over the rows of x \[rows, D\].
    fn loss<'t>(&self, x: &Var<'t>, prepared: &[Tensor], key: Key) -> Var<'t>;

    /// How to split a batch in two on the CPU, if that is faster ([`halves`]); `None` for no split.
    fn halves(&self) -> Option<Halves<'_>> {
        None
    }

    /// For each row of x, the negative log-likelihood or a bound on it comes first, then its parts. Fails if
    /// the model needs `labels` \[rows\] and there are none, or if the device fails.
    fn evaluate(&self, x: &Tensor, labels: Option<&Tensor>, key: Key) -> Result<Vec<PerImage>>;

    /// The ability to tighten the bound by importance weights, if the model has it.
    fn weighted(&self) -> Option<&dyn Weighted> {
        None
    }

    /// The ability to draw images pixel by pixel, if the model has it.
    fn autoregressive(&self) -> Option<&dyn Autoregressive> {
        None
    }

    /// The abilities of a model with a single latent variable per image, if the model is one.
    fn single_latent(&self) -> Option<&dyn SingleLatent> {
        None
    }

    /// The ability to reconstruct images, if the model has it.
    fn reconstructs(&self) -> Option<&dyn Reconstructs> {
        None
    }

    /// The ability to read images by glimpses, if the model has it.
    fn reads_by_glimpses(&self) -> Option<&dyn Reads> {
        None
    }

    /// The ability to draw images by glimpses, if the model has it.
    fn draws_by_glimpses(&self) -> Option<&dyn Draws> {
        None
    }

    /// Draws samples at this temperature T from now on, by changing weights. Pixel models divide their logits by T;
    /// models with latent variables multiply the standard deviation of the prior by T. A model that does not draw
    /// ignores it. Likelihoods of the model mean nothing afterwards.
    fn temper(&self, temperature: f32);

    /// Draws `count` images from the model, as means in \[0, 1\]: \[count, height * width * channels\]. Fails if the
    /// device fails, or if the model draws no images.
    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor>;
}

/// The labels of a batch for a model that needs them. Fails with [`Error::Config`] if the data set has none.
pub(crate) fn expect_labels(labels: Option<&Tensor>) -> Result<&Tensor> {
    labels.ok_or_else(|| {
        Error::Config(
            "this model needs images with labels, and the data set has none; choose another --data, such as digits or \
             cluttered-digits"
                .into(),
        )
    })
}

/// Like [`expect_labels`]. Also fails with [`Error::Data`] if a label is not below `classes`. Downloads the labels.
pub(crate) fn check_labels(labels: Option<&Tensor>, classes: usize) -> Result<&Tensor> {
    let labels = expect_labels(labels)?;
    let numbers = labels.to_vec()?;
    match numbers.iter().position(|class| !(0.0..classes as f32).contains(class)) {
        None => Ok(labels),
        Some(i) => Err(Error::Data(format!(
            "label {i} of a batch is {}, and the model has classes 0 to {}; choose --data whose labels are among them",
            numbers[i],
            classes - 1
        ))),
    }
}

/// The product of sizes; saturates instead of overflowing.
pub(crate) fn product(sizes: &[usize]) -> usize {
    sizes.iter().fold(1, |product, &n| product.saturating_mul(n))
}

/// Rejects sizes that would make a tensor of 2^31 numbers or more, because kernels use 32-bit indices. `what` names the
/// tensor, `smaller` the settings that make it smaller.
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
