//! The grid of filters: its position, and that its rows are probabilities for any parameters.
//!
//! Each check takes any filterbank, so that known faults of public implementations can be shown to fail it: pixels
//! counted from 0, and an epsilon added to the divisor instead of a softmax.

use pixelloom::{Device, Tape, Tensor};

use crate::common;

/// Computes the filters \[N, pixels\] of the x axis from the five parameters, N, and the side of a square image.
type Bank<'a> = &'a dyn Fn(&[f32; 5], usize, usize) -> Vec<Vec<f64>>;

/// The filterbank of this crate.
fn ours(device: &Device) -> impl Fn(&[f32; 5], usize, usize) -> Vec<Vec<f64>> {
    move |p, n, pixels| {
        let tape = Tape::inference();
        let p = tape.constant(Tensor::new(device, p, &[1, 5]));
        let [fx, fy, _] = p.filterbank(n, (pixels, pixels));
        let rows = |f: &pixelloom::Var| -> Vec<Vec<f64>> {
            let f = f.value().to_vec().unwrap();
            f.chunks(pixels).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
        };
        assert_eq!(p.value().to_vec().unwrap()[0], p.value().to_vec().unwrap()[1]);
        assert_eq!(rows(&fx), rows(&fy), "a square image has the same filters both ways");
        rows(&fx)
    }
}

/// The equations of the paper in f32, with pixels counted from `first` and `epsilon` added to the divisor.
fn port(first: f32, epsilon: f32) -> impl Fn(&[f32; 5], usize, usize) -> Vec<Vec<f64>> {
    move |p, n, pixels| {
        let (count, filters) = (pixels as f32, n as f32);
        let centre = (count + 1.0) / 2.0 * (p[0] + 1.0);
        let delta = (count - 1.0) / (filters - 1.0).max(1.0) * p[3].exp();
        let row = |i: usize| {
            let mu = centre + (i as f32 + 1.0 - filters / 2.0 - 0.5) * delta;
            let f = |a: usize| (-(a as f32 + first - mu).powi(2) / (2.0 * p[2].exp())).exp();
            let row: Vec<f32> = (0..pixels).map(f).collect();
            let total = row.iter().sum::<f32>() + epsilon;
            row.iter().map(|v| f64::from(v / total)).collect()
        };
        (0..n).map(row).collect()
    }
}

/// The centres of a bank of the given variance. Two neighbouring pixels a and a + 1 of a Gaussian give
/// mu = a + 1/2 + sigma^2 ln (F\[a + 1\] / F\[a\]).
fn centres(rows: &[Vec<f64>], variance: f64) -> Vec<f64> {
    let centre = |row: &Vec<f64>| {
        let at = (0..row.len()).max_by(|&i, &j| row[i].total_cmp(&row[j])).unwrap();
        let a = at.min(row.len() - 2);
        a as f64 + 1.5 + variance * (row[a + 1] / row[a]).ln()
    };
    rows.iter().map(centre).collect()
}

