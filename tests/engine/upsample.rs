//! The transposed convolution against its definition in plain f64 loops, on every device.

use crate::common::devices;
use pixelloom::autograd::case::distance;
use pixelloom::nn::Upsample;
use pixelloom::rng::{Key, stream};
use pixelloom::{Param, Tape, Tensor};
use rand::SeedableRng;

/// y \[b, r, c, o\], where input pixel (i, j) adds x\[k\] w\[k, o, u, v\] at (f i + u - pad, f j + v - pad).
fn naive(
    x: &[f32],
    [batch, height, width, inputs]: [usize; 4],
    w: &[f32],
    (outputs, side, factor): (usize, usize, usize),
    bias: &[f32],
) -> Vec<f32> {
    let pad = (side - factor) / 2;
    let (tall, wide) = (factor * height, factor * width);
    let mut y = vec![0.0_f64; batch * tall * wide * outputs];
    for (at, y) in y.iter_mut().enumerate() {
        *y = f64::from(bias[at % outputs]);
    }
    for b in 0..batch {
        for i in 0..height {
            for j in 0..width {
                for u in 0..side {
                    for v in 0..side {
                        let (r, c) = (factor * i + u, factor * j + v);
                        if r < pad || c < pad || r - pad >= tall || c - pad >= wide {
                            continue;
                        }
                        for k in 0..inputs {
                            let x = x[((b * height + i) * width + j) * inputs + k];
                            for o in 0..outputs {
                                let w = w[((k * outputs + o) * side + u) * side + v];
                                let to = ((b * tall + r - pad) * wide + c - pad) * outputs + o;
                                y[to] += f64::from(x) * f64::from(w);
                            }
                        }
                    }
                }
            }
        }
    }
    y.into_iter().map(|y| y as f32).collect()
}

#[test]
fn upsampling_is_a_transposed_convolution() {
    for device in devices() {
        for (shape, outputs, factor) in
            [([2, 3, 4, 3], 5, 2), ([1, 2, 3, 2], 4, 3), ([1, 1, 2, 1], 1, 4), ([2, 2, 1, 3], 2, 5)]
        {
            let rng = &mut rand::rngs::StdRng::seed_from_u64(3);
            let layer = Upsample::new(&device, shape[3], outputs, factor, rng);
            let key = Key::new(2, stream::TEST, factor as u32);
            let x: Vec<f32> =
                (0..shape.iter().product::<usize>() as u64).map(|i| key.uniform(i) - 0.5).collect();
            let of = |p: &Param| p.value().to_vec().unwrap();
            let side = layer.weight.value().shape()[2];
            let expected =
                naive(&x, shape, &of(&layer.weight), (outputs, side, factor), &of(&layer.bias));
            let tape = Tape::inference();
            let y = layer.forward(&tape.constant(Tensor::new(&device, &x, &shape)));
            let (tall, wide) = (factor * shape[1], factor * shape[2]);
            assert_eq!(y.shape(), [shape[0], tall, wide, outputs]);
            let d = distance(&y.value().to_vec().unwrap(), &expected);
            assert!(d <= 1e-5, "{shape:?}, factor {factor}, on {}: {d}", device.name());
        }
    }
}
