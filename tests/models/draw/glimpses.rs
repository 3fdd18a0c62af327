//! Glimpses: fresh noise at each one, the KL divergence, the decoder, samples from the prior, the exact likelihood.

use pixelloom::models::draw::{Draw, DrawConfig};
use pixelloom::models::iwae::iwae;
use pixelloom::models::{Model, Weighted};
use pixelloom::nn::Module;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor, Var};

use crate::common;

/// A small model of 6 x 5 images with T glimpses and Z latent dimensions, T != Z.
fn config(attention: bool) -> DrawConfig {
    DrawConfig {
        height: 6,
        width: 5,
        channels: 1,
        glimpses: 4,
        hidden: 12,
        latent: 3,
        attention,
        read: 3,
        write: 2,
        learned_states: true,
        beta: 1.0,
        kl_warmup: 0,
    }
}

/// The model with normal noise of standard deviation `far` added to all parameters, including the initial states.
fn moved(device: &Device, config: DrawConfig, far: f32) -> Draw {
    let model = Draw::new(device, config, 5);
    for (number, (_, param)) in model.parameters().into_iter().enumerate() {
        let key = Key::new(2, stream::TEST + number as u32, 0);
        let mut values = param.value().to_vec().unwrap();
        for (i, v) in values.iter_mut().enumerate() {
            *v += far * pixelloom::rng::normal(key, i as u64);
        }
        param.set(Tensor::new(device, &values, param.value().shape()));
    }
    model
}

fn model(device: &Device, config: DrawConfig) -> Draw {
    moved(device, config, 0.3)
}

fn images(device: &Device, count: usize, config: &DrawConfig) -> Tensor {
    let key = Key::new(3, stream::TEST, 0);
    let n = count * config.dims();
    let x: Vec<f32> = (0..n as u64).map(|i| f32::from(key.uniform(i) < 0.4)).collect();
    Tensor::new(device, &x, &[count, config.dims()])
}

/// (z - mu) / sigma of every glimpse.
fn noise_of(model: &Draw, x: &Tensor, noise: &Tensor) -> Vec<Vec<f32>> {
    let (tape, latent) = (Tape::inference(), model.config.latent);
    let mut all = Vec::new();
    model.bound(&tape.constant(x.clone()), noise, &mut |glimpse| {
        let mu = glimpse.m.slice(1, 0, latent);
        let sigma = glimpse.m.slice(1, latent as i64, latent).exp();
        all.push(glimpse.z().sub(&mu).div(&sigma).value().to_vec().unwrap());
    });
    all
}

/// Checks that no two glimpses share noise, and that their noise is standard normal.
fn fresh(noise: &[Vec<f32>]) -> Result<(), String> {
    let count = noise[0].len() as f64;
    for (i, a) in noise.iter().enumerate() {
        let (mean, square) = a.iter().fold((0.0, 0.0), |(m, s), &v| {
            (m + f64::from(v) / count, s + f64::from(v).powi(2) / count)
        });
        if !(mean.abs() < 0.1 && (square - 1.0).abs() < 0.15) {
            return Err(format!("glimpse {i}: mean {mean}, mean square {square}"));
        }
        for (j, b) in noise.iter().enumerate().skip(i + 1) {
            let dot: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            if !((dot / count).abs() < 0.1) {
                return Err(format!("glimpses {i} and {j} have correlation {}", dot / count));
            }
        }
    }
    Ok(())
}

#[test]
fn every_glimpse_has_fresh_noise() {
    let device = Device::cpu();
    let model = model(&device, config(true));
    let x = images(&device, 700, &model.config);
    let key = Key::new(1, stream::LATENT, 0);
    let noise = model.noise(&device, 700, key);
    fresh(&noise_of(&model, &x, &noise)).unwrap();
    let next = noise_of(&model, &x, &model.noise(&device, 700, Key { step: 1, ..key }));
    assert!(fresh(&[noise_of(&model, &x, &noise), next].concat()).is_ok(), "steps share noise");
    // The fault: one tensor for all glimpses.
    let one = noise.to_vec().unwrap()[..700 * 3].repeat(4);
    let one = Tensor::new(&device, &one, &[4, 700, 3]);
    assert!(fresh(&noise_of(&model, &x, &one)).is_err(), "one tensor for all glimpses passes");
}

