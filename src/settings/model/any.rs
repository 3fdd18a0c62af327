//! A model of any family, and what each family alone can do.

use crate::error::{Error, Result};
use crate::models::draw::{Classifier, Draw};
use crate::models::pixel::{MultiScale, PixelModel};
use crate::models::vae::Vae;
use crate::models::{Autoregressive, Model, Weighted};
use crate::rng::Key;
use crate::settings::KINDS;
use crate::tensor::Tensor;

/// A model of some family.
pub enum AnyModel {
    /// Variational auto-encoder.
    Vae(Vae),
    /// PixelCNN, Row LSTM or Diagonal BiLSTM.
    Pixel(PixelModel),
    /// Multi-Scale.
    MultiScale(MultiScale),
    /// DRAW.
    Draw(Box<Draw>),
    /// Classifier.
    Classifier(Classifier),
}

impl AnyModel {
    /// The model as the trainer sees it.
    pub fn model(&self) -> &dyn Model {
        match self {
            AnyModel::Vae(vae) => vae,
            AnyModel::Pixel(model) => model,
            AnyModel::MultiScale(model) => model,
            AnyModel::Draw(model) => model.as_ref(),
            AnyModel::Classifier(model) => model,
        }
    }

    /// The error that the feature `what` needs another model: one with `property`, of these kinds.
    fn unfit(&self, what: &str, property: &str, kinds: &[&str]) -> Error {
        let own = match self {
            AnyModel::Vae(_) => "vae",
            AnyModel::Pixel(_) => "pixel model",
            AnyModel::MultiScale(_) => "multiscale",
            AnyModel::Draw(_) => "draw",
            AnyModel::Classifier(_) => "classifier",
        };
        Error::Config(format!(
            "{what} needs a model {property} ({}), this one is a {own}; name another run",
            kinds.join(", ")
        ))
    }

    /// The variational auto-encoder, for the feature `what`. Fails with [`Error::Config`] if it is none.
    pub fn vae(&self, what: &str) -> Result<&Vae> {
        match self {
            AnyModel::Vae(vae) => Ok(vae),
            _ => Err(self.unfit(what, "with one latent variable an image", &["vae"])),
        }
    }

    /// The DRAW network, for the feature `what`. Fails with [`Error::Config`] if it is none.
    pub fn draw(&self, what: &str) -> Result<&Draw> {
        match self {
            AnyModel::Draw(draw) => Ok(draw),
            _ => Err(self.unfit(what, "that draws by glimpses", &["draw"])),
        }
    }

    /// That the model looks or draws by glimpses, for the feature `what`. Fails with [`Error::Config`] if it
    /// does not.
    pub fn check_glimpses(&self, what: &str) -> Result<()> {
        match self {
            AnyModel::Draw(_) | AnyModel::Classifier(_) => Ok(()),
            _ => Err(self.unfit(what, "that works by glimpses", &["draw", "classifier"])),
        }
    }

    /// The model as one whose bound importance weights tighten, for the feature `what`. Fails with
    /// [`Error::Config`] if it is none.
    pub fn weighted(&self, what: &str) -> Result<&dyn Weighted> {
        let fault = || self.unfit(what, "with latent variables", &["vae", "draw"]);
        self.model().weighted().ok_or_else(fault)
    }

    /// The model as one that draws pixel by pixel, for the feature `what`. Fails with
    /// [`Error::Config`] if it does not.
    pub fn autoregressive(&self, what: &str) -> Result<&dyn Autoregressive> {
        let fault = || self.unfit(what, "that draws pixel by pixel", &KINDS[1..5]);
        self.model().autoregressive().ok_or_else(fault)
    }

    /// The model as one that a film shows at work, pixel by pixel. Fails with [`Error::Config`] on any
    /// other; of DRAW, which can be filmed too, see [`AnyModel::draw`].
    pub fn drawing(&self, what: &str) -> Result<&dyn Autoregressive> {
        let fault = || self.unfit(what, "that draws pixel by pixel or by glimpses", &KINDS[1..6]);
        self.model().autoregressive().ok_or_else(fault)
    }

    /// That [`AnyModel::reconstruct`] works, for the feature `what`.
    pub fn check_reconstructs(&self, what: &str) -> Result<()> {
        self.weighted(what).map(drop)
    }

    /// What the model makes of images x \[B, H W C\], for the feature `what`: means in \[0, 1\], as many
    /// numbers. A vae takes the mean of q(z|x), DRAW draws from it under `key`. Fails with
    /// [`Error::Config`] if it has no encoder.
    pub fn reconstruct(&self, what: &str, x: &Tensor, key: Key) -> Result<Vec<f32>> {
        match self {
            AnyModel::Vae(vae) => vae.reconstruct(x).to_vec(),
            AnyModel::Draw(draw) => {
                let mut frames = draw.reconstruct(x, key)?.frames;
                Ok(frames.pop().map_or(Vec::new(), |last| last.canvas))
            }
            _ => Err(self.unfit(what, "with latent variables", &["vae", "draw"])),
        }
    }
}
