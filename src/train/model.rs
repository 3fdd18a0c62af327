//! The model families behind one name, for what is decided at run time: settings and checkpoints.
//! The training loop itself sees only `dyn Model`.

use serde::{Deserialize, Serialize};

use crate::data::{Binarization, Images};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::models::vae::{Likelihood, Method, Vae, VaeConfig};

/// No model with latent variables is known to have a bound below this on fixed binarized MNIST, nats.
const PLAUSIBLE: f64 = 79.0;

/// Which model, and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelConfig {
    /// Variational auto-encoder.
    Vae(VaeConfig),
}

/// A model of some family.
pub enum AnyModel {
    /// Variational auto-encoder.
    Vae(Vae),
}

impl ModelConfig {
    /// The family's name, as on the command line.
    pub fn kind(&self) -> &'static str {
        match self {
            ModelConfig::Vae(_) => "vae",
        }
    }

    /// Rejects sizes that make no model. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        match self {
            ModelConfig::Vae(config) => config.check(),
        }
    }

    /// Rejects batches too large for the widest layer: rows x samples x width is to stay below 2^31.
    /// Fails with [`Error::Config`].
    pub fn check_batch(&self, rows: usize) -> Result<()> {
        let ModelConfig::Vae(config) = self;
        let width = config.dims().max(config.hidden).max(config.latent);
        let samples = config.rows_per_image();
        let values = rows as u128 * samples as u128 * width as u128;
        if values < 1 << 31 {
            return Ok(());
        }
        Err(Error::Config(format!(
            "batch = {rows}, with {samples} samples an image and layers of {width}: a batch has \
             {values} numbers, it must stay below {}; choose a smaller batch or fewer samples",
            1_u64 << 31
        )))
    }

    /// A model with weights drawn by `seed`. Fails with [`Error::Config`] on impossible sizes.
    pub fn build(&self, device: &Device, seed: u64) -> Result<AnyModel> {
        self.check()?;
        match self {
            ModelConfig::Vae(config) => Ok(AnyModel::Vae(Vae::new(device, *config, seed))),
        }
    }

    /// Height, width, channels of the images it models.
    pub fn shape(&self) -> (usize, usize, usize) {
        match self {
            ModelConfig::Vae(config) => (config.height, config.width, 1),
        }
    }

    /// Takes the image size from the data.
    pub fn fit(&mut self, images: &Images) -> Result<()> {
        match self {
            ModelConfig::Vae(config) => {
                if images.channels != 1 {
                    return Err(Error::Config(format!(
                        "the vae models images of 1 channel, these have {}; choose another data set",
                        images.channels
                    )));
                }
                (config.height, config.width) = (images.height, images.width);
            }
        }
        Ok(())
    }

    /// A warning about a bound (nats) on the images of data set `data` that is better than the best
    /// published models of its kind reach.
    pub fn suspicion(&self, data: &str, bound: f64) -> Option<String> {
        let ModelConfig::Vae(config) = self;
        let bits = data == "binarized-mnist" && config.likelihood == Likelihood::Bernoulli;
        (bits && bound < PLAUSIBLE).then(|| {
            format!(
                "a bound of {bound:.2} nats on fixed binarized MNIST is below {PLAUSIBLE}, where a \
                 leak between splits or a wrong constant is likelier than so good a model; look for \
                 one before you believe it"
            )
        })
    }

    /// What a reader of the model's figures on such data must know.
    pub fn caveat(&self, binarization: Binarization) -> Option<&'static str> {
        let ModelConfig::Vae(config) = self;
        let grey = binarization == Binarization::Grey;
        match (config.likelihood, config.method) {
            (_, Method::MonteCarloEm { .. }) => Some(
                "Monte Carlo EM trains no encoder, so the bound is loose: see `eval --marginal`",
            ),
            (Likelihood::Bernoulli, _) if grey => Some(
                "grey levels are taken as Bernoulli probabilities: the bound is no code length",
            ),
            (Likelihood::Gaussian, _) if !grey => {
                Some("a Gaussian density of bits: its bound cannot be compared with probabilities")
            }
            _ => None,
        }
    }
}

impl AnyModel {
    /// The model as the trainer sees it.
    pub fn model(&self) -> &dyn Model {
        match self {
            AnyModel::Vae(vae) => vae,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_good_a_bound_is_pointed_out() {
        let bernoulli = ModelConfig::Vae(VaeConfig::mnist(20));
        let warning = bernoulli.suspicion("binarized-mnist", 78.99).unwrap();
        assert!(warning.contains("78.99") && warning.contains("leak"), "{warning}");
        assert_eq!(bernoulli.suspicion("binarized-mnist", 79.0), None);
        assert_eq!(bernoulli.suspicion("mnist", 50.0), None);
        let gaussian = ModelConfig::Vae(VaeConfig::frey(20));
        assert_eq!(gaussian.suspicion("binarized-mnist", -500.0), None, "a density");
    }
}
