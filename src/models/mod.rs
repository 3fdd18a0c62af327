//! The model families, and what the trainer asks of a model.

pub mod abilities;
pub mod draw;
pub mod family;
pub mod halves;
pub mod iwae;
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

/// A named quantity of each image of a batch, in nats; an `error` is 0 or 1.
pub type PerImage = (Cow<'static, str>, Vec<f32>);

/// A model that the trainer can train. Images are rows of \[rows, height * width * channels\]
/// with values in \[0, 1\].
pub trait Model: Module + Send + Sync {
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

    /// The number that a training step makes smaller: nats/image, mean over the rows of x; shape \[\].
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

    /// The model as one with a single latent variable for each image, if it is of that kind.
    fn single_latent(&self) -> Option<&dyn SingleLatent> {
        None
    }

    /// The model as one that reconstructs images, if it is of that kind.
    fn reconstructs(&self) -> Option<&dyn Reconstructs> {
        None
    }

    /// The model as one that reads images by glimpses, if it is of that kind.
    fn reads_by_glimpses(&self) -> Option<&dyn Reads> {
        None
    }

    /// The model as one that draws images by glimpses, if it is of that kind.
    fn draws_by_glimpses(&self) -> Option<&dyn Draws> {
        None
    }

    /// `count` images drawn from the model, as means in \[0, 1\]: \[count, height * width * channels\].
    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor>;
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