/// The KL divergence in nats of T glimpses that all have the same m = (mu, log sigma) \[2Z\]; takes m, T and Z.
type Kl<'a> = &'a dyn Fn(&[f32], usize, usize) -> f64;

/// Checks that the KL is 0 for q = N(0, I) with any T and Z, and that it agrees with sampling for another q.
fn kl_is_right(kl: Kl) -> Result<(), String> {
    for (glimpses, latent) in [(1, 1), (4, 3), (2, 7), (64, 10)] {
        let zero = kl(&vec![0.0; 2 * latent], glimpses, latent);
        if !(zero.abs() < 1e-4) {
            return Err(format!("{zero} nats at the prior with T = {glimpses}, Z = {latent}"));
        }
    }
    // Monte Carlo estimate: the mean of log q(z) - log p(z).
    let (mu, s) = ([0.7_f64, -0.4, 0.2], [-0.3_f64, 0.2, -0.8]);
    let m: Vec<f32> = mu.iter().chain(&s).map(|&v| v as f32).collect();
    let key = Key::new(9, stream::TEST, 0);
    let draws = 200_000;
    let mut mean = 0.0;
    for i in 0..draws {
        for j in 0..3 {
            let eps = f64::from(pixelloom::rng::normal(key, 3 * i + j as u64));
            let z = mu[j] + s[j].exp() * eps;
            mean += (-s[j] - 0.5 * eps * eps + 0.5 * z * z) / draws as f64;
        }
    }
    let got = kl(&m, 1, 3);
    if !((got - mean).abs() < 0.01) {
        return Err(format!("{got} nats, sampled {mean}"));
    }
    Ok(())
}

#[test]
fn kl_is_zero_at_the_prior_and_agrees_with_sampling() {
    for device in common::devices() {
        kl_is_right(&|m, glimpses, latent| {
            let tape = Tape::inference();
            let m = tape.constant(Tensor::new(&device, m, &[1, 2 * latent]));
            let eps = Tensor::zeros(&device, &[glimpses, 1, latent]);
            (0..glimpses)
                .map(|t| f64::from(m.latent(&eps, t)[1].value().to_vec().unwrap()[0]))
                .sum()
        })
        .unwrap();
    }
    // The fault: the constant T / 2 of equation 11 subtracted once, not once per latent dimension.
    let without_z = kl_is_right(&|m, glimpses, latent| {
        let (mu, s) = m.split_at(latent);
        let sum: f64 =
            mu.iter().zip(s).map(|(&mu, &s)| f64::from(mu * mu + (2.0 * s).exp() - 2.0 * s)).sum();
        glimpses as f64 * 0.5 * (sum - 1.0)
    });
    assert!(without_z.is_err(), "a constant without Z passes");
}

#[test]
fn the_decoder_alone_gives_the_same_canvases_for_the_same_latents() {
    for device in common::devices() {
        for attention in [true, false] {
            let model = model(&device, config(attention));
            let x = images(&device, 5, &model.config);
            let noise = model.noise(&device, 5, Key::new(1, stream::LATENT, 0));
            let tape = Tape::inference();
            let (mut z, mut canvases) = (Vec::new(), Vec::new());
            model.bound(&tape.constant(x.clone()), &noise, &mut |glimpse| {
                z.extend(glimpse.z().value().to_vec().unwrap());
                canvases.push(glimpse.canvas.value().to_vec().unwrap());
            });
            let z = Tensor::new(&device, &z, &[4, 5, 3]);
            let mut seen = 0;
            model.decode(&z, &mut |t, canvas, _| {
                assert_eq!(canvas.to_vec().unwrap(), canvases[t], "glimpse {t}");
                seen += 1;
            });
            assert_eq!(seen, 4);
        }
    }
}

