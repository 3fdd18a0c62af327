//! Speed of operations on one device: of every test case, and of ten at the sizes of the papers' models.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::autograd::Tape;
use crate::autograd::case::{Case, Input};
use crate::device::Device;
use crate::error::Result;
use crate::ops;
use crate::ops::lstm_scan::Order;
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::{Around, Window};
use crate::ops::random;
use crate::ops::shared::Shared;
use crate::profile::{Profile, Sum};
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

use super::probe;
use super::timing::quantile;

/// Samples of which the median is taken, each of many calls, and the fewest if calls are slow.
const SAMPLES: usize = 11;
const FEWEST: usize = 3;
/// A first call that takes this many seconds is the measurement: compiling a kernel is a small part of it, and software
/// drivers would otherwise take minutes for ten operations.
const SLOW: f64 = 1.0;
/// Maximum number of calls in a sample.
const MOST: u32 = 1 << 14;
/// Seconds for each of the ten operations.
const TEN: f64 = 0.2;

/// How fast an operation runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Name of the operation.
    pub operation: String,
    /// Shapes of its inputs, and its options.
    pub sizes: String,
    /// Seconds per call, of several calls in a row: the median of the samples.
    pub seconds: f64,
    /// Quartiles of the samples, in seconds per call.
    pub quartiles: [f64; 2],
    /// Floating-point operations per second, in billions.
    pub gflops: f64,
    /// Bytes per second, in billions; each tensor counts once.
    pub gigabytes: f64,
}

impl Speed {
    /// Distance between the quartiles as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.quartiles[1] - self.quartiles[0]) / self.seconds
    }
}

/// All cases that are timed: the test cases, which are small, and ten at the sizes of the papers' models.
pub fn cases() -> Vec<Case> {
    ops::cases().into_iter().chain(operations()).collect()
}

/// Times each of ten operations at the sizes of the papers' models.
///
/// Errors: [`crate::Error::Device`] if the device fails.
pub fn speeds(device: &Device) -> Result<Vec<Speed>> {
    operations().iter().map(|case| speed(case, device, TEN)).collect()
}

/// A closure that calls the operation once and, if an input is differentiable, computes the gradients of |y|^2 / 2.
pub fn call<'a>(case: &'a Case, tensors: Vec<Tensor>) -> impl FnMut() + use<'a> {
    let backwards = case.inputs.iter().any(|input| input.differentiable);
    move || {
        let tape = Tape::new();
        let y = (case.call)(&case.vars(&tape, &tensors));
        if backwards {
            let seeds: Vec<_> = y.iter().map(|y| (y, y.value().clone())).collect();
            tape.backward(&seeds);
        }
    }
}

/// Times an operation for about `seconds`.
///
/// Errors: [`crate::Error::Device`] if the device fails.
pub fn speed(case: &Case, device: &Device, seconds: f64) -> Result<Speed> {
    let mut once = call(case, case.tensors(device));
    device.synchronize()?;
    let mut timed = |calls: u32| {
        let begin = Instant::now();
        (0..calls).for_each(|_| once());
        device.synchronize()?;
        Ok::<_, crate::Error>(begin.elapsed().as_secs_f64())
    };
    // The first call also compiles and allocates.
    let mut samples = vec![timed(1)?];
    if samples[0] < SLOW {
        let (begin, mut calls) = (Instant::now(), 1);
        while timed(calls)? < seconds / SAMPLES as f64 && calls < MOST {
            calls *= 2;
        }
        samples.clear();
        let longer = || begin.elapsed().as_secs_f64() < 3.0 * seconds;
        while samples.len() < FEWEST || (samples.len() < SAMPLES && longer()) {
            samples.push(timed(calls)? / f64::from(calls));
        }
        samples.sort_by(f64::total_cmp);
    }
    let at = |share| quantile(&samples, share);
    let seconds = at(0.5);
    let Sum { flops, bytes, .. } = work(case)?;
    let per_second = |amount: u64| amount as f64 / seconds / 1e9;
    Ok(Speed {
        operation: case.op.into(),
        sizes: case.label.clone(),
        seconds,
        quartiles: [at(0.25), at(0.75)],
        gflops: per_second(flops),
        gigabytes: per_second(bytes),
    })
}

