//! Auto-Encoding Variational Bayes (Kingma & Welling, arXiv 1312.6114): the variational auto-encoder.
//!
//! ```text
//! encoder q(z|x):  h = tanh(W3 x + b3),  mu = W4 h + b4,  log s^2 = W5 h + b5          (C.2)
//! z = mu + s * eps,  eps ~ N(0, I)                                                     (10)
//! decoder p(x|z):  h = tanh(W1 z + b1)
//!   Bernoulli: logits = W2 h + b2                                                      (C.1)
//!   Gaussian:  mean = sigmoid(W2 h + b2),  log variance = W6 h + b6, at least a floor  (C.2)
//! ```
//!
//! The sigmoid of the Gaussian mean is that of section 5; the lower limit of the variance is ours. Training maximises a
//! bound on log p(x), by one of two estimators from L draws of eps:
//!
//! ```text
//! L_A = 1/L sum_l  log p(x, z_l) - log q(z_l|x)                                        (6)
//! L_B = -KL(q(z|x) || p(z)) + 1/L sum_l log p(x|z_l)                                   (7)
//! -KL = 1/2 sum_j  1 + log s_j^2 - mu_j^2 - s_j^2                                      (10, B)
//! ```
//! Shapes: x \[B, D\], h \[B, H\], mu, log s^2, eps, z \[B, Z\].
//!
//! The same networks are trained by the paper's estimators A and B and by its two baselines,
//! wake-sleep and Monte Carlo EM ([`Method`]). Methods that need only p(x, z) and q(z|x) work with any
//! [`LatentModel`]: the bounds ([`bound`]), Hamiltonian Monte Carlo ([`hmc`]) and the marginal
//! likelihood of appendix D ([`marginal`]).

pub mod bound;
mod config;
mod family;
pub mod hmc;
pub mod marginal;
pub(crate) mod presets;

pub use bound::LatentModel;
pub use config::{Estimator, Likelihood, METHODS, Method, VaeConfig};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Model, PerImage, Reconstructs, SingleLatent, Weighted, kl};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::error::Result;
use crate::nn::{Linear, Module, join, scale};
use crate::ops::matmul::Activation;
use crate::ops::random;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// The variational auto-encoder.
pub struct Vae {
    /// Sizes and training method.
    pub config: VaeConfig,
    encoder_hidden: Linear,
    encoder_mean: Linear,
    encoder_log_variance: Linear,
    decoder_hidden: Linear,
    decoder_mean: Linear,
    decoder_log_variance: Option<Linear>,
}

/// The decoder's outputs, the parameters of p(x|z).
pub struct Decoded<'t> {
    /// Logits (Bernoulli) or means (Gaussian), \[B, D\].
    pub output: Var<'t>,
    /// Log-variances (Gaussian), \[B, D\].
    pub log_variance: Option<Var<'t>>,
}

impl Vae {
    /// A model with weights drawn from `seed`.
    pub fn new(device: &Device, config: VaeConfig, seed: u64) -> Vae {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut layer = |i, o| Linear::new(device, i, o, config.init_std, &mut rng);
        let (d, h, z) = (config.dims(), config.hidden, config.latent);
        Vae {
            encoder_hidden: layer(d, h),
            encoder_mean: layer(h, z),
            encoder_log_variance: layer(h, z),
            decoder_hidden: layer(z, h),
            decoder_mean: layer(h, d),
            decoder_log_variance: (config.likelihood == Likelihood::Gaussian).then(|| layer(h, d)),
            config,
        }
    }

    /// p(x|z) for z \[B, Z\].
    pub fn decode<'t>(&self, z: &Var<'t>) -> Decoded<'t> {
        let h = self.decoder_hidden.forward(z, Activation::Tanh);
        match &self.decoder_log_variance {
            None => Decoded {
                output: self.decoder_mean.forward(&h, Activation::None),
                log_variance: None,
            },
            Some(layer) => {
                // A smooth lower limit: lv = floor + softplus(raw - floor).
                let floor = self.config.log_variance_floor;
                let raw = layer.forward(&h, Activation::None);
                Decoded {
                    output: self.decoder_mean.forward(&h, Activation::Sigmoid),
                    log_variance: Some(raw.affine(1.0, -floor).softplus().affine(1.0, floor)),
                }
            }
        }
    }

    /// Means of p(x|z) in \[0, 1\] for z \[B, Z\].
    pub fn decode_means(&self, z: &Tensor) -> Tensor {
        let tape = Tape::inference();
        let decoded = self.decode(&tape.constant(z.clone()));
        match self.config.likelihood {
            Likelihood::Bernoulli => decoded.output.sigmoid().value().clone(),
            Likelihood::Gaussian => decoded.output.value().clone(),
        }
    }

    /// Means of p(x|z) at the mean of q(z|x), for x \[B, D\].
    pub fn reconstruct(&self, x: &Tensor) -> Tensor {
        let tape = Tape::inference();
        let (mu, _) = self.encode(&tape.constant(x.clone()));
        self.decode_means(mu.value())
    }

    /// x \[B, D\] drawn from p(x|z), z \[B, Z\].
    fn draw_x(&self, z: &Tensor, key: Key) -> Tensor {
        let tape = Tape::inference();
        let decoded = self.decode(&tape.constant(z.clone()));
        let shape = [1, z.shape()[0], self.config.dims()];
        match &decoded.log_variance {
            None => {
                let u = random::uniform_rows(z.device(), key, shape);
                random::below(&u.reshape(&shape[1..]), decoded.output.sigmoid().value())
            }
            Some(lv) => {
                let noise = random::normal_rows(z.device(), key, shape).reshape(&shape[1..]);
                let noise = tape.constant(noise);
                decoded.output.add(&lv.affine(0.5, 0.0).exp().mul(&noise)).value().clone()
            }
        }
    }

    /// Wake-sleep (Hinton, Dayan, Frey, Neal 1995). The wake phase trains the decoder on -log p(x, z) with z ~ q(z|x)
    /// held constant. The sleep phase trains the encoder on -log q(z|x) with dreams (z, x) ~ p.
    fn wake_sleep_loss<'t>(&self, x: &Var<'t>, key: Key) -> Var<'t> {
        let tape = x.tape();
        let drawn = {
            let aside = Tape::inference();
            let (mu, lv) = self.encode(&aside.constant(x.value().clone()));
            bound::reparameterize(&mu, &lv, 1, key).value().clone()
        };
        let wake = self.neg_log_joint(x, &tape.constant(drawn));
        let shape = [1, x.shape()[0], self.config.latent];
        let dream = Key { stream: key.stream + 1, ..key };
        let z = random::normal_rows(x.device(), dream, shape).reshape(&shape[1..]);
        let x = self.draw_x(&z, Key { stream: key.stream + 2, ..key });
        let (mu, lv) = self.encode(&tape.constant(x));
        wake.add(&tape.constant(z).gaussian_nll(&mu, &lv)).mean()
    }
}

