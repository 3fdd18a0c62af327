//! DRAW: A Recurrent Neural Network For Image Generation (Gregor, Danihelka, Graves, Rezende, Wierstra,
//! arXiv 1502.04623).
//!
//! ```text
//! x^_t    = x - sigmoid(c_{t-1})                                              (3)
//! r_t     = read(x, x^_t, h_dec_{t-1})                                        (4)
//! h_enc_t = LSTM_enc(h_enc_{t-1}, [r_t, h_dec_{t-1}])                         (5)
//! z_t     ~ N(mu_t, sigma_t),  mu_t = W h_enc_t, sigma_t = exp(W h_enc_t)     (1, 2, 6)
//! h_dec_t = LSTM_dec(h_dec_{t-1}, z_t)                                        (7)
//! c_t     = c_{t-1} + write(h_dec_t)                                          (8)
//! L       = -log p(x | sigmoid(c_T)) + sum_t KL(q(z_t | h_enc_t) || N(0, I))  (9 to 12)
//! ```
//!
//! With attention, read and write use N x N Gaussian filters ([`ops::attention`](crate::ops::attention)); without it,
//! they use the whole image. [Chapter 4 of the guide](crate::guide::attention) explains both. To generate an image, z_t is drawn from the prior, and only the decoder runs ([`Draw::decode`]).
//! Grey levels and colours are treated as Bernoulli probabilities, as in the paper; then L is not a code length.
//!
//! The states c_0, h_enc_0 and h_dec_0 are learned, or zeros ([`DrawConfig::learned_states`]). The paper does not state
//! the initial weights. Here they are uniform on \[-1 / sqrt(n), 1 / sqrt(n)\], where n is the number of the layer's
//! inputs. Biases start at 0, except those of the attention parameters, which place the first grid
//! (`network::first_attention`).
//!
//! Shapes: x \[B, H W C\], c \[B, H, W, C\] (logits), h \[B, h\], z \[B, Z\], noise \[T, B, Z\].

mod classifier;
mod config;
mod family;
mod network;
pub(crate) mod presets;

pub use super::trace::{Frame, GlimpseWindow, Trace};
pub use classifier::Classifier;
pub use config::{ClassifierConfig, DrawConfig};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::halves::Halves;
use super::iwae::repeat;
use super::{Draws, Model, PerImage, Reads, Reconstructs, Weighted, kl};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::error::Result;
use crate::nn::{Linear, LstmCell, Module, join};
use crate::ops::layout::{concat, slice};
use crate::ops::random;
use crate::ops::unary::{self, Function};
use crate::rng::{Key, stream};
use crate::tensor::Tensor;
pub use network::Written;
use network::{Decoder, Encoder, first_attention};

/// The DRAW model.
pub struct Draw {
    /// Sizes.
    pub config: DrawConfig,
    encoder: LstmCell,
    mean: Linear,
    log_std: Linear,
    decoder: LstmCell,
    write: Linear,
    read_attention: Option<Linear>,
    write_attention: Option<Linear>,
    initial: Option<Initial>,
}

/// Learned initial states.
struct Initial {
    /// c_0 \[H, W, C\].
    canvas: Param,
    /// h_enc_0 \[h\].
    encoder: Param,
    /// h_dec_0 \[h\].
    decoder: Param,
}

/// The values of one glimpse, for a callback.
pub struct Glimpse<'a, 't> {
    /// mu and log sigma of q, \[B, 2Z\].
    pub m: &'a Var<'t>,
    /// \[z, h\], the input of the decoder, \[B, Z + h\]; z is drawn from q.
    pub input: &'a Var<'t>,
    /// KL(q || N(0, I)), \[B\], nats.
    pub kl: &'a Tensor,
    /// The canvas after the glimpse, logits \[B, H, W, C\].
    pub canvas: &'a Var<'t>,
    /// Attention parameters of the read, \[B, 5\].
    pub read: Option<&'a Var<'t>>,
    /// With attention, the write.
    pub write: Option<&'a Written<'t>>,
}

impl<'t> Glimpse<'_, 't> {
    /// z drawn from q, \[B, Z\].
    pub fn z(&self) -> Var<'t> {
        self.input.slice(1, 0, self.m.shape()[1] / 2)
    }
}

/// The parts of the negative bound of each row, in nats; the bound is their sum.
pub struct DrawBound<'t> {
    /// -log p(x | sigmoid(c_T)), \[B\].
    pub reconstruction: Var<'t>,
    /// Sum of the KL divergences of all glimpses, \[B\].
    pub kl: Var<'t>,
    /// c_T, \[B, H, W, C\].
    pub canvas: Var<'t>,
}

