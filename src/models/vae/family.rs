//! The variational auto-encoder as a [`Family`], and its abilities.

use super::{LatentModel, Likelihood, Method, Vae, VaeConfig, marginal};
use crate::Tape;
use crate::device::Device;
use crate::error::Result;
use crate::models::Model;
use crate::models::abilities::{Reconstructs, SingleLatent};
use crate::models::family::{Family, MOST_EVALUATED, PLAUSIBLE_BOUND, Products, Shape};
use crate::rng::Key;
use crate::tensor::Tensor;

impl Family for VaeConfig {
    fn noun(&self) -> &'static str {
        "vae"
    }

    fn check(&self) -> Result<()> {
        VaeConfig::check(self)
    }

    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model> {
        Box::new(Vae::new(device, *self, seed))
    }

    fn shape(&self) -> Shape {
        (self.height, self.width, self.channels)
    }

    fn set_shape(&mut self, shape: Shape) -> Result<()> {
        (self.height, self.width, self.channels) = shape;
        Ok(())
    }

    fn widest(&self) -> usize {
        self.dims().max(self.hidden).max(self.latent)
    }

    fn products(&self) -> Products {
        let (dims, hidden, latent) = (self.dims(), self.hidden, self.latent);
        let (first, decoder) = (dims * hidden, latent * hidden + hidden * dims);
        let samples = self.rows_per_image();
        Products { all: first + 2 * hidden * latent + samples * decoder, first, drawing: decoder }
    }

    fn kl_warmup(&self) -> Option<u64> {
        (self.kl_warmup > 0).then_some(self.kl_warmup)
    }

    fn plausible(&self) -> Option<(&'static str, f64)> {
        (self.likelihood == Likelihood::Bernoulli).then_some(("a bound", PLAUSIBLE_BOUND))
    }

    fn caveat(&self, grey: bool) -> Option<&'static str> {
        match (self.likelihood, self.method) {
            (_, Method::MonteCarloEm { .. }) => Some(
                "Monte Carlo EM trains no encoder, so the bound is loose: see `eval --marginal`",
            ),
            (Likelihood::Bernoulli, _) if grey => Some(
                "grey levels are taken as Bernoulli probabilities: the bound is no code length",
            ),
            (Likelihood::Gaussian, _) if !grey => {
                Some("a Gaussian density of bits: its bound cannot be compared with probabilities")
            }
            (Likelihood::Gaussian, _) => Some(
                "the Gaussian decoder gives a density: its bound can be negative and is no code length",
            ),
            (Likelihood::Bernoulli, _) => None,
        }
    }

    fn single_latent(&self) -> Option<usize> {
        Some(self.latent)
    }

    fn samples(&self) -> Option<(&'static str, usize)> {
        Some(("model.method.samples", self.rows_per_image()))
    }

    fn updates(&self) -> u64 {
        VaeConfig::updates(self)
    }

    fn evaluation_batch(&self) -> usize {
        MOST_EVALUATED
    }

    fn scores_quickly(&self) -> bool {
        true
    }

    fn shorten(&mut self) {
        if let Method::MonteCarloEm { leapfrog, .. } = &mut self.method {
            *leapfrog = 1;
        }
    }
}

impl SingleLatent for Vae {
    fn dimensions(&self) -> usize {
        self.config.latent
    }

    fn posterior(&self, x: &Tensor) -> (Tensor, Tensor) {
        let tape = Tape::inference();
        let (mu, lv) = self.encode(&tape.constant(x.clone()));
        (mu.value().clone(), lv.value().clone())
    }

    fn decode_means(&self, z: &Tensor) -> Tensor {
        Vae::decode_means(self, z)
    }

    fn log_marginal(
        &self,
        x: &Tensor,
        key: Key,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f64>>> {
        marginal::log_marginal(self, x, marginal::MarginalSettings::paper(), key, stop)
    }
}

impl Reconstructs for Vae {
    fn reconstruction(&self, x: &Tensor, _: Key) -> Result<Vec<f32>> {
        self.reconstruct(x).to_vec()
    }
}
