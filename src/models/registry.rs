//! The list of all model families, and a type for a model of any of them.
//!
//! To add a family, write its folder and add a line to `families!` below.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use super::abilities::{Draws, Reads, Reconstructs, SingleLatent};
use super::draw::{ClassifierConfig, DrawConfig};
use super::pixel::{DiagBilstmConfig, MultiScaleConfig, PixelCnnConfig, RowLstmConfig};
use super::preset::{Preset, Reference};
use super::vae::VaeConfig;
use super::{Autoregressive, Family, Model, Weighted, draw, pixel, vae};
use crate::device::Device;
use crate::error::{Error, Result};

/// A kind of model, as the command line offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name on the command line and in files.
    pub name: &'static str,
    /// Description in one line.
    pub about: &'static str,
}

macro_rules! families {
    ($($folder:ident { $($variant:ident($config:ty) $name:literal $about:literal),+ $(,)? })+) => {
        /// Kind of model and its configuration.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum ModelConfig {
            $($(
                #[doc = $about]
                #[serde(rename = $name)]
                $variant($config),
            )+)+
        }

        /// All kinds of models.
        pub static KINDS: &[Kind] = &[$($(Kind { name: $name, about: $about }),+),+];

        /// All presets; the first of a kind is that kind's default.
        pub fn presets() -> impl Iterator<Item = &'static Preset> {
            [$($folder::presets::PRESETS.as_slice()),+].into_iter().flatten()
        }

        /// All results of the papers.
        pub fn references() -> impl Iterator<Item = &'static Reference> {
            [$($folder::presets::REFERENCES),+].into_iter().flatten()
        }

        impl ModelConfig {
            /// The kind's name.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(ModelConfig::$variant(_) => $name,)+)+
                }
            }
        }

        impl Deref for ModelConfig {
            type Target = dyn Family;

            fn deref(&self) -> &Self::Target {
                match self {
                    $($(ModelConfig::$variant(config) => config,)+)+
                }
            }
        }

        impl DerefMut for ModelConfig {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $($(ModelConfig::$variant(config) => config,)+)+
                }
            }
        }
    };
}

families! {
    vae { Vae(VaeConfig) "vae" "Variational auto-encoder (Auto-Encoding Variational Bayes)" }
    pixel {
        PixelCnn(PixelCnnConfig) "pixelcnn" "PixelCNN (Pixel Recurrent Neural Networks)",
        RowLstm(RowLstmConfig) "rowlstm" "PixelRNN of Row LSTM layers",
        DiagBilstm(DiagBilstmConfig) "diagbilstm" "PixelRNN of Diagonal BiLSTM layers",
        MultiScale(MultiScaleConfig) "multiscale" "Multi-Scale PixelRNN: a small image, then larger ones given it",
    }
    draw {
        Draw(DrawConfig) "draw" "DRAW: images written and read by attentive glimpses",
        Classifier(ClassifierConfig) "classifier"
            "Classifier by attentive glimpses (DRAW, section 4.1); needs images with labels",
    }
}

impl ModelConfig {
    /// A model with weights drawn from `seed`. Fails with [`Error::Config`] on invalid sizes.
    pub fn build(&self, device: &Device, seed: u64) -> Result<AnyModel> {
        self.check()?;
        Ok(AnyModel { noun: self.noun(), model: self.make(device, seed) })
    }

    /// The model on a [`Device::meta`]: its weights have names and shapes but take no memory. Fails with
    /// [`Error::Config`] on invalid sizes.
    pub fn without_numbers(&self) -> Result<AnyModel> {
        self.build(&Device::meta(&Device::cpu()), 0)
    }
}

/// The kinds whose models have the ability that `able` checks.
fn kinds_that_are(able: fn(&dyn Model) -> bool) -> Vec<&'static str> {
    let default = |kind: &Kind| presets().map(|p| p.recipe().model).find(|m| m.kind() == kind.name);
    let is_able = |kind: &&Kind| {
        let model = default(kind).and_then(|config| config.without_numbers().ok());
        model.is_some_and(|built| able(built.model()))
    };
    KINDS.iter().filter(is_able).map(|kind| kind.name).collect()
}

/// A model of any family.
pub struct AnyModel {
    noun: &'static str,
    model: Box<dyn Model>,
}

