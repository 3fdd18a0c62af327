//! For every kind of model on every device: the probabilities of all images sum to one, and samples have these
//! probabilities.

use pixelloom::models::Model;
use pixelloom::models::pixel::{MultiScale, PixelConfig};
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::models::{self, BODIES};
use crate::common::{devices, fast_devices};

/// All images of `dims` values with `levels` levels, scaled to \[0, 1\], in lexicographic order.
fn all_images(dims: usize, levels: usize) -> Vec<f32> {
    let count = levels.pow(dims as u32);
    let digit = |image: usize, d: usize| image / levels.pow((dims - 1 - d) as u32) % levels;
    (0..count)
        .flat_map(|image| (0..dims).map(move |d| digit(image, d) as f32 / (levels - 1) as f32))
        .collect()
}

/// The index of each image in [`all_images`].
fn number_of(images: &[f32], dims: usize, levels: usize) -> Vec<usize> {
    let level = |x: f32| (x * (levels - 1) as f32).round() as usize;
    images.chunks(dims).map(|image| image.iter().fold(0, |n, &x| n * levels + level(x))).collect()
}

/// Probabilities of all images, from the model's evaluation.
fn probabilities(model: &dyn Model, device: &Device, dims: usize, levels: usize) -> Vec<f64> {
    let images = all_images(dims, levels);
    let x = Tensor::new(device, &images, &[images.len() / dims, dims]);
    let nll = model.evaluate(&x, None, Key::new(0, stream::EVALUATE, 0)).unwrap().swap_remove(0).1;
    nll.iter().map(|&n| f64::from(-n).exp()).collect()
}

fn sums_to_one(p: &[f64], what: &str) {
    let sum: f64 = p.iter().sum();
    assert!((sum - 1.0).abs() <= 1e-5, "{what}: probabilities sum to {sum}");
    // The distribution must be far from uniform, since a uniform one would hide many errors.
    let (low, high) = p.iter().fold((1.0_f64, 0.0_f64), |(l, h), &p| (l.min(p), h.max(p)));
    assert!(high > 2.0 * low, "{what}: {low} to {high}");
}

/// Images of (height, width), channels, levels.
const SHAPES: [((usize, usize), usize, usize); 3] =
    [((2, 2), 1, 2), ((1, 2), 3, 2), ((2, 2), 1, 3)];

#[test]
fn probabilities_sum_to_one() {
    for device in devices() {
        for body in BODIES {
            for (size, channels, levels) in SHAPES {
                let config = models::config(size, channels, levels, 4);
                let model = models::model(&device, body, config, 3);
                let p = probabilities(&model, &device, config.dims(), levels);
                assert_eq!(p.len(), levels.pow(config.dims() as u32));
                sums_to_one(&p, &format!("{body:?} {config:?} on {}", device.name()));
            }
        }
        for body in [BODIES[0], BODIES[1]] {
            let config = PixelConfig { kernel: 7, ..models::config((3, 3), 1, 2, 4) };
            let model = models::model(&device, body, config, 3);
            let p = probabilities(&model, &device, 9, 2);
            sums_to_one(&p, &format!("{body:?} {config:?} on {}", device.name()));
        }
    }
}

/// p(x | small) of all images x \[images, dims\] by the last stage, for one small image.
fn conditional(model: &MultiScale, device: &Device, small: &[f32], levels: usize) -> Vec<f64> {
    let net = model.stages.last().unwrap();
    let images = all_images(net.config.dims(), levels);
    let count = images.len() / net.config.dims();
    let tape = Tape::inference();
    let x = tape.constant(Tensor::new(device, &images, &net.images(count)));
    let small: Vec<f32> = (0..count).flat_map(|_| small.to_vec()).collect();
    let shape = model.stages[model.stages.len() - 2].images(count);
    let small = tape.constant(Tensor::new(device, &small, &shape));
    let nll = net.nll(&x, Some(&small)).value().to_vec().unwrap();
    nll.iter().map(|&n| f64::from(-n).exp()).collect()
}

#[test]
fn a_conditional_model_sums_to_one_for_each_small_image() {
    for device in devices() {
        for body in BODIES {
            let config = models::config((2, 2), 1, 2, 5);
            let model = models::chain(&device, body, config, &[2], 4);
            let both = [0.0, 1.0].map(|small| conditional(&model, &device, &[small], 2));
            for p in &both {
                sums_to_one(p, &format!("{body:?} on {}", device.name()));
            }
            let apart = both[0].iter().zip(&both[1]).any(|(a, b)| (a - b).abs() > 0.01);
            assert!(apart, "{body:?}: the small image does not matter");
            // Colour, and two conditional stages.
            let colour = models::config((2, 4), 3, 2, 3);
            let model = models::chain(&device, body, colour, &[2], 4);
            for small in [[0.0, 1.0, 0.0, 1.0, 1.0, 0.0], [1.0; 6]] {
                // There are 2^24 images, too many to enumerate, so sum over the last two values given the others.
                let net = &model.stages[1];
                let images: Vec<f32> = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
                    .into_iter()
                    .flat_map(|last| {
                        (0..22).map(|i| f32::from(i % 3 == 0)).chain(last).collect::<Vec<_>>()
                    })
                    .collect();
                let tape = Tape::inference();
                let x = tape.constant(Tensor::new(&device, &images, &net.images(4)));
                let small = tape.constant(Tensor::new(&device, &small.repeat(4), &[4, 1, 2, 3]));
                let p: Vec<f64> = (net.nll(&x, Some(&small)).value().to_vec().unwrap().iter())
                    .map(|&n| f64::from(-n))
                    .collect();
                let total: f64 = p.iter().map(|p| p.exp()).sum();
                // With the last values flipped, the sum runs over the same images.
                let flipped: Vec<f32> = images
                    .iter()
                    .enumerate()
                    .map(|(i, &v)| if i % 24 == 23 { 1.0 - v } else { v })
                    .collect();
                let x = tape.constant(Tensor::new(&device, &flipped, &net.images(4)));
                let again: f64 = (net.nll(&x, Some(&small)).value().to_vec().unwrap().iter())
                    .map(|&n| f64::from(-n).exp())
                    .sum();
                assert!((total / again - 1.0).abs() <= 1e-4, "{total} and {again}");
            }
        }
    }
}

