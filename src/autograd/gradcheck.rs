//! Gradient check: compares the tape's gradients with central differences of the function.
//!
//! For fixed dy, let L(x) = <f(x), dy>, summed over all outputs in f64 on the host. The derivative of L along a
//! direction u must equal <dL/dx, u>. The five-point formula
//! (8 (L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / 12 h has error O(h^4), so h can be large enough to make
//! the rounding of f32 irrelevant. Inputs of a case with at most 40 elements are checked element by element, larger
//! ones along random directions; [`worst_element`] then bisects the worst direction down to an element.

use std::ops::Range;

use super::case::Case;
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
/// Largest error that passes.
pub const PASS: f64 = 1e-3;

/// A function of tensors with any number of results.
type Function<'a> = dyn for<'t> Fn(&[Var<'t>]) -> Vec<Var<'t>> + 'a;

/// The largest error over all differentiable inputs of a case, relative to the input's largest directional
/// derivative. An error of at most [`PASS`] is a pass. Fails if the device fails.
pub fn gradient_error(case: &Case, device: &Device) -> Result<f64> {
    Ok(worst_direction(case, device)?.map_or(0.0, |(_, worst)| worst.error))
}

/// The element that contributes most to [`gradient_error`], which the result's `error` is; none if nothing of the case is
/// differentiable. Fails if the device fails.
pub fn worst_element(case: &Case, device: &Device) -> Result<Option<CheckedElement>> {
    let Some((point, worst)) = worst_direction(case, device)? else { return Ok(None) };
    let (input, n) = (worst.input, worst.directions.elements);
    let at = match worst.directions.element(worst.number) {
        Some(at) => at,
        None => point.bisect(input, &worst.directions.vector(worst.number))?,
    };
    let (gradient, expected) = point.along(input, &unit(n, at))?;
    let index = index_of(at, &case.inputs[input].shape);
    Ok(Some(CheckedElement { input, index, gradient, expected, error: worst.error }))
}

/// The worst direction of a case; none if nothing is differentiable.
fn worst_direction<'a>(case: &'a Case, device: &Device) -> Result<Option<(Point<'a>, Worst)>> {
    let checked: Vec<bool> = case.inputs.iter().map(|input| input.differentiable).collect();
    if !checked.contains(&true) {
        return Ok(None);
    }
    let point = Point::new(&case.call, case.tensors(device), &checked, |y| case.seeds(y))?;
    let mut worst = None;
    for (number, input) in case.inputs.iter().enumerate().filter(|(_, x)| x.differentiable) {
        let elements = input.shape.iter().product();
        let signs = elements > ELEMENTWISE_UP_TO;
        worst = worse(worst, point.worst(number, Directions { elements, signs })?);
    }
    Ok(worst.map(|worst| (point, worst)))
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
    /// The difference of both, relative to the largest gradient of that input. It should be at most [`PASS`].
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
    let one = as_function(|x| vec![f(x)]);
    let ones = |y: &[Var]| vec![Tensor::full(y[0].device(), 1.0, y[0].shape())];
    let point = Point::new(&one, inputs.to_vec(), &vec![true; inputs.len()], ones)?;
    let mut worst = None;
    for (number, input) in inputs.iter().enumerate() {
        let directions = Directions { elements: input.len(), signs: false };
        worst = worse(worst, point.worst(number, directions)?);
    }
    let worst = worst.expect("gradcheck: the inputs have no elements");
    let Worst { input, number, gradient, expected, error, .. } = worst;
    let index = index_of(number, inputs[input].shape());
    Ok(CheckedElement { input, index, gradient, expected, error })
}

/// Has the compiler take a closure for any lifetime.
fn as_function<F: for<'t> Fn(&[Var<'t>]) -> Vec<Var<'t>>>(f: F) -> F {
    f
}

/// Directions in which an input moves: all unit vectors, or vectors of random signs. With signs every element moves by a
/// full step, so the change of L is well above rounding.
#[derive(Clone, Copy)]
struct Directions {
    elements: usize,
    signs: bool,
}

impl Directions {
    fn count(self) -> usize {
        if self.signs { DIRECTIONS } else { self.elements }
    }

    /// The only element that moves in direction `number`, if there is only one.
    fn element(self, number: usize) -> Option<usize> {
        (!self.signs).then_some(number)
    }

    fn vector(self, number: usize) -> Vec<f32> {
        if !self.signs {
            return unit(self.elements, number);
        }
        let key = Key::new(11, stream::TEST, number as u32);
        let sign = |i| if key.word(i) & 1 == 0 { 1.0 } else { -1.0 };
        (0..self.elements as u64).map(sign).collect()
    }
}

fn unit(elements: usize, at: usize) -> Vec<f32> {
    let mut vector = vec![0.0; elements];
    vector[at] = 1.0;
    vector
}