impl LatentModel for Vae {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn encode<'t>(&self, x: &Var<'t>) -> (Var<'t>, Var<'t>) {
        let h = self.encoder_hidden.forward_sparse(x, Activation::Tanh);
        let mu = self.encoder_mean.forward(&h, Activation::None);
        (mu, self.encoder_log_variance.forward(&h, Activation::None))
    }

    fn neg_log_likelihood<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t> {
        let decoded = self.decode(z);
        match &decoded.log_variance {
            None => decoded.output.bernoulli_nll(x),
            Some(lv) => x.gaussian_nll(&decoded.output, lv),
        }
    }
}

impl Module for Vae {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.encoder_hidden.visit(&join(path, "encoder.hidden"), f);
        self.encoder_mean.visit(&join(path, "encoder.mean"), f);
        self.encoder_log_variance.visit(&join(path, "encoder.log_variance"), f);
        self.decoder_hidden.visit(&join(path, "decoder.hidden"), f);
        self.decoder_mean.visit(&join(path, "decoder.mean"), f);
        if let Some(layer) = &self.decoder_log_variance {
            layer.visit(&join(path, "decoder.log_variance"), f);
        }
    }
}

impl Model for Vae {
    fn prepare(&self, x: &Tensor, _: Option<&Tensor>, key: Key) -> Result<Vec<Tensor>> {
        match self.config.method {
            Method::MonteCarloEm { leapfrog, .. } => {
                // The paper's E-step takes ten HMC steps; it does not say where they start.
                let start = hmc::best_draws(self, x, hmc::E_DRAWS, false, key, &|| false)?;
                let start = start.expect("nothing stops it");
                let mut chain = hmc::Chain::start(self, x, start, hmc::FIRST_STEP, leapfrog, key)?;
                chain.run(self, x, hmc::E_STEPS, true)?;
                Ok(vec![chain.position(x.device())])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn updates(&self) -> u64 {
        self.config.updates()
    }

    fn loss<'t>(&self, x: &Var<'t>, prepared: &[Tensor], key: Key) -> Var<'t> {
        match self.config.method {
            Method::Sgvb { estimator, samples } => {
                let b = bound::negative_bound(self, x, estimator, samples, key);
                let weight = kl::weight((self.config.beta, self.config.kl_warmup), key.step);
                // The bound is its own loss, without another addition.
                match weight == 1.0 {
                    true => b.total.mean(),
                    false => kl::weighted(&b.reconstruction, &b.kl, weight).mean(),
                }
            }
            Method::WakeSleep => self.wake_sleep_loss(x, key),
            Method::MonteCarloEm { .. } => {
                self.neg_log_joint(x, &x.tape().constant(prepared[0].clone())).mean()
            }
        }
    }

    fn evaluate(&self, x: &Tensor, _: Option<&Tensor>, key: Key) -> Result<Vec<PerImage>> {
        let tape = Tape::inference();
        let b = bound::negative_bound(self, &tape.constant(x.clone()), Estimator::B, 1, key);
        Ok(vec![
            ("bound".into(), b.total.value().to_vec()?),
            ("reconstruction".into(), b.reconstruction.value().to_vec()?),
            ("kl".into(), b.kl.value().to_vec()?),
        ])
    }

    fn weighted(&self) -> Option<&dyn Weighted> {
        Some(self)
    }

    fn single_latent(&self) -> Option<&dyn SingleLatent> {
        Some(self)
    }

    fn reconstructs(&self) -> Option<&dyn Reconstructs> {
        Some(self)
    }

    fn temper(&self, temperature: f32) {
        scale(&self.decoder_hidden.weight, temperature);
    }

    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor> {
        let key = Key { stream: stream::SAMPLE, ..key };
        let shape = [1, count, self.config.latent];
        Ok(self.decode_means(&random::normal_rows(device, key, shape).reshape(&shape[1..])))
    }
}

impl Weighted for Vae {
    fn numbers_a_row(&self) -> usize {
        self.config.dims().max(self.config.hidden).max(self.config.latent)
    }

    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> Result<Tensor> {
        Ok(bound::log_weights(self, x, samples, key))
    }
}
