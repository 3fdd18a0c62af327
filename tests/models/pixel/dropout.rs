//! Dropout applies in training only, independently in every layer and network, and preserves the mean.

use std::collections::HashMap;

use pixelloom::models::Model;
use pixelloom::models::pixel::{Body, MultiScale, MultiScaleConfig, PixelConfig, PixelModel};
use pixelloom::nn::Module;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::models::{BODIES, config, redraw};

const RATE: f32 = 0.4;

fn key(step: u32) -> Key {
    Key::new(7, stream::TEST, step)
}

fn images(device: &Device, rows: usize, dims: usize) -> Tensor {
    let x: Vec<f32> =
        (0..(rows * dims) as u64).map(|i| f32::from(key(0).uniform(i) < 0.5)).collect();
    Tensor::new(device, &x, &[rows, dims])
}

fn loss(model: &dyn Model, x: &Tensor, key: Key) -> f32 {
    let tape = Tape::inference();
    model.loss(&tape.constant(x.clone()), &[], key).value().to_vec().unwrap()[0]
}

fn evaluated(model: &dyn Model, x: &Tensor) -> Vec<f32> {
    model.evaluate(x, None, key(1)).unwrap().swap_remove(0).1
}

/// Two models with the same weights, without and with dropout.
fn pair(body: Body, config: PixelConfig) -> [PixelModel; 2] {
    [0.0, RATE].map(|dropout| {
        let model = PixelModel::new(&Device::cpu(), body, PixelConfig { dropout, ..config }, 0);
        redraw(&model, 3, (-0.9, 0.9));
        model
    })
}

#[test]
fn dropout_applies_in_training_and_not_in_evaluation() {
    for body in BODIES {
        let [plain, dropping] = pair(body, config((5, 4), 1, 2, 4));
        let x = images(&Device::cpu(), 3, 20);
        assert_eq!(evaluated(&dropping, &x), evaluated(&plain, &x), "{body:?}");
        let exact = evaluated(&plain, &x).iter().sum::<f32>() / 3.0;
        assert!((loss(&plain, &x, key(1)) - exact).abs() <= 1e-5 * exact, "{body:?}");
        let drawn = loss(&dropping, &x, key(1));
        assert_ne!(drawn, loss(&plain, &x, key(1)), "{body:?}");
        assert_eq!(drawn, loss(&dropping, &x, key(1)), "{body:?}: not determined by the key");
        assert_ne!(drawn, loss(&dropping, &x, key(2)), "{body:?}: two steps share noise");
    }
}

/// With one layer, and a head that is linear because everything is positive, the mean of the logits over many draws
/// equals the logits without dropout.
#[test]
fn the_mean_stays() {
    for body in BODIES {
        let config = PixelConfig { layers: 1, ..config((3, 3), 1, 2, 4) };
        let [plain, dropping] = pair(body, config);
        for model in [&plain, &dropping] {
            redraw(model, 4, (0.05, 0.3));
        }
        let tape = Tape::inference();
        let x = tape.constant(images(&Device::cpu(), 1, 9).reshape(&[1, 3, 3, 1]));
        let exact = plain.net.forward(&x, None).value().to_vec().unwrap();
        let draws = 4000;
        let mut sums = [[0.0_f64; 9]; 2];
        for step in 0..draws {
            let logits = dropping.net.forward_with(&x, None, Some(key(step)));
            for (i, &l) in logits.value().to_vec().unwrap().iter().enumerate() {
                sums[0][i] += f64::from(l);
                sums[1][i] += f64::from(l) * f64::from(l);
            }
        }
        let n = f64::from(draws);
        for i in 0..9 {
            let mean = sums[0][i] / n;
            let error = ((sums[1][i] / n - mean * mean) / n).sqrt();
            assert!(error > 0.0, "{body:?}, pixel {i}: nothing was dropped");
            let off = (mean - f64::from(exact[i])).abs();
            assert!(off <= 4.5 * error, "{body:?}, pixel {i}: {mean} for {}, {error}", exact[i]);
        }
    }
}

/// If the first layer adds nothing to the residual stream, only the noise of the second layer matters.
#[test]
fn layers_have_independent_noise() {
    let device = Device::cpu();
    let net = PixelConfig { dropout: RATE, ..config((4, 4), 1, 2, 4) };
    let two = PixelModel::new(&device, BODIES[0], net, 0);
    redraw(&two, 3, (-0.9, 0.9));
    let one = PixelModel::new(&device, BODIES[0], PixelConfig { layers: 1, ..net }, 0);
    let parameters: HashMap<String, _> = two.parameters().into_iter().collect();
    for (name, param) in &parameters {
        if name.starts_with("layers.0.up") {
            param.set(Tensor::zeros(&device, param.value().shape()));
        }
    }
    for (name, param) in one.parameters() {
        param.set(parameters[&name.replace("layers.0", "layers.1")].value().clone());
    }
    let tape = Tape::inference();
    let x = tape.constant(images(&device, 2, 16).reshape(&[2, 4, 4, 1]));
    let logits = |model: &PixelModel, stream: u32| {
        let key = Key { stream, ..key(1) };
        model.net.forward_with(&x, None, Some(key)).value().to_vec().unwrap()
    };
    assert_eq!(logits(&two, 50), logits(&one, 51));
    assert_ne!(logits(&two, 50), logits(&one, 50));
}

#[test]
fn networks_of_a_chain_have_independent_noise() {
    let device = Device::cpu();
    let net = PixelConfig { dropout: RATE, ..config((4, 4), 1, 2, 4) };
    let model = |stage| {
        let chain = MultiScaleConfig::new(BODIES[0], net, vec![2]);
        let model = MultiScale::new(&device, MultiScaleConfig { stage, ..chain }, 0);
        redraw(&model, 3, (-0.9, 0.9));
        model
    };
    let x = images(&device, 2, 16);
    let [first, second, both] =
        [Some(0), Some(1), None].map(|stage| loss(&model(stage), &x, key(1)));
    assert!((first + second - both).abs() < 1e-4, "{first} + {second}, {both}");
    let tape = Tape::inference();
    let image = tape.constant(x.reshape(&[2, 4, 4, 1]));
    let chain = model(None);
    let images = chain.pyramid(&image);
    let by_stream = |stream: u32| {
        let key = Key { stream, ..key(1) };
        let nll = chain.stages[1].nll_with(&images[1], Some(&images[0]), Some(key));
        nll.mean().value().to_vec().unwrap()[0]
    };
    // The streams of the second network start after the 1024 that are reserved for the layers of the first.
    assert_eq!(second, by_stream(stream::DROPOUT + 1024));
    assert_ne!(second, by_stream(stream::DROPOUT));
}