/// With g~ = 0 and delta~ = 1 the outermost filters are centred on the first and last pixels, 1 and 28.
fn grid(bank: Bank) -> Result<(), String> {
    let expected: [(usize, &[f64]); 3] =
        [(2, &[1.0, 28.0]), (5, &[1.0, 7.75, 14.5, 21.25, 28.0]), (1, &[14.5])];
    for (n, expected) in expected {
        let variance = 4.0_f32;
        let got = centres(&bank(&[0.0, 0.0, variance.ln(), 0.0, 0.0], n, 28), variance.into());
        let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if !(worst < 1e-3) {
            return Err(format!("N = {n}: {got:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// Parameters far outside the range that a network should produce.
fn extremes() -> Vec<[f32; 5]> {
    let mut all = Vec::new();
    for centre in [0.0, 0.3, -1.0, 1.0, 30.0, -30.0, 1e6] {
        for sigma in [1e-3_f32, 0.3, 1.0, 30.0, 1e3] {
            for delta in [1e-3_f32, 0.5, 1.0, 1e3] {
                all.push([centre, centre, 2.0 * sigma.ln(), delta.ln(), 0.0]);
            }
        }
    }
    let further: [[f32; 5]; 5] = [
        [0.0, 0.0, -300.0, 300.0, 0.0],
        [1e30, 1e30, -300.0, -300.0, 0.0],
        [-1e30, -1e30, 300.0, 300.0, 0.0],
        [0.5, 0.5, 300.0, -300.0, 0.0],
        [0.0, 0.0, -80.0, 80.0, 0.0],
    ];
    all.extend(further);
    all
}

/// Checks that the rows are probabilities for all [`extremes`].
fn rows_sum_to_one(bank: Bank) -> Result<(), String> {
    for p in extremes() {
        for (n, pixels) in [(1, 1), (1, 28), (5, 28), (12, 7)] {
            for row in bank(&p, n, pixels) {
                let total: f64 = row.iter().sum();
                if !((total - 1.0).abs() <= 1e-6 && row.iter().all(|v| (0.0..=1.0).contains(v))) {
                    return Err(format!("N = {n}, {pixels} pixels, {p:?}: {row:?}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_grid_counts_from_one() {
    for device in common::devices() {
        grid(&ours(&device)).unwrap();
    }
    grid(&port(1.0, 0.0)).unwrap();
    assert!(grid(&port(0.0, 0.0)).is_err(), "pixels counted from 0 pass");
}

#[test]
fn rows_are_probabilities_however_extreme_the_parameters() {
    for device in common::devices() {
        rows_sum_to_one(&ours(&device)).unwrap();
    }
    for epsilon in [0.0, 1e-8, 1e-4] {
        let bad = rows_sum_to_one(&port(1.0, epsilon));
        assert!(bad.is_err(), "a divisor with {epsilon} added passes");
    }
}

#[test]
fn gradients_are_finite_however_extreme_the_parameters() {
    for device in common::devices() {
        let all = extremes();
        let p: Vec<f32> = all.concat();
        let count = all.len();
        let image: Vec<f32> = (0..count * 28 * 20).map(|i| (i % 7) as f32 / 6.0).collect();
        let tape = Tape::new();
        let p = tape.leaf(Tensor::new(&device, &p, &[count, 5]));
        let image = tape.leaf(Tensor::new(&device, &image, &[count, 28, 20, 1]));
        let patch = p.attention_read(5, &image, Some(&image));
        let patch = patch.reshape(&[count, 50]).slice(1, 0, 25).reshape(&[count, 5, 5, 1]);
        let canvas = p.attention_write(&patch, &image);
        let gradients = tape.backward_from(&canvas.sum());
        for x in [&p, &image] {
            let g = gradients.of(x).unwrap().to_vec().unwrap();
            assert!(g.iter().all(|v| v.is_finite()), "{}", device.name());
        }
    }
}

/// A NaN among the parameters is not hidden by the softmax.
#[test]
fn a_nan_propagates() {
    for device in common::devices() {
        for at in 0..5 {
            let mut p = [0.0; 5];
            p[at] = f32::NAN;
            let tape = Tape::inference();
            let p = tape.constant(Tensor::new(&device, &p, &[1, 5]));
            let image = tape.constant(Tensor::full(&device, 1.0, &[1, 4, 5, 1]));
            let [fx, fy, gamma] = p.filterbank(3, (4, 5));
            let patch = p.attention_read(3, &image, None);
            let canvas = p.attention_write(&patch.reshape(&[1, 3, 3, 1]), &image);
            let bank = [fx, fy, gamma].map(|f| f.value().to_vec().unwrap()).concat();
            for all in [bank, patch.value().to_vec().unwrap(), canvas.value().to_vec().unwrap()] {
                let seen = all.iter().any(|v| v.is_nan());
                assert!(seen, "parameter {at} on {}", device.name());
            }
        }
    }
}