impl AnyModel {
    /// The model as the trainer sees it.
    pub fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    /// The ability that the feature `what` needs, or an error that names the kinds of models that have it.
    fn able<'a, A: ?Sized>(
        &'a self,
        (what, property): (&str, &str),
        ability: Option<&'a A>,
        able: fn(&dyn Model) -> bool,
    ) -> Result<&'a A> {
        ability.ok_or_else(|| {
            Error::Config(format!(
                "{what} needs a model {property} ({}), this one is a {}; name another run",
                kinds_that_are(able).join(", "),
                self.noun
            ))
        })
    }

    /// The abilities of a model with a single latent variable per image, which the feature `what` needs. Fails with
    /// [`Error::Config`] if the model is not one.
    pub fn single_latent(&self, what: &str) -> Result<&dyn SingleLatent> {
        let needed = (what, "with one latent variable per image");
        self.able(needed, self.model.single_latent(), |model| model.single_latent().is_some())
    }

    /// The ability to draw by glimpses, which the feature `what` needs. Fails with [`Error::Config`] if the model does
    /// not have it.
    pub fn draws_by_glimpses(&self, what: &str) -> Result<&dyn Draws> {
        let needed = (what, "that draws by glimpses");
        self.able(needed, self.model.draws_by_glimpses(), |model| {
            model.draws_by_glimpses().is_some()
        })
    }

    /// The ability to read images by glimpses, which the feature `what` needs. Fails with [`Error::Config`] if the
    /// model does not have it.
    pub fn reads_by_glimpses(&self, what: &str) -> Result<&dyn Reads> {
        let needed = (what, "that works by glimpses");
        self.able(needed, self.model.reads_by_glimpses(), |model| {
            model.reads_by_glimpses().is_some()
        })
    }

    /// The ability to tighten the bound by importance weights, which the feature `what` needs. Fails with
    /// [`Error::Config`] if the model does not have it.
    pub fn weighted(&self, what: &str) -> Result<&dyn Weighted> {
        let needed = (what, "with latent variables");
        self.able(needed, self.model.weighted(), |model| model.weighted().is_some())
    }

    /// The ability to reconstruct images, which the feature `what` needs. Fails with [`Error::Config`] if the model has
    /// no encoder.
    pub fn reconstructs(&self, what: &str) -> Result<&dyn Reconstructs> {
        let needed = (what, "with latent variables");
        self.able(needed, self.model.reconstructs(), |model| model.reconstructs().is_some())
    }

    /// The ability to draw pixel by pixel, which the feature `what` needs. Fails with [`Error::Config`] if the model
    /// does not have it.
    pub fn autoregressive(&self, what: &str) -> Result<&dyn Autoregressive> {
        let needed = (what, "that draws pixel by pixel");
        self.able(needed, self.model.autoregressive(), |model| model.autoregressive().is_some())
    }

    /// The ability to draw pixel by pixel, for a film. Fails with [`Error::Config`] if the model does not have it.
    /// Models that draw by glimpses can be filmed too, see [`AnyModel::draws_by_glimpses`]; the error names both kinds.
    pub fn drawing(&self, what: &str) -> Result<&dyn Autoregressive> {
        let needed = (what, "that draws pixel by pixel or by glimpses");
        self.able(needed, self.model.autoregressive(), |model| {
            model.autoregressive().is_some() || model.draws_by_glimpses().is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::pixel::{Body, PixelConfig};

    fn all() -> [ModelConfig; 7] {
        let net = PixelConfig::mnist(1, 2);
        let pixel = |body| ModelConfig::pixel(body, net);
        [
            ModelConfig::Vae(VaeConfig::mnist(2)),
            pixel(Body::PixelCnn),
            pixel(Body::RowLstm),
            pixel(Body::DiagBilstm),
            ModelConfig::MultiScale(MultiScaleConfig::new(Body::RowLstm, net, vec![2])),
            ModelConfig::Draw(DrawConfig::mnist()),
            ModelConfig::Classifier(ClassifierConfig::cluttered(8)),
        ]
    }

    #[test]
    fn kinds_are_named_as_in_files() {
        assert_eq!(all().len(), KINDS.len());
        for (model, kind) in all().iter().zip(KINDS) {
            let value = serde_json::to_value(model).unwrap();
            assert_eq!((value["kind"].as_str(), model.kind()), (Some(kind.name), kind.name));
            assert_eq!(&serde_json::from_value::<ModelConfig>(value).unwrap(), model);
        }
    }

    #[test]
    fn an_error_names_the_kinds_that_are_able() {
        let pixel = ["pixelcnn", "rowlstm", "diagbilstm", "multiscale"];
        assert_eq!(kinds_that_are(|model| model.autoregressive().is_some()), pixel);
        assert_eq!(
            kinds_that_are(|model| model.reads_by_glimpses().is_some()),
            ["draw", "classifier"]
        );
        assert_eq!(kinds_that_are(|model| model.reconstructs().is_some()), ["vae", "draw"]);
        let built = all()[1].without_numbers().unwrap();
        let Err(Error::Config(message)) = built.single_latent("--manifold") else {
            panic!("taken")
        };
        let expected = "--manifold needs a model with one latent variable per image (vae), this one is a pixel \
                        model; name another run";
        assert_eq!(message, expected);
        let Err(Error::Config(message)) =
            all()[0].without_numbers().unwrap().drawing("--film").map(drop)
        else {
            panic!("taken")
        };
        assert!(
            message
                .contains("(pixelcnn, rowlstm, diagbilstm, multiscale, draw), this one is a vae"),
            "{message}"
        );
    }

    #[test]
    fn large_maps_are_evaluated_an_image_at_a_time() {
        let large = ModelConfig::pixel(Body::RowLstm, PixelConfig::colour(64, 4, 512));
        assert_eq!(large.evaluation_batch(), 1);
        let small = ModelConfig::pixel(Body::PixelCnn, PixelConfig::mnist(7, 16));
        assert_eq!(small.evaluation_batch(), 100);
    }

    #[test]
    fn too_good_a_score_is_pointed_out() {
        let bernoulli = ModelConfig::Vae(VaeConfig::mnist(20));
        let warning = bernoulli.suspicion("binarized-mnist", 78.99).unwrap();
        assert!(warning.contains("78.99") && warning.contains("leak"), "{warning}");
        assert_eq!(bernoulli.suspicion("binarized-mnist", 79.0), None);
        assert_eq!(bernoulli.suspicion("mnist", 50.0), None);
        let draw = ModelConfig::Draw(DrawConfig::mnist());
        assert!(draw.suspicion("binarized-mnist", 78.99).unwrap().contains("a bound of 78.99"));
        assert_eq!(draw.suspicion("binarized-mnist", 79.0), None);
        let classifier = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(classifier.suspicion("binarized-mnist", 0.1), None, "of classes, not of images");
        let gaussian = ModelConfig::Vae(VaeConfig::frey(20));
        assert_eq!(gaussian.suspicion("binarized-mnist", -500.0), None, "a density");
        let net = PixelConfig::mnist(7, 16);
        let chain = MultiScaleConfig::new(Body::PixelCnn, net, vec![2]);
        for model in [ModelConfig::pixel(Body::DiagBilstm, net), ModelConfig::MultiScale(chain)] {
            assert_eq!(model.suspicion("binarized-mnist", 78.0), None);
            assert!(model.suspicion("binarized-mnist", 77.99).unwrap().contains("77.99"));
        }
    }

    #[test]
    fn intensities_as_probabilities_are_pointed_out() {
        let draw = ModelConfig::Draw(DrawConfig::cifar10());
        assert!(draw.caveat(true).unwrap().contains("no code length"));
        assert_eq!(draw.caveat(false), None);
        let frey = ModelConfig::Vae(VaeConfig::frey(10));
        assert!(frey.caveat(true).unwrap().contains("a density: its bound can be negative"));
        let classifier = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(classifier.caveat(true), None);
    }

    #[test]
    fn an_error_is_in_percent() {
        let model = ModelConfig::Classifier(ClassifierConfig::cluttered(8));
        assert_eq!(model.figure("error", 0.0418), "4.18 %");
        assert_eq!(model.figure("nll", 0.125), "0.12 nats");
    }

    #[test]
    fn uniform_bytes_are_eight_bits_a_number() {
        let model = ModelConfig::pixel(Body::RowLstm, PixelConfig::colour(32, 1, 3));
        let uniform = 3072.0 * 256.0_f64.ln();
        assert!((model.bits_per_dim(uniform).unwrap() - 8.0).abs() < 1e-12);
        assert_eq!(model.nats(uniform), "17034.79 nats, 8.000 bits/dim");
        assert_eq!(ModelConfig::Vae(VaeConfig::mnist(2)).nats(98.194), "98.19 nats");
    }
}