/// The total work that the kernels of a call declare.
fn work(case: &Case) -> Result<Sum> {
    // Counts on a meta device, since some adapters lack the timestamps that a profile needs.
    let device = Device::meta(&Device::reference());
    let inputs = case.inputs.iter().map(|input| Tensor::unwritten(&device, &input.shape));
    let mut once = call(case, inputs.collect());
    let mut profile = Profile::default();
    device.profiled(&mut profile, &mut once)?;
    Ok(profile.total())
}

/// The ten operations.
fn operations() -> Vec<Case> {
    let normal = |shape: &[usize]| Input::normal("x", shape).constant();
    let small = |shape: &[usize]| Input::uniform("w", shape, -0.05, 0.05).constant();
    let conv = |label: &str, inputs: Vec<Input>| {
        let mask = Mask::new(Sight::B, 1);
        Case::new("masked_conv", label, inputs, move |v| {
            let (p, window) = (v[1].masked(mask), Window::centred(3, 3, mask));
            vec![v[0].masked_conv(&p, window, Around::default(), None, None)]
        })
    };
    let (maps, weights) = ([16, 28, 28, 32], [32, 32, 3, 3]);
    vec![
        Case::new("triad", "4 Mi numbers", vec![normal(&[1 << 22]), normal(&[1 << 22])], |v| {
            vec![v[0].tape().constant(probe::triad(v[0].value(), v[1].value()))]
        }),
        Case::new("multiply_adds", "1 Mi numbers, 512 times", vec![normal(&[1 << 20])], |v| {
            vec![v[0].tape().constant(probe::chains(v[0].value(), 512))]
        }),
        Case::new("random", "1 Mi normal numbers", vec![normal(&[1])], |v| {
            let key = Key::new(1, stream::TEST, 0);
            vec![v[0].tape().constant(random::normal(v[0].device(), key, &[1 << 20]))]
        }),
        Case::new("matmul", "512x512x512", vec![normal(&[512, 512]), normal(&[512, 512])], |v| {
            vec![v[0].matmul(&v[1])]
        }),
        Case::new("matmul", "100x784x500", vec![normal(&[100, 784]), normal(&[784, 500])], |v| {
            vec![v[0].matmul(&v[1])]
        }),
        conv("16x28x28x32, 3x3", vec![normal(&maps), small(&weights)]),
        conv(
            "16x28x28x32, 3x3, with gradients",
            vec![Input::normal("x", &maps), Input::uniform("w", &weights, -0.05, 0.05)],
        ),
        Case::new(
            "lstm_scan",
            "16x28x28, h 16, diagonal",
            vec![normal(&[16, 28, 28, 64]), small(&[2, 16, 64]), normal(&[16])],
            |v| vec![v[0].lstm_scan(&v[1], &v[2], Order::Diagonal)],
        ),
        Case::new(
            "lstm_cell",
            "100x256, h 256",
            vec![normal(&[100, 256]), small(&[1024, 256]), normal(&[100, 256]), normal(&[1024])],
            |v| Shared::new(&v[1], Some(&v[3])).lstm_cell(&v[0], &v[2], None).to_vec(),
        ),
        Case::new(
            "attention_read",
            "100 images of 28x28, N 12",
            vec![small(&[100, 5]), normal(&[100, 28, 28, 1])],
            |v| vec![v[0].attention_read(12, &v[1], None)],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A baseline finds a case by its operation and its sizes.
    #[test]
    fn no_two_cases_have_the_same_name() {
        let all = cases();
        let mut names: Vec<_> = all.iter().map(|case| (case.op, case.label.as_str())).collect();
        names.sort_unstable();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn a_speed_is_the_median_of_samples() {
        let case = &operations()[4];
        let Speed { seconds, quartiles, gflops, .. } = speed(case, &Device::cpu(), 0.01).unwrap();
        assert!(0.0 < quartiles[0] && quartiles[0] <= seconds && seconds <= quartiles[1]);
        assert!((gflops * seconds * 1e9 / (2.0 * 100.0 * 784.0 * 500.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn ten_operations_state_their_work() {
        let all = operations();
        assert_eq!(all.len(), 10);
        for case in &all {
            let Sum { calls, bytes, .. } = work(case).unwrap();
            assert!(calls > 0 && bytes > 0, "{} {}", case.op, case.label);
        }
        // 2 m n k of the first product.
        assert_eq!(work(&all[3]).unwrap().flops, 2 * 512 * 512 * 512);
        let [forward, both] = [5, 6].map(|i| work(&all[i]).unwrap());
        assert!(both.calls >= forward.calls + 2, "{both:?}");
    }
}
