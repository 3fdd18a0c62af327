//! Gradient check: compares the tape's gradients with central differences of the function.
//!
//! For fixed dy, let L(x) = <f(x), dy>, summed over all outputs in f64 on the host. The derivative of L along a
//! direction u must equal <dL/dx, u>. The five-point formula
//! (8 (L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / 12 h has error O(h^4), so h can be large enough to make
//! the rounding of f32 irrelevant. Small inputs are checked element by element, large ones along
//! random directions.

use super::case::{Case, Input};
use super::{Tape, Var};
use crate::device::Device;
use crate::error::Result;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// h.
const STEP: f32 = 1.0 / 64.0;
/// Inputs of at most this many elements are checked element by element.
const ELEMENTWISE_UP_TO: usize = 40;
/// Random directions for each larger input.
const DIRECTIONS: usize = 12;

/// The largest error over all differentiable inputs of a case, relative to the input's largest directional
/// derivative. An error of at most 1e-3 is a pass. Fails if the device fails.
pub fn gradient_error(case: &Case, device: &Device) -> Result<f64> {
    let tensors = case.tensors(device);
    let tape = Tape::new();
    let x = case.vars(&tape, &tensors);
    let y = (case.call)(&x);
    let seeds = case.seeds(&y);
    let pairs: Vec<(&Var, Tensor)> = y.iter().zip(seeds.iter().cloned()).collect();
    let gradients = tape.backward(&pairs);
    let host_seeds: Vec<Vec<f32>> = seeds.iter().map(Tensor::to_vec).collect::<Result<_>>()?;

    let loss = |number: usize, values: &[f32]| -> Result<f64> {
        let mut moved = tensors.clone();
        moved[number] = Tensor::new(device, values, tensors[number].shape());
        let tape = Tape::inference();
        let mut total = 0.0;
        for (y, dy) in (case.call)(&case.vars(&tape, &moved)).iter().zip(&host_seeds) {
            let y = y.value().to_vec()?;
            total += y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum::<f64>();
        }
        Ok(total)
    };

    let mut worst = 0.0_f64;
    for (number, input) in case.inputs.iter().enumerate().filter(|(_, x)| x.differentiable) {
        let x0 = input.values(number);
        let analytic = match gradients.of(&x[number]) {
            Some(g) => g.to_vec()?,
            None => vec![0.0; x0.len()],
        };
        let mut pairs = Vec::new();
        for u in directions(input) {
            let at = |h: f32| {
                let moved: Vec<f32> = x0.iter().zip(&u).map(|(x, u)| x + h * u).collect();
                loss(number, &moved)
            };
            let near = at(STEP)? - at(-STEP)?;
            let far = at(2.0 * STEP)? - at(-2.0 * STEP)?;
            let numeric = (8.0 * near - far) / (12.0 * f64::from(STEP));
            let dot: f64 =
                analytic.iter().zip(&u).map(|(&g, &u)| f64::from(g) * f64::from(u)).sum();
            pairs.push((dot, numeric));
        }
        let scale = pairs.iter().fold(1e-2_f64, |m, (_, numeric)| m.max(numeric.abs()));
        for (dot, numeric) in pairs {
            let error = (dot - numeric).abs() / scale;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    }
    Ok(worst)
}

/// A checked gradient element, see [`gradcheck`].
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedElement {
    /// Number of the input, counted from 0.
    pub input: usize,
    /// Index of the element, one number per axis.
    pub index: Vec<usize>,
    /// The gradient from the tape.
    pub gradient: f64,
    /// The gradient by finite differences.
    pub expected: f64,
    /// The difference of both, relative to the largest gradient of that input. It should be at most 1e-3.
    pub error: f64,
}

impl std::fmt::Display for CheckedElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CheckedElement { input, index, gradient, expected, error } = self;
        write!(
            f,
            "input {input}, element {index:?}: the gradient is {gradient:.6}, finite differences give \
             {expected:.6} (relative error {error:.1e})"
        )
    }
}