impl Draw {
    /// A model with weights drawn from `seed`.
    pub fn new(device: &Device, config: DrawConfig, seed: u64) -> Draw {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (h, z) = (config.hidden, config.latent);
        let encoder = LstmCell::new(device, config.read_dims() + h, h, rng);
        let mean = Linear::uniform(device, h, z, rng);
        let log_std = Linear::uniform(device, h, z, rng);
        let decoder = LstmCell::new(device, z, h, rng);
        let write = Linear::uniform(device, h, config.write_dims(), rng);
        let size = (config.height, config.width);
        let mut attention = |filters, reads| {
            config.attention.then(|| {
                let start = first_attention(filters, size, reads);
                network::attention(device, h, start, rng)
            })
        };
        let (read_attention, write_attention) =
            (attention(config.read, true), attention(config.write, false));
        let zeros = |shape: &[usize]| Param::new(Tensor::zeros(device, shape));
        let initial = config.learned_states.then(|| Initial {
            canvas: zeros(&[config.height, config.width, config.channels]),
            encoder: zeros(&[h]),
            decoder: zeros(&[h]),
        });
        Draw {
            config,
            encoder,
            mean,
            log_std,
            decoder,
            write,
            read_attention,
            write_attention,
            initial,
        }
    }

    /// The bound of x \[B, H W C\] (equations 3 to 12) with the noise \[T, B, Z\] of all glimpses. `each` is called
    /// after every glimpse.
    pub fn bound<'t>(
        &self,
        x: &Var<'t>,
        noise: &Tensor,
        each: &mut dyn FnMut(Glimpse<'_, 't>),
    ) -> DrawBound<'t> {
        let rows = x.shape()[0];
        let (mut encoder, mut decoder) = (Encoder::new(self, x), Decoder::new(self, x, rows));
        let mut kl_sum = x.tape().constant(Tensor::zeros(x.device(), &[rows]));
        for number in 0..self.config.glimpses {
            let (m, read) = encoder.glimpse(&mut decoder);
            let (input, kl, sum) = m.latent_input((noise, number), &decoder.state[0], &kl_sum);
            kl_sum = sum;
            let write = decoder.step(&input);
            let canvas = &decoder.canvas;
            let (read, write) = (read.as_ref(), write.as_ref());
            each(Glimpse { m: &m, input: &input, kl: &kl, canvas, read, write });
        }
        let logits = decoder.canvas.reshape(x.shape());
        DrawBound { reconstruction: logits.bernoulli_nll(x), kl: kl_sum, canvas: decoder.canvas }
    }

    /// Decodes the latent variables z \[T, B, Z\]. After every glimpse, `each` receives its number, the canvas (logits
    /// \[B, H, W, C\]) and the attention parameters of the write \[B, 5\]. Panics if z is not \[T, B, Z\].
    pub fn decode(&self, z: &Tensor, each: &mut dyn FnMut(usize, &Tensor, Option<&Tensor>)) {
        let [glimpses, rows, latent] = *z.shape() else {
            panic!("decode: latent variables are [T, B, Z], not {:?}", z.shape())
        };
        let tape = Tape::inference();
        let mut decoder = Decoder::new(self, &tape.constant(z.clone()), rows);
        for number in 0..glimpses {
            let z = slice(z, 0, number as i64, 1).reshape(&[rows, latent]);
            let write = decoder.glimpse(&tape.constant(z));
            let write = write.map(|write| write.attention().value().clone());
            each(number, decoder.canvas.value(), write.as_ref());
        }
    }

    /// Standard normal numbers \[T, B, Z\] for all glimpses of `rows` images: noise for q, or draws from the prior.
    pub fn noise(&self, device: &Device, rows: usize, key: Key) -> Tensor {
        random::normal_rows(device, key, [self.config.glimpses, rows, self.config.latent])
    }

    /// An empty trace of this model.
    fn trace(&self) -> Trace {
        let DrawConfig { read, write, height, width, .. } = self.config;
        Trace::new((read, write), (height, width))
    }

    /// The glimpses with which x \[B, H W C\] is reconstructed. Fails if the device fails.
    pub fn reconstruct(&self, x: &Tensor, key: Key) -> Result<Trace> {
        let tape = Tape::inference();
        let noise = self.noise(x.device(), x.shape()[0], key);
        let mut trace = self.trace();
        self.bound(&tape.constant(x.clone()), &noise, &mut |glimpse| {
            let write = glimpse.write.map(|write| write.attention().value().clone());
            trace.push(glimpse.canvas.value(), glimpse.read.map(Var::value), write.as_ref());
        });
        trace.finish()
    }

    /// The glimpses with which `count` images are drawn from the model. Fails if the device fails.
    pub fn imagine(&self, device: &Device, count: usize, key: Key) -> Result<Trace> {
        let mut trace = self.trace();
        self.decode(&self.noise(device, count, key), &mut |_, canvas, write| {
            trace.push(canvas, None, write);
        });
        trace.finish()
    }
}

