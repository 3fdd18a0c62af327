//! Filterbanks, reads and writes at the ends of their parameters, on every back end.

mod common;

use common::devices;
use pixelloom::autograd::Tape;
use pixelloom::{Device, Tensor};

const FILTERS: usize = 3;
const HEIGHT: usize = 5;
const WIDTH: usize = 7;

/// Nothing but far centres, filters of a pixel and of the whole image, strides of 0 and of infinity.
fn extremes() -> Vec<f32> {
    let ends = [-1e30, -100.0, 0.3, 100.0, 1e30];
    let mut all = Vec::new();
    for x in ends {
        for y in [-1e30, 0.1, 1e30] {
            for variance in ends {
                for stride in ends {
                    all.extend([x, y, variance, stride, 0.2]);
                }
            }
        }
    }
    all
}

fn finite(what: &str, device: &Device, values: &Tensor) {
    let values = values.to_vec().unwrap();
    let wrong = values.iter().position(|x| !x.is_finite());
    assert_eq!(wrong, None, "{what} of {} is not finite on {}", values.len(), device.name());
}

#[test]
fn rows_sum_to_one_and_gradients_are_finite_however_extreme_the_parameters() {
    let p = extremes();
    let batch = p.len() / 5;
    for device in devices() {
        let tape = Tape::new();
        let p = tape.leaf(Tensor::new(&device, &p, &[batch, 5]));
        let bank = p.filterbank(FILTERS, (HEIGHT, WIDTH));
        for (filters, length) in bank.iter().zip([WIDTH, HEIGHT]) {
            for row in filters.value().to_vec().unwrap().chunks_exact(length) {
                let total: f32 = row.iter().sum();
                assert!((total - 1.0).abs() < 1e-5, "{row:?} on {}", device.name());
                assert!(row.iter().all(|f| (0.0..=1.0).contains(f)), "{row:?}");
            }
        }
        let ramp = |n: usize| (0..n).map(|i| (i % 13) as f32 / 6.0 - 1.0).collect::<Vec<f32>>();
        let image = [batch, HEIGHT, WIDTH, 1];
        let leaf =
            |shape: &[usize]| tape.leaf(Tensor::new(&device, &ramp(shape.iter().product()), shape));
        let (x, canvas, w) = (leaf(&image), leaf(&image), leaf(&[batch, FILTERS, FILTERS, 1]));
        let patches = p.attention_read(FILTERS, &x, Some(&canvas));
        let written = p.attention_write(&w, &canvas);
        finite("a patch", &device, patches.value());
        finite("a canvas", &device, written.value());
        let seed = |y: &pixelloom::Var| Tensor::new(&device, &ramp(y.value().len()), y.shape());
        let outputs = [&bank[0], &bank[1], &bank[2], &patches, &written];
        let pairs: Vec<_> = outputs.map(|y| (y, seed(y))).into();
        let gradients = tape.backward(&pairs);
        for (name, leaf) in [("p", &p), ("x", &x), ("canvas", &canvas), ("w", &w)] {
            finite(&format!("the gradient of {name}"), &device, gradients.of(leaf).unwrap());
        }
    }
}

#[test]
fn a_parameter_that_is_nan_is_seen() {
    for device in devices() {
        for broken in 0..5 {
            let mut p = [0.1, -0.2, 0.3, -0.4, 0.5];
            p[broken] = f32::NAN;
            let tape = Tape::inference();
            let p = tape.constant(Tensor::new(&device, &p, &[1, 5]));
            let of_image = |t: &Tensor| t.to_vec().unwrap().iter().any(|x| x.is_nan());
            let bank = p.filterbank(FILTERS, (HEIGHT, WIDTH));
            let wrong = bank.iter().any(|y| of_image(y.value()));
            let x = tape.constant(Tensor::full(&device, 1.0, &[1, HEIGHT, WIDTH, 1]));
            let patch = p.attention_read(FILTERS, &x, None);
            assert!(wrong && of_image(patch.value()), "parameter {broken} on {}", device.name());
        }
    }
}
