//! The models learn what they should, and do not learn what lies outside their receptive field.

use pixelloom::models::Model;
use pixelloom::models::pixel::{Body, PixelConfig, PixelModel};
use pixelloom::nn::{Optimizer, OptimizerConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor};

use super::models::BODIES;

/// Mean nats/image of the images `x` after training on them with Adam.
fn trained(body: Body, config: PixelConfig, x: &[f32], steps: usize, rate: f32) -> f64 {
    let device = Device::cpu();
    let model = PixelModel::new(&device, body, config, 1);
    let mut optimizer = Optimizer::new(OptimizerConfig {
        clip: Some(5.0),
        ..OptimizerConfig::new(Rule::Adam, rate)
    });
    let x = Tensor::new(&device, x, &[x.len() / config.dims(), config.dims()]);
    let key = Key::new(0, stream::TEST, 0);
    for _ in 0..steps {
        let tape = Tape::new();
        let loss = model.loss(&tape.constant(x.clone()), &[], key);
        optimizer.step(&model, &tape.backward_from(&loss));
    }
    let nll = model.evaluate(&x, None, key).unwrap().swap_remove(0).1;
    nll.iter().map(|&n| f64::from(n)).sum::<f64>() / nll.len() as f64
}

fn sizes(height: usize, width: usize, hidden: usize) -> PixelConfig {
    PixelConfig { height, width, head: 16, ..PixelConfig::mnist(2, hidden) }
}

#[test]
fn four_prototypes_cost_the_logarithm_of_four() {
    let key = Key::new(3, stream::TEST, 0);
    // On 4 x 4 pixels the PixelCNN's blind spot, which would cost nats, lies outside the image.
    let x: Vec<f32> = (0..4 * 16).map(|i| f32::from(key.uniform(i) < 0.5)).collect();
    for body in BODIES {
        let nll = trained(body, sizes(4, 4, 16), &x, 600, 0.005);
        let least = 4.0_f64.ln();
        // Four equally frequent images cannot be coded in less than ln 4 nats.
        assert!(nll >= least - 1e-3 && nll <= least + 0.05, "{body:?}: {nll}");
    }
}

#[test]
fn a_checkerboard_costs_nothing() {
    let x: Vec<f32> = (0..64).map(|i| ((i / 8 + i % 8) % 2) as f32).collect();
    for body in BODIES {
        let nll = trained(body, sizes(8, 8, 8), &x, 400, 0.005);
        assert!((0.0..0.01).contains(&nll), "{body:?}: {nll}");
    }
}

/// Black images except for two equal pixels: the top right one, and one at the left of the last row. A model that sees
/// the first while predicting the second needs ln 2 nats for both; one that does not needs 2 ln 2.
#[test]
fn only_the_diagonal_bilstm_copies_the_top_right_pixel() {
    let (height, width) = (3, 8);
    let mut x = vec![0.0; 2 * height * width];
    for at in [width - 1, 2 * width] {
        x[height * width + at] = 1.0;
    }
    let two = 2.0_f64.ln();
    let nll = |body| trained(body, sizes(height, width, 16), &x, 800, 0.01);
    let (bilstm, cnn) = (nll(Body::DiagBilstm), nll(Body::PixelCnn));
    assert!(bilstm <= two + 0.1, "Diagonal BiLSTM: {bilstm}");
    assert!(cnn >= 2.0 * two - 1e-3, "PixelCNN: {cnn}");
}