impl Module for Draw {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.encoder.visit(&join(path, "encoder"), f);
        self.mean.visit(&join(path, "mean"), f);
        self.log_std.visit(&join(path, "log_deviation"), f);
        self.decoder.visit(&join(path, "decoder"), f);
        self.write.visit(&join(path, "write"), f);
        if let Some(layer) = &self.read_attention {
            layer.visit(&join(path, "read_attention"), f);
        }
        if let Some(layer) = &self.write_attention {
            layer.visit(&join(path, "write_attention"), f);
        }
        if let Some(initial) = &self.initial {
            f(&join(path, "initial.canvas"), &initial.canvas);
            f(&join(path, "initial.encoder"), &initial.encoder);
            f(&join(path, "initial.decoder"), &initial.decoder);
        }
    }
}

impl Model for Draw {
    fn halves(&self) -> Option<Halves<'_>> {
        // Without attention, the encoder uses slices of its weight (network.rs), which cannot be packed here.
        let encoder = self.read_attention.as_ref().map(|_| &self.encoder.0.weight);
        Some(Halves {
            rows: 16,
            packed: encoder.into_iter().chain([&self.decoder.0.weight]).collect(),
        })
    }

    fn loss<'t>(&self, x: &Var<'t>, _: &[Tensor], key: Key) -> Var<'t> {
        let noise = self.noise(x.device(), x.shape()[0], key);
        let bound = self.bound(x, &noise, &mut |_| {});
        let weight = kl::weight((self.config.beta, self.config.kl_warmup), key.step);
        kl::weighted(&bound.reconstruction, &bound.kl, weight).mean()
    }

    fn evaluate(&self, x: &Tensor, _: Option<&Tensor>, key: Key) -> Result<Vec<PerImage>> {
        let tape = Tape::inference();
        let noise = self.noise(x.device(), x.shape()[0], key);
        let mut kls = Vec::new();
        let bound = self.bound(&tape.constant(x.clone()), &noise, &mut |glimpse| {
            kls.push(glimpse.kl.clone());
        });
        let total = bound.reconstruction.add(&bound.kl);
        let mut parts: Vec<PerImage> = vec![
            ("bound".into(), total.value().to_vec()?),
            ("reconstruction".into(), bound.reconstruction.value().to_vec()?),
            ("kl".into(), bound.kl.value().to_vec()?),
        ];
        for (t, kl) in kls.iter().enumerate() {
            parts.push((format!("kl.{}", t + 1).into(), kl.to_vec()?));
        }
        Ok(parts)
    }

    fn weighted(&self) -> Option<&dyn Weighted> {
        Some(self)
    }

    fn reconstructs(&self) -> Option<&dyn Reconstructs> {
        Some(self)
    }

    fn reads_by_glimpses(&self) -> Option<&dyn Reads> {
        Some(self)
    }

    fn draws_by_glimpses(&self) -> Option<&dyn Draws> {
        Some(self)
    }

    fn temper(&self, temperature: f32) {
        let (weight, latent) = (&self.decoder.0.weight, self.config.latent);
        let [z, h] = [(0, latent), (latent, self.config.hidden)]
            .map(|(start, len)| slice(&weight.value(), 1, start as i64, len));
        let z = unary::apply(Function::Affine, &z, temperature, 0.0);
        weight.set(concat(&[&z, &h], 1));
    }

    fn sample(&self, device: &Device, count: usize, key: Key) -> Result<Tensor> {
        let key = Key { stream: stream::SAMPLE, ..key };
        let mut last = None;
        self.decode(&self.noise(device, count, key), &mut |_, canvas, _| {
            last = Some(canvas.clone());
        });
        let tape = Tape::inference();
        let canvas = last.expect("a glimpse").reshape(&[count, self.config.dims()]);
        Ok(tape.constant(canvas).sigmoid().value().clone())
    }
}

impl Weighted for Draw {
    fn numbers_a_row(&self) -> usize {
        // The noise of all glimpses is one tensor. There are no gradients.
        self.config.glimpse_numbers().max(self.config.glimpses * self.config.latent)
    }

    fn log_weights(&self, x: &Tensor, samples: usize, key: Key) -> Result<Tensor> {
        let tape = Tape::inference();
        let x = repeat(&tape.constant(x.clone()), samples);
        let (rows, latent) = (x.shape()[0], self.config.latent);
        let zeros = tape.constant(Tensor::zeros(x.device(), &[rows, latent]));
        // Sum over glimpses of log p(z_t) - log q(z_t).
        let mut sum: Option<Var> = None;
        let noise = self.noise(x.device(), rows, key);
        let bound = self.bound(&x, &noise, &mut |glimpse| {
            let mu = glimpse.m.slice(1, 0, latent);
            let log_variance = glimpse.m.slice(1, latent as i64, latent).affine(2.0, 0.0);
            let z = glimpse.z();
            let term = z.gaussian_nll(&mu, &log_variance).sub(&z.gaussian_nll(&zeros, &zeros));
            sum = Some(sum.take().map_or_else(|| term.clone(), |sum| sum.add(&term)));
        });
        Ok(sum.expect("a glimpse").sub(&bound.reconstruction).value().clone())
    }
}