/// The direction in which a gradient differs most from finite differences.
struct Worst {
    input: usize,
    directions: Directions,
    number: usize,
    gradient: f64,
    expected: f64,
    error: f64,
}

fn worse(a: Option<Worst>, b: Option<Worst>) -> Option<Worst> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.error > a.error { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// A function at given inputs, with its gradients there.
struct Point<'a> {
    f: &'a Function<'a>,
    inputs: Vec<Tensor>,
    /// dy of each output.
    dy: Vec<Vec<f32>>,
    /// x and dL/dx of each input; of those that are not checked none.
    x: Vec<Option<(Vec<f32>, Vec<f32>)>>,
}

impl<'a> Point<'a> {
    fn new(
        f: &'a Function<'a>,
        inputs: Vec<Tensor>,
        checked: &[bool],
        seeds: impl Fn(&[Var]) -> Vec<Tensor>,
    ) -> Result<Point<'a>> {
        let tape = Tape::new();
        let put = |(x, checked): (&Tensor, &bool)| match checked {
            true => tape.leaf(x.clone()),
            false => tape.constant(x.clone()),
        };
        let vars: Vec<Var> = inputs.iter().zip(checked).map(put).collect();
        let y = f(&vars);
        let seeds = seeds(&y);
        let pairs: Vec<(&Var, Tensor)> = y.iter().zip(seeds.iter().cloned()).collect();
        let gradients = tape.backward(&pairs);
        let dy = seeds.iter().map(Tensor::to_vec).collect::<Result<_>>()?;
        let mut x = Vec::new();
        for ((var, input), checked) in vars.iter().zip(&inputs).zip(checked) {
            let gradient = match gradients.of(var) {
                Some(gradient) => gradient.to_vec()?,
                None => vec![0.0; input.len()],
            };
            x.push(if *checked { Some((input.to_vec()?, gradient)) } else { None });
        }
        Ok(Point { f, inputs, dy, x })
    }

    /// L with other values of an input.
    fn loss(&self, number: usize, values: &[f32]) -> Result<f64> {
        let tape = Tape::inference();
        let put = |(i, x): (usize, &Tensor)| match i == number {
            true => tape.constant(Tensor::new(x.device(), values, x.shape())),
            false => tape.constant(x.clone()),
        };
        let vars: Vec<Var> = self.inputs.iter().enumerate().map(put).collect();
        let mut total = 0.0;
        for (y, dy) in (self.f)(&vars).iter().zip(&self.dy) {
            let y = y.value().to_vec()?;
            total += y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum::<f64>();
        }
        Ok(total)
    }

    /// The derivative along `u`: <dL/dx, u>, and by finite differences.
    fn along(&self, number: usize, u: &[f32]) -> Result<(f64, f64)> {
        let (x0, gradient) = self.x[number].as_ref().expect("an input that is checked");
        let at = |h: f32| {
            let moved: Vec<f32> = x0.iter().zip(u).map(|(x, u)| x + h * u).collect();
            self.loss(number, &moved)
        };
        let near = at(STEP)? - at(-STEP)?;
        let far = at(2.0 * STEP)? - at(-2.0 * STEP)?;
        let dot = gradient.iter().zip(u).map(|(&g, &u)| f64::from(g) * f64::from(u)).sum();
        Ok((dot, (8.0 * near - far) / (12.0 * f64::from(STEP))))
    }

    /// The worst of some directions of an input; none if there are none.
    fn worst(&self, input: usize, directions: Directions) -> Result<Option<Worst>> {
        let mut all = Vec::new();
        for number in 0..directions.count() {
            all.push(self.along(input, &directions.vector(number))?);
        }
        let scale = all.iter().fold(1e-2_f64, |most, (_, expected)| most.max(expected.abs()));
        let with_error = |(number, (gradient, expected)): (usize, (f64, f64))| {
            let error = (gradient - expected).abs() / scale;
            let error = if error.is_nan() { f64::INFINITY } else { error };
            Some(Worst { input, directions, number, gradient, expected, error })
        };
        Ok(all.into_iter().enumerate().map(with_error).fold(None, worse))
    }

    /// The element of an input that contributes most to the error along `u`: of two halves, the one with the larger
    /// error has it. Halves differ by rounding alone if the gradient is right, and any element will do.
    fn bisect(&self, input: usize, u: &[f32]) -> Result<usize> {
        let error = |within: &Range<usize>| -> Result<f64> {
            let part = |(i, u): (usize, &f32)| if within.contains(&i) { *u } else { 0.0 };
            let part: Vec<f32> = u.iter().enumerate().map(part).collect();
            let (gradient, expected) = self.along(input, &part)?;
            Ok((gradient - expected).abs())
        };
        let mut range = 0..u.len();
        while range.len() > 1 {
            let middle = range.start + range.len() / 2;
            let (first, second) = (range.start..middle, middle..range.end);
            let larger = error(&first)? < error(&second)?;
            range = if larger { second } else { first };
        }
        Ok(range.start)
    }
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