const SAMPLES: usize = 200_000;

/// Pearson's chi-square statistic of counts against probabilities.
fn chi_square(counts: &[usize], p: &[f64]) -> f64 {
    let n = counts.iter().sum::<usize>() as f64;
    counts.iter().zip(p).map(|(&k, &p)| (k as f64 - n * p).powi(2) / (n * p)).sum()
}

/// The number of times that each image is drawn.
fn draw(model: &dyn Model, device: &Device, dims: usize, levels: usize) -> Vec<usize> {
    let x = model.sample(device, SAMPLES, Key::new(11, stream::SAMPLE, 0)).unwrap();
    let mut counts = vec![0; levels.pow(dims as u32)];
    for number in number_of(&x.to_vec().unwrap(), dims, levels) {
        counts[number] += 1;
    }
    counts
}

/// The 99.9th percentile of chi-square, by degrees of freedom.
const LIMITS: [(usize, f64); 3] = [(15, 37.70), (63, 103.44), (80, 124.84)];

fn limit(outcomes: usize) -> f64 {
    LIMITS.iter().find(|(degrees, _)| *degrees == outcomes - 1).unwrap().1
}

#[test]
fn samples_have_the_exact_probabilities() {
    for device in fast_devices() {
        for body in BODIES {
            // A software GPU is slow, so it draws binary images only.
            let shapes = if device.is_cpu() { &SHAPES[..] } else { &SHAPES[..1] };
            for &(size, channels, levels) in shapes {
                let config = models::config(size, channels, levels, 4);
                let model = models::model(&device, body, config, 3);
                let p = probabilities(&model, &device, config.dims(), levels);
                let counts = draw(&model, &device, config.dims(), levels);
                let what = format!("{body:?} {config:?} on {}", device.name());
                let chi = chi_square(&counts, &p);
                assert!(chi <= limit(p.len()), "{what}: chi-square {chi}");
                // The probabilities of another model must fail.
                let other = models::model(&device, body, config, 8);
                let q = probabilities(&other, &device, config.dims(), levels);
                assert!(chi_square(&counts, &q) > 10.0 * limit(p.len()), "{what}");
            }
        }
    }
}

#[test]
fn samples_of_a_chain_have_the_exact_probabilities() {
    for device in fast_devices() {
        for body in BODIES {
            let config = models::config((2, 2), 1, 2, 3);
            let model = models::chain(&device, body, config, &[2], 4);
            // p(x) = sum over small images of p(small) p(x | small).
            let tape = Tape::inference();
            let small = tape.constant(Tensor::new(&device, &[0.0, 1.0], &[2, 1, 1, 1]));
            let first = model.stages[0].nll(&small, None).value().to_vec().unwrap();
            let mut p = vec![0.0; 16];
            for (small, nll) in [0.0, 1.0].into_iter().zip(first) {
                for (p, q) in p.iter_mut().zip(conditional(&model, &device, &[small], 2)) {
                    *p += f64::from(-nll).exp() * q;
                }
            }
            let counts = draw(&model, &device, 4, 2);
            let chi = chi_square(&counts, &p);
            assert!(chi <= limit(16), "{body:?} on {}: chi-square {chi}", device.name());
        }
    }
}

/// The bound of a chain is the sum over its stages, and each small image consists of every second pixel.
#[test]
fn a_chain_adds_up_its_stages() {
    let config = models::config((4, 4), 1, 2, 3);
    let model = models::chain(&Device::cpu(), BODIES[0], config, &[2, 2], 4);
    let x: Vec<f32> = (0..16).map(|i| f32::from([0, 3, 5, 8, 10, 12].contains(&i))).collect();
    let x = Tensor::new(&Device::cpu(), &x, &[1, 16]);
    let parts = model.evaluate(&x, None, Key::new(0, 0, 0)).unwrap();
    let names: Vec<_> = parts.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(names, ["bound", "stage 0", "stage 1", "stage 2"]);
    let sum: f32 = parts[1..].iter().map(|(_, v)| v[0]).sum();
    assert!((parts[0].1[0] - sum).abs() < 1e-5);
    let tape = Tape::inference();
    let images = model.pyramid(&tape.constant(x.reshape(&[1, 4, 4, 1])));
    assert_eq!(images[1].value().to_vec().unwrap(), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(images[0].value().to_vec().unwrap(), [1.0]);
    // If a single stage is trained, only that stage has a gradient.
    let only = models::chain(&Device::cpu(), BODIES[0], config, &[2, 2], 4);
    let only = MultiScale {
        config: pixelloom::models::pixel::MultiScaleConfig { stage: Some(1), ..only.config },
        stages: only.stages,
    };
    let tape = Tape::new();
    let loss = only.loss(&tape.constant(x), &[], Key::new(0, 0, 0));
    assert!((loss.value().item().unwrap() - parts[2].1[0]).abs() < 1e-5);
    let gradients = tape.backward_from(&loss);
    for (name, param) in pixelloom::nn::Module::parameters(&only) {
        let reached = gradients.param(param).is_some();
        assert_eq!(reached, name.starts_with("stages.1."), "{name}");
    }
}
