//! Sampling with cached states gives the same images as a full forward pass for every value.

use pixelloom::autograd::case::distance;
use pixelloom::models::pixel::{Body, Known, PixelConfig, PixelNet, Watch, sampler};
use pixelloom::models::{Autoregressive, Model};
use pixelloom::ops::pick::{Scale, pick};
use pixelloom::ops::random;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::models::{self, BODIES};
use crate::common::devices;

const ROWS: usize = 3;

/// Draws every value that is not given with a full forward pass.
fn naive(net: &PixelNet, known: Option<Known>, u: &Tensor, small: Option<&Tensor>) -> Vec<f32> {
    let [_, height, width, channels] = *u.shape() else { panic!("u") };
    let scale = Scale { mean: 0.0, std: 1.0, ..net.scale() };
    let blank = vec![0.0; u.len()];
    let start = known.map_or(blank, |known| known.images.to_vec().unwrap());
    let mut x = Tensor::new(u.device(), &start, u.shape());
    for pixel in 0..height * width {
        if known.is_some_and(|known| known.mask[pixel]) {
            continue;
        }
        for channel in 0..channels {
            let tape = Tape::inference();
            let small = small.map(|s| tape.constant(s.clone()));
            let logits = net.forward(&tape.constant(x.clone()), small.as_ref());
            let at = (pixel / width, pixel % width, channel);
            let logits = logits.value().clone();
            pick((&logits, u), scale, at, &mut x);
        }
    }
    x.to_vec().unwrap()
}

/// Configurations that take different paths through the sampler.
fn variants() -> Vec<PixelConfig> {
    let grey = models::config((4, 5), 1, 2, 5);
    let colour = models::config((3, 4), 3, 4, 4);
    vec![
        grey,
        colour,
        PixelConfig { skip: true, learned_states: true, ..grey },
        PixelConfig { residual: false, mean: 0.4, std: 0.3, ..colour },
        PixelConfig { kernel: 5, ..colour },
        PixelConfig { height: 1, width: 6, levels: 256, layers: 1, ..grey },
        PixelConfig { height: 5, width: 1, skip: true, layers: 3, ..grey },
    ]
}

/// The levels of values in 0..=1. The two samplers scale values differently, so on a GPU, whose division is inexact,
/// only the levels agree exactly.
fn levels(config: &PixelConfig, images: &[f32]) -> Vec<i64> {
    images.iter().map(|&x| (x * (config.levels - 1) as f32).round() as i64).collect()
}

/// A mask of given pixels: all but diagonal bands.
fn band(config: &PixelConfig) -> Vec<bool> {
    (0..config.height * config.width)
        .map(|p| !(p / config.width + p % config.width).is_multiple_of(3))
        .collect()
}

