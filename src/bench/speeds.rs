//! Speed of ten kernels on one device, for comparing adapters.

use std::time::Instant;

use crate::autograd::Tape;
use crate::autograd::case::{Case, Input};
use crate::device::Device;
use crate::error::Result;
use crate::ops::lstm_scan::Order;
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::{Around, Window};
use crate::ops::random;
use crate::ops::shared::Shared;
use crate::profile::{Profile, Sum};
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

use super::probe;

/// Minimum total time in seconds of the calls that are timed together.
const LONG: f64 = 0.1;
/// A first call that takes this many seconds is the measurement: compiling a kernel is a small part of it, and software
/// drivers would otherwise take minutes for ten operations.
const SLOW: f64 = 1.0;
/// Maximum number of calls that are timed together.
const MOST: u32 = 256;

/// How fast an operation runs.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Speed {
    /// Name of the operation.
    pub operation: &'static str,
    /// Shapes of its inputs, and its options.
    pub sizes: String,
    /// Seconds per call, averaged over several calls in a row.
    pub seconds: f64,
    /// Floating-point operations per second, in billions.
    pub gflops: f64,
    /// Bytes per second, in billions; each tensor counts once.
    pub gigabytes: f64,
}

/// Times each of ten operations at the sizes of the papers' models.
///
/// Errors: [`crate::Error::Device`] if the device fails.
pub fn speeds(device: &Device) -> Result<Vec<Speed>> {
    operations().iter().map(|case| speed(case, device)).collect()
}

/// A closure that calls the operation once and, if an input is differentiable, computes the gradients of |y|^2 / 2.
fn call<'a>(case: &'a Case, tensors: Vec<Tensor>) -> impl FnMut() + use<'a> {
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

fn speed(case: &Case, device: &Device) -> Result<Speed> {
    let mut once = call(case, case.tensors(device));
    device.synchronize()?;
    let mut timed = |calls: u32| {
        let begin = Instant::now();
        (0..calls).for_each(|_| once());
        device.synchronize()?;
        Ok::<_, crate::Error>(begin.elapsed().as_secs_f64())
    };
    // The first call also compiles and allocates.
    let (mut calls, mut seconds) = (1, timed(1)?);
    if seconds < SLOW {
        seconds = timed(1)?;
    }
    while seconds < LONG && calls < MOST {
        calls *= 4;
        seconds = timed(calls)?;
    }
    let seconds = seconds / f64::from(calls);
    let Sum { flops, bytes, .. } = work(case)?;
    let per_second = |amount: u64| amount as f64 / seconds / 1e9;
    Ok(Speed {
        operation: case.op,
        sizes: case.label.clone(),
        seconds,
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
