//! Models with classes: a label is a bias in every layer, and nothing else.

use std::collections::HashMap;

use pixelloom::autograd::case::distance;
use pixelloom::models::halves::{loss_and_gradients, on_one_tape};
use pixelloom::models::pixel::{PixelConfig, PixelModel, Watch, sampler};
use pixelloom::models::{Autoregressive, Model};
use pixelloom::nn::Module;
use pixelloom::ops::random;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Error, Tape, Tensor};

use super::models::{self, BODIES};
use crate::common::devices;

const CLASSES: usize = 3;
const ROWS: usize = 6;

fn with_classes() -> PixelConfig {
    PixelConfig { classes: CLASSES, ..models::config((4, 5), 1, 2, 5) }
}

fn labels(device: &Device) -> (Vec<usize>, Tensor) {
    let labels: Vec<usize> = (0..ROWS).map(|i| i * 2 % CLASSES).collect();
    let numbers: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    (labels, Tensor::new(device, &numbers, &[ROWS]))
}

fn images(device: &Device, config: &PixelConfig) -> Tensor {
    let u = random::uniform(device, Key::new(4, stream::TEST, 0), &[ROWS, config.dims()]);
    let bits: Vec<f32> = u.to_vec().unwrap().iter().map(|u| u.round()).collect();
    Tensor::new(device, &bits, u.shape())
}

/// The model without classes whose biases are those of `model` with what the label `class` adds to them.
fn of_one_class(device: &Device, model: &PixelModel, body: usize, class: usize) -> PixelModel {
    let config = PixelConfig { classes: 0, ..model.net.config };
    let plain = models::model(device, BODIES[body], config, 1);
    let given: HashMap<String, Tensor> =
        model.parameters().into_iter().map(|(name, param)| (name, param.value())).collect();
    let biases: &[&str] =
        [&["conv"] as &[&str], &["lstm.input"], &["left.input", "right.input"]][body];
    for (name, param) in plain.parameters() {
        let mut value = given[&name].to_vec().unwrap();
        for (number, bias) in biases.iter().enumerate() {
            if let Some(layer) = name.strip_suffix(&format!(".{bias}.bias")) {
                let added = given[&format!("{layer}.condition.{number}.weight")].to_vec().unwrap();
                assert_eq!(added.len(), value.len() * CLASSES);
                let of_class = added.chunks(CLASSES).map(|of| of[class]);
                value.iter_mut().zip(of_class).for_each(|(value, added)| *value += added);
            }
        }
        param.set(Tensor::new(device, &value, given[&name].shape()));
    }
    plain
}

#[test]
fn a_label_is_a_bias_in_every_layer() {
    for device in devices() {
        for (body, kind) in BODIES.into_iter().enumerate() {
            let model = models::model(&device, kind, with_classes(), 7);
            let (classes, labels) = labels(&device);
            let x = images(&device, &model.net.config);
            let key = Key::new(0, stream::EVALUATE, 0);
            let nll = model.evaluate(&x, Some(&labels), key).unwrap().swap_remove(0).1;
            let mut spread = 0.0_f32;
            for class in 0..CLASSES {
                let plain = of_one_class(&device, &model, body, class);
                let expected = plain.evaluate(&x, None, key).unwrap().swap_remove(0).1;
                for i in 0..ROWS {
                    if classes[i] == class {
                        let d = (nll[i] - expected[i]).abs();
                        assert!(d < 1e-4, "{kind:?} on {}: image {i}: {d}", device.name());
                    } else {
                        spread = spread.max((nll[i] - expected[i]).abs());
                    }
                }
            }
            assert!(spread > 0.1, "{kind:?}: the label does not matter");
        }
    }
}

#[test]
fn samples_of_a_class_are_those_of_its_biases() {
    for device in devices() {
        for (body, kind) in BODIES.into_iter().enumerate() {
            let model = models::model(&device, kind, with_classes(), 8);
            let (classes, labels) = labels(&device);
            let what = format!("{kind:?} on {}", device.name());
            let key = Key::new(5, 0, 0);
            let draw = |model: &PixelModel, classes: &[usize]| {
                model.draw(&device, ROWS, classes, None, key, &mut Watch::nobody()).unwrap()
            };
            let drawn = draw(&model, &classes).to_vec().unwrap();
            let dims = model.net.config.dims();
            for class in 0..CLASSES {
                let plain = of_one_class(&device, &model, body, class);
                let all = draw(&plain, &[]).to_vec().unwrap();
                for i in (0..ROWS).filter(|&i| classes[i] == class) {
                    let range = i * dims..(i + 1) * dims;
                    assert_eq!(drawn[range.clone()], all[range], "{what}: image {i}");
                }
            }
            let shape = model.net.images(ROWS);
            let x = Tensor::new(&device, &drawn, &shape);
            let one_hot = model.net.one_hot(&labels);
            let tape = Tape::inference();
            let full =
                model.net.forward(&tape.constant(x.clone()), Some(&tape.constant(one_hot.clone())));
            let cached = sampler::logits(&model.net, &x, Some(&one_hot)).to_vec().unwrap();
            let d = distance(&cached, &full.value().to_vec().unwrap());
            assert!(d <= 1e-5, "{what}: logits differ by {d}");
        }
    }
}

#[test]
fn the_halves_of_a_batch_have_their_own_labels() {
    let device = Device::cpu();
    let rows = 16;
    for kind in BODIES {
        let model = models::model(&device, kind, with_classes(), 9);
        let config = &model.net.config;
        let u = random::uniform(&device, Key::new(6, stream::TEST, 0), &[rows, config.dims()]);
        let numbers: Vec<f32> = (0..rows).map(|i| (i / 8 + i % 2) as f32).collect();
        let labels = Tensor::new(&device, &numbers, &[rows]);
        let key = Key::new(1, 0, 0);
        let prepared = model.prepare(&u, Some(&labels), key).unwrap();
        let (whole, split) = (
            on_one_tape(&model, &u, &prepared, key),
            loss_and_gradients(&model, &u, &prepared, key),
        );
        let d = (whole.0.item().unwrap() - split.0.item().unwrap()).abs();
        assert!(d < 1e-4, "{kind:?}: losses differ by {d}");
        for (name, param) in model.parameters() {
            let of = |gradients: &pixelloom::autograd::Gradients| {
                gradients.param(param).expect("a gradient").to_vec().unwrap()
            };
            let d = distance(&of(&whole.1), &of(&split.1));
            assert!(d < 1e-4, "{kind:?}: gradients of {name} differ by {d}");
        }
    }
}

#[test]
fn wrong_labels_are_named() {
    let device = Device::cpu();
    let model = models::model(&device, BODIES[0], with_classes(), 1);
    let x = images(&device, &model.net.config);
    let key = Key::new(0, stream::EVALUATE, 0);
    let Err(Error::Config(message)) = model.evaluate(&x, None, key) else { panic!("no labels") };
    assert!(message.contains("labels"), "{message}");
    let wrong = Tensor::full(&device, 3.0, &[ROWS]);
    let Err(Error::Data(message)) = model.evaluate(&x, Some(&wrong), key) else {
        panic!("class 3")
    };
    assert!(
        message.contains("label 0 of a batch is 3, and the model has classes 0 to 2"),
        "{message}"
    );
}
