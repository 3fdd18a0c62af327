//! Estimates of log p(x) of a trained model compared with a numerical integral over its two-dimensional latent
//! space: the bound of the AEVB paper, the importance-weighted bound, and the estimator of appendix D.

use std::path::Path;

use pixelloom::Device;
use pixelloom::Tensor;
use pixelloom::data::{self, EVALUATION_SEED, fill_batch};
use pixelloom::models::ModelConfig;
use pixelloom::models::iwae::iwae;
use pixelloom::models::vae::Vae;
use pixelloom::models::vae::marginal::{MarginalSettings, log_marginal};
use pixelloom::nn::Module;
use pixelloom::rng::{Key, stream};
use pixelloom::run::pretrained::Pretrained;

const D: usize = 784;
const IMAGES: usize = 200;
/// The sum runs over a grid of spacing `STEP` on the square from -`SIDE` to `SIDE`. The narrowest posteriors have a
/// standard deviation of about the spacing, for which the sum over a smooth density is still accurate to 1e-6.
const SIDE: f64 = 4.5;
const STEP: f64 = 0.04;

/// The values of the parameter `name`.
fn weights(model: &dyn Module, name: &str) -> Vec<f32> {
    let parameters = model.parameters();
    let found = parameters.iter().find(|(n, _)| n == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.value().to_vec().unwrap()
}

/// log p(x) of each image in `x` \[IMAGES, D\]: the integral of p(x|z) p(z) over the grid, by plain loops.
fn integral(model: &dyn Module, x: &[f32]) -> Vec<f64> {
    let named = |name: &str| weights(model, name);
    let (hidden, hidden_bias) = (named("decoder.hidden.weight"), named("decoder.hidden.bias"));
    let (mean, mean_bias) = (named("decoder.mean.weight"), named("decoder.mean.bias"));
    let units = hidden_bias.len();
    let points = (2.0 * SIDE / STEP) as usize;
    let mut total = vec![(f64::NEG_INFINITY, 0.0_f64); x.len() / D];
    let (mut h, mut logits) = (vec![0.0_f32; units], vec![0.0_f32; D]);
    for point in 0..points * points {
        let at = |i: usize| (i as f64 + 0.5) * STEP - SIDE;
        let z = [at(point / points), at(point % points)];
        for (u, h) in h.iter_mut().enumerate() {
            let sum = hidden[2 * u] * z[0] as f32 + hidden[2 * u + 1] * z[1] as f32;
            *h = (sum + hidden_bias[u]).tanh();
        }
        let mut softplus = 0.0;
        for (d, logit) in logits.iter_mut().enumerate() {
            let row = &mean[d * units..(d + 1) * units];
            // Eight partial sums, so that the compiler can vectorise the loop.
            let mut sums = [0.0_f32; 8];
            for (row, h) in row.chunks_exact(8).zip(h.chunks_exact(8)) {
                (0..8).for_each(|i| sums[i] += row[i] * h[i]);
            }
            *logit = sums.iter().sum::<f32>() + mean_bias[d];
            softplus += f64::from(logit.max(0.0) + (-logit.abs()).exp().ln_1p());
        }
        let prior = -0.5 * (z[0] * z[0] + z[1] * z[1]) - std::f64::consts::TAU.ln();
        for (x, (most, sum)) in x.chunks(D).zip(&mut total) {
            let mut sums = [0.0_f32; 8];
            for (x, l) in x.chunks_exact(8).zip(logits.chunks_exact(8)) {
                (0..8).for_each(|i| sums[i] += x[i] * l[i]);
            }
            let joint = f64::from(sums.iter().sum::<f32>()) - softplus + prior;
            if joint > *most {
                *sum *= (*most - joint).exp();
                *most = joint;
            }
            *sum += (joint - *most).exp();
        }
    }
    total.iter().map(|(most, sum)| most + (sum * STEP * STEP).ln()).collect()
}

/// The bundled model with two latent dimensions, and embedded test digits \[IMAGES, D\].
fn model_and_images() -> (Vae, Vec<f32>) {
    let checkpoint = Pretrained::find(Path::new("vae")).unwrap().open().unwrap();
    let ModelConfig::Vae(config) = checkpoint.model else { panic!("a vae") };
    let model = Vae::new(&Device::cpu(), config, 0);
    checkpoint.load_into(&model).unwrap();
    let set = data::open("digits", None, Path::new("data")).unwrap();
    // The set repeats the digits 0 to 9 in order, so the first images contain each digit equally often. (Every fifth
    // image would be a 0 or a 5.)
    let indices: Vec<usize> = (0..IMAGES).collect();
    let mut x = vec![0.0; IMAGES * D];
    fill_batch(&set.test, set.binarization, EVALUATION_SEED, 0, &indices, &mut x);
    (model, x)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Compares estimates with the integral: their mean difference in nats, and how many are within 0.3 nats of it.
fn compare(name: &str, found: &[f64], exact: &[f64]) -> (f64, usize) {
    let apart: Vec<f64> = found.iter().zip(exact).map(|(found, exact)| found - exact).collect();
    let close = apart.iter().filter(|apart| apart.abs() < 0.3).count();
    let low = apart.iter().filter(|apart| **apart < -1.0).count();
    let (mean, apart) = (mean(found), mean(&apart));
    println!(
        "{name}: {mean:.2} nats/image, {apart:.3} from the integral; of {IMAGES} images {close} are"
    );
    println!("    within 0.3 nats, {low} more than 1 nat too low");
    (apart, close)
}

/// The posteriors of a trained model are narrow, and some have several separate modes. A chain stays in the mode where
/// it starts, so it has to start in the one with the most mass. Starting at the best of 256 draws often missed it.
#[test]
fn appendix_d_agrees_with_the_integral_over_the_plane() {
    let (model, x) = model_and_images();
    let exact = integral(&model, &x);
    let key = Key::new(1, stream::HMC, 0);
    let batch = Tensor::new(&Device::cpu(), &x, &[IMAGES, D]);
    let found =
        log_marginal(&model, &batch, MarginalSettings::paper(), key, &|| false).unwrap().unwrap();

    let (apart, close) = compare("appendix D", &found, &exact);
    assert!(apart.abs() < 0.08, "{apart} nats in the mean");
    assert!(close >= 188, "{close} of {IMAGES} images are within 0.3 nats of the integral");
}

/// The bound with 1 sample, then with more and more samples: it must rise towards the integral and stay below it.
#[test]
fn bounds_rise_towards_the_integral_over_the_plane() {
    let (model, x) = model_and_images();
    let exact = integral(&model, &x);
    compare("integral", &exact, &exact);
    let batch = Tensor::new(&Device::cpu(), &x, &[IMAGES, D]);
    let apart = [1, 10, 100, 1000, 10_000].map(|samples| {
        let key = Key::new(1, stream::EVALUATE, 0);
        let bounds = iwae(&model, &batch, samples, key).unwrap();
        let bounds: Vec<f64> = bounds.iter().map(|bound| -bound).collect();
        compare(&format!("bound of {samples} samples"), &bounds, &exact).0
    });
    assert!(apart.is_sorted(), "{apart:?} does not rise");
    assert!(apart[4] < 0.01, "{} nats above log p(x)", apart[4]);
}
