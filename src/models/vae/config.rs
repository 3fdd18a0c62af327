//! Sizes and training method of a variational auto-encoder, and the paper's settings.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::models::{kl, product};

/// p(x|z).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Likelihood {
    /// Bernoulli, for binary images.
    Bernoulli,
    /// Gaussian, for grey images: the mean is a sigmoid, the variance is learned.
    Gaussian,
}

/// The stochastic gradient variational Bayes estimators, section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Estimator {
    /// log p(x, z) - log q(z|x), both terms by sampling (6).
    A,
    /// -KL(q || p) in closed form, plus log p(x|z) by sampling (7).
    B,
}

/// How the networks are trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name", deny_unknown_fields)]
pub enum Method {
    /// Auto-encoding variational Bayes.
    Sgvb {
        /// A or B.
        estimator: Estimator,
        /// Samples per image, L.
        samples: usize,
    },
    /// Wake-sleep.
    WakeSleep,
    /// Monte Carlo EM: draws posterior samples by HMC, then makes `updates` optimiser steps of the decoder on them.
    MonteCarloEm {
        /// Leapfrog steps per trajectory.
        leapfrog: usize,
        /// Weight updates for each set of samples.
        updates: u64,
    },
}

/// Configuration of a [`super::Vae`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Image height.
    pub height: usize,
    /// Image width.
    pub width: usize,
    /// 1 for grey, 3 for colour.
    #[serde(default = "grey", skip_serializing_if = "is_grey")]
    pub channels: usize,
    /// Hidden units of encoder and decoder.
    pub hidden: usize,
    /// Latent dimensions Z.
    pub latent: usize,
    /// p(x|z).
    pub likelihood: Likelihood,
    /// Lower limit of a Gaussian decoder's log-variance. -11.08 is 2 ln(1/255), so sigma stays above one grey level:
    /// a density finer than the resolution of the data is meaningless.
    pub log_variance_floor: f32,
    /// Standard deviation of the initial weights.
    #[serde(rename = "init_deviation")]
    pub init_std: f32,
    /// How it is trained.
    pub method: Method,
    /// Weight of the KL divergence in the training loss; 1 for the bound. Scores are always of the bound.
    #[serde(default = "kl::one", skip_serializing_if = "kl::is_one")]
    pub beta: f32,
    /// Optimiser steps over which this weight rises linearly from 0.
    #[serde(default, skip_serializing_if = "kl::is_zero")]
    pub kl_warmup: u64,
}

/// Older models have no such setting and 1 channel. It is omitted for grey images, so that they are written as before.
fn grey() -> usize {
    1
}

fn is_grey(channels: &usize) -> bool {
    *channels == grey()
}

impl VaeConfig {
    /// Numbers per image, H * W * C.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Optimiser steps per batch.
    pub fn updates(&self) -> u64 {
        match self.method {
            Method::MonteCarloEm { updates, .. } => updates,
            _ => 1,
        }
    }

    /// Rejects invalid sizes. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("height", self.height),
            ("width", self.width),
            ("channels", self.channels),
            ("hidden", self.hidden),
            ("latent", self.latent),
        ];
        for (name, value) in positive {
            if value == 0 || value > 1 << 20 {
                return Err(Error::Config(format!(
                    "model.{name} = {value}: it must lie between 1 and {}",
                    1 << 20
                )));
            }
        }
        // Kernels use 32-bit indices.
        let weights = (self.hidden as u128) * (self.dims() as u128).max(self.latent as u128);
        if weights >= 1 << 31 || self.dims() >= 1 << 31 {
            return Err(Error::Config(format!(
                "model.hidden = {}, with {} pixels and {} latent dimensions: the largest weight \
                 matrix has {weights} numbers, it must stay below {}; choose a smaller model",
                self.hidden,
                self.dims(),
                self.latent,
                1_u64 << 31
            )));
        }
        let counts = match self.method {
            Method::Sgvb { samples, .. } => vec![("samples", samples as u64)],
            Method::WakeSleep => vec![],
            Method::MonteCarloEm { leapfrog, updates } => {
                vec![("leapfrog", leapfrog as u64), ("updates", updates)]
            }
        };
        for (name, value) in counts {
            if value == 0 || value > 10_000 {
                return Err(Error::Config(format!(
                    "model.method.{name} = {value}: it must lie between 1 and 10000"
                )));
            }
        }
        kl::check(self.beta)?;
        let weighted = !kl::is_one(&self.beta) || self.kl_warmup > 0;
        if weighted && !matches!(self.method, Method::Sgvb { .. }) {
            return Err(Error::Config(
                "model.beta and model.kl_warmup weight the KL divergence in the loss of model.method=sgvb, and \
                 other methods have none; leave them out"
                    .into(),
            ));
        }
        if !self.log_variance_floor.is_finite() {
            return Err(Error::Config(format!(
                "model.log_variance_floor = {}: it must be finite",
                self.log_variance_floor
            )));
        }
        if !(self.init_std > 0.0 && self.init_std.is_finite()) {
            return Err(Error::Config(format!(
                "model.init_deviation = {}: it must be above 0 and finite",
                self.init_std
            )));
        }
        Ok(())
    }

    /// Number of rows that one image of a batch becomes: L of the estimator.
    pub fn rows_per_image(&self) -> usize {
        match self.method {
            Method::Sgvb { samples, .. } => samples,
            Method::WakeSleep | Method::MonteCarloEm { .. } => 1,
        }
    }

    /// Section 5 on MNIST: 784-500-Z, Bernoulli decoder, estimator B with L = 1.
    pub fn mnist(latent: usize) -> VaeConfig {
        VaeConfig {
            height: 28,
            width: 28,
            channels: 1,
            hidden: 500,
            latent,
            likelihood: Likelihood::Bernoulli,
            log_variance_floor: -11.08,
            init_std: 0.1,
            method: Method::Sgvb { estimator: Estimator::B, samples: 1 },
            beta: 1.0,
            kl_warmup: 0,
        }
    }

    /// Section 5 on Frey face: 560-200-Z, Gaussian decoder.
    pub fn frey(latent: usize) -> VaeConfig {
        VaeConfig {
            height: 28,
            width: 20,
            hidden: 200,
            likelihood: Likelihood::Gaussian,
            ..VaeConfig::mnist(latent)
        }
    }

    /// Section 5, marginal likelihood on MNIST (Figure 3): 100 hidden units, 3 latent dimensions.
    pub fn marginal(method: Method) -> VaeConfig {
        VaeConfig { hidden: 100, method, ..VaeConfig::mnist(3) }
    }
}

/// All training methods of the variational auto-encoder, with default settings.
pub const METHODS: [Method; 3] = [
    Method::Sgvb { estimator: Estimator::B, samples: 1 },
    Method::WakeSleep,
    Method::MonteCarloEm { leapfrog: 10, updates: 5 },
];