#[test]
fn cached_sampling_is_naive_sampling() {
    for device in devices() {
        for body in BODIES {
            for (number, config) in variants().into_iter().enumerate() {
                let net = models::model(&device, body, config, 20 + number as u64).net;
                let what = format!("{body:?} {config:?} on {}", device.name());
                let u = random::uniform(&device, Key::new(3, stream::TEST, 0), &net.images(ROWS));
                let drawn = sampler::fill(&net, None, &u, None, &mut Watch::nobody()).unwrap();
                let images = drawn.to_vec().unwrap();
                let expected = naive(&net, None, &u, None);
                assert!(distance(&images, &expected) < 1e-6, "{what}");
                assert_eq!(levels(&config, &images), levels(&config, &expected), "{what}");
                let varied = images.iter().any(|&x| x != images[0]);
                assert!(varied || images.len() < 20, "{what}: all the same");

                // The logits, computed with cached states and in one pass.
                let cached = sampler::logits(&net, &drawn, None);
                let tape = Tape::inference();
                let full = net.forward(&tape.constant(drawn), None);
                let d = distance(&cached.to_vec().unwrap(), &full.value().to_vec().unwrap());
                assert!(d <= 1e-5, "{what}: logits differ by {d}");

                // Completion: given first pixels, and given pixels in between.
                let given: Vec<f32> = (0..u.len())
                    .map(|i| (i * 5 % config.levels) as f32 / (config.levels - 1) as f32)
                    .collect();
                let given = Tensor::new(&device, &given, u.shape());
                let pixels = config.height * config.width;
                let prefix = (0..pixels).map(|p| p < pixels / 2).collect::<Vec<_>>();
                for mask in [prefix, band(&config)] {
                    let known = Some(Known { images: &given, mask: &mask });
                    let drawn = sampler::fill(&net, known, &u, None, &mut Watch::nobody()).unwrap();
                    let drawn = drawn.to_vec().unwrap();
                    let expected = naive(&net, known, &u, None);
                    assert!(distance(&drawn, &expected) < 1e-6, "{what}");
                    assert_eq!(levels(&config, &drawn), levels(&config, &expected), "{what}");
                    let given = given.to_vec().unwrap();
                    for (i, (drawn, given)) in drawn.iter().zip(&given).enumerate() {
                        let pixel = i / config.channels % pixels;
                        assert!(!mask[pixel] || (drawn - given).abs() < 1e-6, "{what}: value {i}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_chain_draws_stage_by_stage() {
    for device in devices() {
        for (body, size, factors) in
            [(BODIES[0], (4, 8), [2, 2]), (BODIES[1], (6, 6), [3, 2]), (BODIES[2], (4, 8), [2, 2])]
        {
            let config = PixelConfig { learned_states: true, ..models::config(size, 3, 4, 3) };
            let model = models::chain(&device, body, config, &factors, 7);
            let mut small: Option<Tensor> = None;
            for (k, net) in model.stages.iter().enumerate() {
                let key = Key::new(5, stream::SAMPLE + k as u32, 2);
                let u = random::uniform(&device, key, &net.images(ROWS));
                let x = naive(net, None, &u, small.as_ref());
                let fast =
                    sampler::fill(net, None, &u, small.as_ref(), &mut Watch::nobody()).unwrap();
                assert_eq!(distance(&fast.to_vec().unwrap(), &x), 0.0, "{body:?} stage {k}");
                small = Some(fast);
            }
            let whole = model.sample(&device, ROWS, Key::new(5, stream::SAMPLE, 2)).unwrap();
            assert_eq!(whole.to_vec().unwrap(), small.unwrap().to_vec().unwrap(), "{body:?}");
        }
    }
}

/// Completion with a chain keeps the given pixels, and its small images agree with them.
#[test]
fn a_chain_completes() {
    let device = Device::cpu();
    let config = models::config((4, 6), 1, 2, 3);
    let model = models::chain(&device, Body::RowLstm, config, &[2], 7);
    let x: Vec<f32> = (0..ROWS * 24).map(|i| f32::from(i % 5 < 2)).collect();
    let images = Tensor::new(&device, &x, &[ROWS, 24]);
    let mask: Vec<bool> = (0..24).map(|p| p < 12).collect();
    let mut frames = Vec::new();
    let mut film = |frame: Vec<f32>| frames.push(frame);
    let mut watch = Watch { progress: &|_, _| Ok(()), film: Some((4, &mut film)) };
    let known = Some(Known { images: &images, mask: &mask });
    let drawn = model.draw(&device, ROWS, &[], known, Key::new(1, 0, 0), &mut watch).unwrap();
    let drawn = drawn.to_vec().unwrap();
    for (i, (a, b)) in drawn.iter().zip(&x).enumerate() {
        assert!(i % 24 >= 12 || a == b, "value {i}");
    }
    // The film starts with the enlarged small image, with the given pixels in place.
    assert!(frames.len() > 6 && frames.iter().all(|f| f.len() == ROWS * 24));
    let first = &frames[0];
    assert_eq!((first[0], first[1], first[6], first[7]), (x[0], x[0], x[0], x[0]));
    assert_eq!(frames.last().unwrap(), &drawn);
}

/// Neither the number of threads, among which the images of a batch are split, nor watching changes the images.
#[test]
fn threads_and_watching_change_nothing() {
    let config = models::config((5, 6), 1, 2, 8);
    let draw = |threads: usize, watched: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let device = Device::cpu();
            let model = models::model(&device, Body::DiagBilstm, config, 2);
            let (mut frames, last) = (0, std::sync::atomic::AtomicUsize::new(0));
            let mut film = |_: Vec<f32>| frames += 1;
            let progress = |done: usize, total: usize| {
                assert_eq!(total, 30);
                last.fetch_max(done, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            };
            let film = watched.then_some((7, &mut film as &mut dyn FnMut(Vec<f32>)));
            let mut watch = Watch { progress: &progress, film };
            let x = model.draw(&device, 7, &[], None, Key::new(1, 0, 0), &mut watch).unwrap();
            assert_eq!(last.into_inner(), 30);
            assert_eq!(frames, if watched { 6 } else { 0 });
            x.to_vec().unwrap()
        })
    };
    let one = draw(1, false);
    assert_eq!(one, draw(2, false));
    assert_eq!(one, draw(4, false));
    assert_eq!(one, draw(2, true));
}

/// Memory depends on the images that are drawn at a time, not on the total number. The split into parts does not
/// change the images.
#[test]
fn memory_does_not_grow_with_the_images() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for body in BODIES {
        // The feature maps of each image take 6 to 20 MiB at this size.
        let config = models::config((48, 48), 1, 2, 64);
        let draw = |rows: usize| {
            pool.install(|| {
                let device = Device::cpu();
                let model = models::model(&device, body, config, 2);
                let draw = || model.sample(&device, rows, Key::new(1, 0, 0)).unwrap();
                let (x, bytes) = device.most_bytes(draw);
                (x.to_vec().unwrap(), bytes)
            })
        };
        let ((few, of_few), (many, of_many)) = (draw(8), draw(32));
        assert_eq!(few, many[..few.len()], "{body:?}");
        assert!(of_many < 2 * of_few, "{body:?}: {of_few} bytes for 8 images, {of_many} for 32");
        println!("{body:?}: {of_few} bytes for 8 images, {of_many} for 32");
    }
}
