//! Reads and writes of the attention window: which pixels they reach, and that they are adjoint.

use pixelloom::autograd::case::distance;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tape, Tensor, Var};

use crate::common;

/// `count` standard normal numbers.
fn numbers(stream: u32, count: usize) -> Vec<f32> {
    let key = Key::new(1, stream::TEST + stream, 0);
    (0..count as u64).map(|i| pixelloom::rng::normal(key, i)).collect()
}

fn tensor<'t>(tape: &'t Tape, device: &Device, stream: u32, shape: &[usize]) -> Var<'t> {
    tape.leaf(Tensor::new(device, &numbers(stream, shape.iter().product()), shape))
}

fn values(v: &Var) -> Vec<f32> {
    v.value().to_vec().unwrap()
}

fn constant<'t>(tape: &'t Tape, device: &Device, data: &[f32], shape: &[usize]) -> Var<'t> {
    tape.constant(Tensor::new(device, data, shape))
}

/// Parameters of filters that each cover a single pixel; N filters cover every pixel of an N x N image.
const SHARP: [f32; 5] = [0.0, 0.0, -18.0, 0.0, 0.0];

#[test]
fn sharp_filters_on_every_pixel_read_the_image_and_write_it_back() {
    for device in common::devices() {
        for channels in [1, 3] {
            let tape = Tape::inference();
            let p = constant(&tape, &device, &SHARP, &[1, 5]);
            let x = tensor(&tape, &device, 0, &[1, 7, 7, channels]);
            let patch = p.attention_read(7, &x, None);
            assert_eq!(values(&patch), values(&x), "read");
            let blank = constant(&tape, &device, &vec![0.0; 49 * channels], x.shape());
            let back = p.attention_write(&patch.reshape(x.shape()), &blank);
            assert_eq!(values(&back), values(&x), "write");
        }
    }
}

/// One filter on the third column and the second row of an image of 6 rows and 9 columns.
#[test]
fn x_runs_along_the_row_and_y_down_the_column() {
    for device in common::devices() {
        let tape = Tape::inference();
        // gX = (9 + 1) / 2 (g~ + 1) = 3, gY = (6 + 1) / 2 (g~ + 1) = 2.
        let p = [3.0 / 5.0 - 1.0, 2.0 / 3.5 - 1.0, -18.0, 0.0, 3.0_f32.ln()];
        let p = constant(&tape, &device, &p, &[1, 5]);
        let x: Vec<f32> = (0..54).map(|i| i as f32).collect();
        let x = constant(&tape, &device, &x, &[1, 6, 9, 1]);
        let read = values(&p.attention_read(1, &x, None));
        assert!(distance(&read, &[3.0 * (9.0 + 2.0)]) < 1e-6, "{read:?}");
        let one = constant(&tape, &device, &[1.0], &[1, 1, 1, 1]);
        let blank = constant(&tape, &device, &[0.0; 54], &[1, 6, 9, 1]);
        let written = values(&p.attention_write(&one, &blank));
        for (i, &v) in written.iter().enumerate() {
            let expected = if i == 9 + 2 { 1.0 / 3.0 } else { 0.0 };
            assert!((v - expected).abs() < 1e-6, "pixel {i} is {v}");
        }
    }
}

/// <read(x), w> / gamma = <x, write(w)> gamma, for the same parameters.
#[test]
fn read_and_write_are_adjoint() {
    for device in common::devices() {
        for [n, height, width, channels] in [[3, 6, 9, 1], [5, 9, 4, 3], [12, 20, 33, 1]] {
            let tape = Tape::inference();
            let p = numbers(5, 10).iter().map(|v| 0.4 * v).collect::<Vec<_>>();
            let p_ = constant(&tape, &device, &p, &[2, 5]);
            let x = tensor(&tape, &device, 1, &[2, height, width, channels]);
            let w = tensor(&tape, &device, 2, &[2, n, n, channels]);
            let zeros = vec![0.0; 2 * height * width * channels];
            let blank = constant(&tape, &device, &zeros, x.shape());
            let (read, written) =
                (values(&p_.attention_read(n, &x, None)), values(&p_.attention_write(&w, &blank)));
            let (x, w) = (values(&x), values(&w));
            for image in 0..2 {
                let gamma = f64::from(p[5 * image + 4]).exp();
                let dot = |a: &[f32], b: &[f32]| -> f64 {
                    let size = a.len() / 2;
                    let part = image * size..(image + 1) * size;
                    let pairs = a[part.clone()].iter().zip(&b[part]);
                    pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let (left, right) = (dot(&read, &w) / gamma, dot(&x, &written) * gamma);
                assert!(
                    (left - right).abs() < 1e-4 * (1.0 + left.abs()),
                    "{left} and {right} at {height}x{width}, N {n} on {}",
                    device.name()
                );
            }
        }
    }
}

/// All channels share one filterbank: reading a colour image equals reading its channels one by one.
#[test]
fn channels_share_their_filters() {
    for device in common::devices() {
        let tape = Tape::inference();
        let p = constant(&tape, &device, &[0.2, -0.3, 0.5, -0.4, 0.7], &[1, 5]);
        let x = tensor(&tape, &device, 3, &[1, 6, 5, 3]);
        let canvas = tensor(&tape, &device, 4, &[1, 6, 5, 3]);
        let all = p.attention_read(4, &x, Some(&canvas)).reshape(&[2, 4, 4, 3]);
        for channel in 0..3 {
            let of = |v: &Var<'_>| v.slice(3, channel, 1).value().clone();
            let (x, canvas) = (tape.constant(of(&x)), tape.constant(of(&canvas)));
            let one = values(&p.attention_read(4, &x, Some(&canvas)));
            let ours = tape.constant(of(&all));
            assert!(distance(&values(&ours), &one) < 1e-6, "channel {channel}");
        }
    }
}

/// The second patch is read from the error image x - sigmoid(canvas).
#[test]
fn the_second_patch_reads_the_error_image() {
    for device in common::devices() {
        let tape = Tape::inference();
        let p = constant(&tape, &device, &[0.1, 0.2, 0.3, -0.2, 0.1], &[1, 5]);
        let x = tensor(&tape, &device, 6, &[1, 8, 6, 1]);
        let canvas = tensor(&tape, &device, 7, &[1, 8, 6, 1]);
        let both = values(&p.attention_read(3, &x, Some(&canvas)));
        let error = x.sub(&canvas.sigmoid());
        let apart = [&x, &error].map(|v| values(&p.attention_read(3, v, None))).concat();
        assert!(distance(&both, &apart) < 1e-6);
    }
}