/// Checks that images are drawn from the prior: they equal the decoder's output for standard normal latents, and do
/// not depend on any image at hand.
fn from_the_prior(model: &Draw, draw: &dyn Fn(&Tensor, Key) -> Vec<f32>) -> Result<(), String> {
    let device = Device::cpu();
    let key = Key::new(4, stream::SAMPLE, 0);
    let [a, b] = [0.0, 1.0].map(|v| Tensor::full(&device, v, &[6, model.config.dims()]));
    if draw(&a, key) != draw(&b, key) {
        return Err("samples depend on the images at hand".into());
    }
    let mut last = Vec::new();
    model.decode(&model.noise(&device, 6, key), &mut |_, canvas, _| {
        last = canvas.to_vec().unwrap();
    });
    let means = last.iter().map(|&c| 1.0 / (1.0 + (-c).exp()));
    let worst = means.zip(draw(&a, key)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    if !(worst < 1e-5) {
        return Err(format!("not the decoder's image of the prior: {worst}"));
    }
    Ok(())
}

#[test]
fn samples_come_from_the_prior() {
    let device = Device::cpu();
    let model = model(&device, config(true));
    from_the_prior(&model, &|_, key| model.sample(&device, 6, key).unwrap().to_vec().unwrap())
        .unwrap();
    let traced = model.imagine(&device, 6, Key::new(4, stream::SAMPLE, 0)).unwrap();
    from_the_prior(&model, &|_, _| traced.frames[3].canvas.clone()).unwrap();
    // The fault: reconstructions shown as samples.
    let copies = from_the_prior(&model, &|x, key| {
        model.reconstruct(x, key).unwrap().frames[3].canvas.clone()
    });
    assert!(copies.is_err(), "reconstructions pass for samples");
}

/// With one glimpse and one latent dimension, p(x) is an integral over a line.
#[test]
fn importance_weights_approach_the_exact_likelihood() {
    for attention in [true, false] {
        let device = Device::cpu();
        let sizes = DrawConfig { glimpses: 1, latent: 1, ..config(attention) };
        let model = moved(&device, sizes, 0.15);
        let x = images(&device, 6, &model.config);
        let exact = integral(&model, &x);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let key = |step| Key::new(8, stream::EVALUATE, step);
        let averaged = |k: usize, times: u32| {
            let all: Vec<f64> =
                (0..times).map(|s| mean(&iwae(&model, &x, k, key(s)).unwrap())).collect();
            mean(&all)
        };
        let bound: Vec<f64> = (0..2000)
            .map(|s| {
                let parts = model.evaluate(&x, None, key(s)).unwrap();
                mean(&parts[0].1.iter().map(|&v| f64::from(v)).collect::<Vec<_>>())
            })
            .collect();
        let (elbo, two, many) = (mean(&bound), averaged(2, 1000), averaged(5000, 1));
        let exact = mean(&exact);
        assert!(elbo > two + 0.01 && two > many + 0.01, "{elbo}, {two}, {many}");
        assert!((many - exact).abs() < 0.02, "IWAE-5000 {many}, exact {exact}");
    }
}

/// -log of the integral of p(x|z) N(z; 0, 1) over z in \[-8, 8\].
fn integral(model: &Draw, x: &Tensor) -> Vec<f64> {
    let (points, step) = (1601, 0.01);
    let z: Vec<f32> = (0..points).map(|i| -8.0 + step * i as f32).collect();
    let z = Tensor::new(x.device(), &z, &[1, points, 1]);
    let mut logits = Vec::new();
    model.decode(&z, &mut |_, canvas, _| logits = canvas.to_vec().unwrap());
    let dims = model.config.dims();
    let density = |i: usize, x: &[f32]| {
        let z = -8.0 + 0.01 * i as f64;
        let log_p: f64 = logits[i * dims..][..dims]
            .iter()
            .zip(x)
            .map(|(&l, &x)| {
                let l = f64::from(if x > 0.5 { l } else { -l });
                -(-l).exp().ln_1p()
            })
            .sum();
        (log_p - 0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * 0.01
    };
    let rows = x.to_vec().unwrap();
    rows.chunks(dims).map(|x| -(0..points).map(|i| density(i, x)).sum::<f64>().ln()).collect()
}

/// Row l B + i of the log weights belongs to image i: the means for three very different images equal those of each
/// image alone.
#[test]
fn log_weights_are_in_the_order_of_the_images() {
    let device = Device::cpu();
    let model = model(&device, config(true));
    let random = images(&device, 1, &model.config).to_vec().unwrap();
    let all = [vec![0.0; 30], random, vec![1.0; 30]];
    let weights = |x: &[f32], samples, step| {
        let x = Tensor::new(&device, x, &[x.len() / 30, 30]);
        model.log_weights(&x, samples, Key::new(step, 0, 0)).unwrap().to_vec().unwrap()
    };
    let mean = |w: &[f32]| w.iter().sum::<f32>() / w.len() as f32;
    let together = weights(&all.concat(), 400, 1);
    assert_eq!(together.len(), 1200);
    let alone: Vec<f32> = all.iter().map(|x| mean(&weights(x, 400, 2))).collect();
    for (image, &alone_) in alone.iter().enumerate() {
        let own: Vec<f32> = together.iter().skip(image).step_by(3).copied().collect();
        assert!((alone_ - mean(&own)).abs() < 0.7, "image {image}: {alone_}, {}", mean(&own));
        let next = alone[(image + 1) % 3];
        assert!((alone_ - next).abs() > 2.0, "images {alone:?} are too alike to be told apart");
    }
}

/// Gradients of all parameters, including the learned initial states, against finite differences of the loss.
#[test]
fn gradients_of_the_whole_network() {
    for (attention, channels) in [(true, 1), (true, 3), (false, 1), (false, 3)] {
        let device = Device::cpu();
        let model = model(&device, DrawConfig { channels, ..config(attention) });
        let x = images(&device, 2, &model.config);
        let key = Key::new(6, stream::LATENT, 0);
        let loss = |record: bool| -> (f64, Option<Vec<Vec<f32>>>) {
            let tape = if record { Tape::new() } else { Tape::inference() };
            let loss: Var = model.loss(&tape.constant(x.clone()), &[], key);
            let value = f64::from(loss.value().item().unwrap());
            if !record {
                return (value, None);
            }
            let gradients = tape.backward_from(&loss);
            let of = |p| gradients.param(p).expect("every parameter has one").to_vec().unwrap();
            (value, Some(model.parameters().iter().map(|(_, p)| of(p)).collect()))
        };
        let gradients = loss(true).1.unwrap();
        for ((name, param), gradient) in model.parameters().iter().zip(&gradients) {
            // Differences along the gradient itself, where the loss changes most.
            let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 1e-4, "{name} has no gradient");
            let kept = param.value();
            let at = |h: f64| {
                let moved = kept.to_vec().unwrap();
                let moved: Vec<f32> = moved
                    .iter()
                    .zip(gradient)
                    .map(|(&v, &g)| (f64::from(v) + h * f64::from(g) / norm) as f32)
                    .collect();
                param.set(Tensor::new(&device, &moved, kept.shape()));
                loss(false).0
            };
            // Small compared with the curvature of the loss, large compared with its rounding.
            let h = 0.005;
            let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            param.set(kept);
            assert!((numeric - norm).abs() < 2e-3 * (0.1 + norm), "{name}: {numeric}, {norm}");
        }
    }
}
