//! A custom model with a custom training loop: a small variational auto-encoder with ReLU layers, trained on
//! the embedded digits in a few seconds. Run it with `cargo run --release --example train_small`.
//!
//! q(z|x): h = relu(W1 x + b1), mu = W2 h + b2, log s^2 = W3 h + b3; p(x|z): logits = W5 relu(W4 z + b4) + b5.
//! Shapes: x [B, 784], h [B, 100], z [B, 8].

use pixelloom::data::{self, Loader, Split, fill_batch};
use pixelloom::models::vae::bound::negative_bound;
use pixelloom::models::vae::{Estimator, LatentModel};
use pixelloom::nn::{Linear, Module, Optimizer, OptimizerConfig, Param, join};
use pixelloom::ops::matmul::Activation;
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Result, Tape, Tensor, Var};
use rand::SeedableRng;
use rand::rngs::StdRng;

const SEED: u64 = 1;
const BATCH: usize = 100;
const LATENT: usize = 8;

struct Small {
    encoder: Linear,
    mean: Linear,
    log_variance: Linear,
    decoder: Linear,
    logits: Linear,
}

impl Small {
    fn new(device: &Device) -> Small {
        let mut rng = StdRng::seed_from_u64(SEED);
        let mut layer = |inputs, outputs| Linear::new(device, inputs, outputs, 0.05, &mut rng);
        Small {
            encoder: layer(784, 100),
            mean: layer(100, LATENT),
            log_variance: layer(100, LATENT),
            decoder: layer(LATENT, 100),
            logits: layer(100, 784),
        }
    }
}

/// Names the parameters, for the optimiser and for files of weights.
impl Module for Small {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.encoder.visit(&join(path, "encoder"), f);
        self.mean.visit(&join(path, "mean"), f);
        self.log_variance.visit(&join(path, "log_variance"), f);
        self.decoder.visit(&join(path, "decoder"), f);
        self.logits.visit(&join(path, "logits"), f);
    }
}

/// Given q(z|x) and p(x|z), the library computes the bound.
impl LatentModel for Small {
    fn latent(&self) -> usize {
        LATENT
    }

    fn encode<'t>(&self, x: &Var<'t>) -> (Var<'t>, Var<'t>) {
        let h = self.encoder.forward(x, Activation::Relu);
        let mean = self.mean.forward(&h, Activation::None);
        (mean, self.log_variance.forward(&h, Activation::None))
    }

    fn neg_log_likelihood<'t>(&self, x: &Var<'t>, z: &Var<'t>) -> Var<'t> {
        let h = self.decoder.forward(z, Activation::Relu);
        self.logits.forward(&h, Activation::None).bernoulli_nll(x)
    }
}

/// Trains for `steps` steps. Returns the mean bound on -log p(x) of the test images in nats before and after
/// training, and a description of the data that it was measured on.
fn train(device: &Device, steps: u64) -> Result<(f64, f64, String)> {
    let digits = data::open("digits", None, "data".as_ref())?;
    let model = Small::new(device);
    let mut optimizer = Optimizer::new(OptimizerConfig::new(Rule::Adam, 2e-3));
    let loader = Loader::new(digits.train.count, BATCH, SEED);

    let batch_of = |images: &data::Images, seed, epoch, indices: &[usize]| {
        let mut values = vec![0.0; indices.len() * images.dims()];
        fill_batch(images, digits.binarization, seed, epoch, indices, &mut values);
        Tensor::new(device, &values, &[indices.len(), images.dims()])
    };
    let test_bound = || -> Result<f64> {
        let all: Vec<usize> = (0..digits.test.count).collect();
        let tape = Tape::inference();
        let x = tape.constant(batch_of(&digits.test, data::EVALUATION_SEED, 0, &all));
        let key = Key::new(SEED, stream::EVALUATE, 0);
        Ok(negative_bound(&model, &x, Estimator::B, 1, key).total.mean().value().item()?.into())
    };

    let before = test_bound()?;
    for step in 0..steps {
        let (epoch, indices) = loader.batch(step);
        let tape = Tape::new();
        let x = tape.constant(batch_of(&digits.train, SEED, epoch, &indices));
        let key = Key::new(SEED, stream::LATENT, step as u32);
        let loss = negative_bound(&model, &x, Estimator::B, 1, key).total.mean();
        let gradients = tape.backward_from(&loss);
        optimizer.step(&model, &gradients);
        if step % 100 == 0 {
            println!("step {step}: loss {:.1} nats/image", loss.value().item()?);
        }
    }
    Ok((before, test_bound()?, digits.describe(Split::Test)))
}

fn main() -> Result<()> {
    let (device, _) = pixelloom::machine::choose("auto", 0, &mut |_, _| ())?;
    let (before, after, what) = train(&device, 1000)?;
    println!("test bound: {after:.2} nats, {before:.2} before ({what}, {})", device.name());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An untrained model costs about 784 log 2 = 543 nats, as 784 fair coins do.
    #[test]
    fn it_learns() {
        let (before, after, what) = train(&Device::cpu(), 300).unwrap();
        assert!(before > 500.0 && after < 190.0, "{before} nats, then {after}");
        assert!(what.contains("test split, 1,000 images, dynamic binarization"), "{what}");
    }
}