/// Compares the gradient of the sum of f's result with finite differences, for every element of `inputs`. Returns the
/// element that differs most.
///
/// ```
/// use pixelloom::autograd::gradcheck::gradcheck;
/// use pixelloom::{Device, Tensor};
///
/// let x = Tensor::new(&Device::cpu(), &[0.5, -1.0, 2.0], &[3]);
/// let worst = gradcheck(|x| x[0].tanh().mul(&x[0]), &[x])?;
/// assert!(worst.error < 1e-3, "{worst}");
/// # Ok::<(), pixelloom::Error>(())
/// ```
///
/// f is called four times per element, with that element changed by up to 1/32, and should be smooth there. Fails if the
/// device fails.
///
/// # Panics
///
/// When the inputs have no elements.
#[track_caller]
pub fn gradcheck(
    f: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>,
    inputs: &[Tensor],
) -> Result<CheckedElement> {
    let tape = Tape::new();
    let x: Vec<Var> = inputs.iter().map(|input| tape.leaf(input.clone())).collect();
    let y = f(&x);
    let gradients = tape.backward(&[(&y, Tensor::full(y.device(), 1.0, y.shape()))]);
    let sum = |number: usize, values: &[f32]| -> Result<f64> {
        let tape = Tape::inference();
        let moved = |(i, input): (usize, &Tensor)| match i == number {
            true => tape.constant(Tensor::new(input.device(), values, input.shape())),
            false => tape.constant(input.clone()),
        };
        let x: Vec<Var> = inputs.iter().enumerate().map(moved).collect();
        Ok(f(&x).value().to_vec()?.into_iter().map(f64::from).sum())
    };
    let mut worst: Option<CheckedElement> = None;
    for (input, tensor) in inputs.iter().enumerate() {
        let x0 = tensor.to_vec()?;
        let gradient = match gradients.of(&x[input]) {
            Some(gradient) => gradient.to_vec()?,
            None => vec![0.0; x0.len()],
        };
        let mut pairs = Vec::new();
        for at in 0..x0.len() {
            let mut moved = x0.clone();
            let mut value = |steps: f32| {
                moved[at] = x0[at] + steps * STEP;
                sum(input, &moved)
            };
            let near = value(1.0)? - value(-1.0)?;
            let far = value(2.0)? - value(-2.0)?;
            pairs.push((gradient[at].into(), (8.0 * near - far) / (12.0 * f64::from(STEP))));
        }
        let scale = pairs.iter().fold(1e-2_f64, |most, (_, expected)| most.max(expected.abs()));
        for (at, (gradient, expected)) in pairs.into_iter().enumerate() {
            let error: f64 = (gradient - expected) / scale;
            let error = if error.is_nan() { f64::INFINITY } else { error.abs() };
            if worst.as_ref().is_none_or(|worst| error > worst.error) {
                let index = index_of(at, tensor.shape());
                worst = Some(CheckedElement { input, index, gradient, expected, error });
            }
        }
    }
    Ok(worst.expect("gradcheck: the inputs have no elements"))
}

/// The index of element `at` in row-major order.
fn index_of(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let here = at % length;
            at /= length;
            here
        })
        .collect();
    index.reverse();
    index
}

/// All unit vectors for a small input, else vectors of random signs. With signs every element moves by a full
/// step, so the change of L is well above rounding.
fn directions(input: &Input) -> Vec<Vec<f32>> {
    let n: usize = input.shape.iter().product();
    if n <= ELEMENTWISE_UP_TO {
        return (0..n).map(|i| (0..n).map(|j| f32::from(u8::from(i == j))).collect()).collect();
    }
    (0..DIRECTIONS)
        .map(|d| {
            let key = Key::new(11, stream::TEST, d as u32);
            (0..n as u64).map(|i| if key.word(i) & 1 == 0 { 1.0 } else { -1.0 }).collect()
        })
        .collect()
}
