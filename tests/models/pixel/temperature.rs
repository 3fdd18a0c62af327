//! The temperature of samples.

use pixelloom::models::Model;
use pixelloom::models::pixel::PixelModel;
use pixelloom::{Device, Tape, Tensor};

use super::models::{self, BODIES};

fn logits(model: &PixelModel, x: &Tensor) -> Vec<f32> {
    let tape = Tape::inference();
    model.net.forward(&tape.constant(x.clone()), None).value().to_vec().unwrap()
}

/// Divided up to rounding, with a bias in the last layer too.
#[test]
fn the_temperature_divides_the_logits() {
    let device = Device::cpu();
    for body in BODIES {
        let model = models::model(&device, body, models::config((4, 5), 3, 4, 6), 1);
        let x = Tensor::new(&device, &[0.25; 60], &[1, 4, 5, 3]);
        let before = logits(&model, &x);
        model.temper(0.01);
        for (i, (before, after)) in before.iter().zip(logits(&model, &x)).enumerate() {
            let expected = 100.0 * before;
            let error = (after - expected).abs();
            assert!(
                error <= 1e-3 * (1.0 + expected.abs()),
                "{body:?}, logit {i}: {after}, {expected}"
            );
        }
    }
}
