//! A case: one call of an op with its inputs. Cases drive the gradient check, the comparison of the CPU and
//! the GPU with the reference, and the thread test, so a new op is tested as soon as its cases are listed.

use super::{Tape, Var};
use crate::device::Device;
use crate::error::Result;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// Distribution of an input's values.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Normal,
    Uniform(f32, f32),
    OffZero,
    Bits(f32),
    Index(usize),
}

/// An input of a case.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name in messages.
    pub name: &'static str,
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// Whether a gradient with respect to it is checked.
    pub differentiable: bool,
    fill: Fill,
}

impl Input {
    fn new(name: &'static str, shape: &[usize], fill: Fill, differentiable: bool) -> Input {
        Input { name, shape: shape.to_vec(), differentiable, fill }
    }

    /// Standard normal.
    pub fn normal(name: &'static str, shape: &[usize]) -> Input {
        Input::new(name, shape, Fill::Normal, true)
    }

    /// Uniform in \[low, high).
    pub fn uniform(name: &'static str, shape: &[usize], low: f32, high: f32) -> Input {
        Input::new(name, shape, Fill::Uniform(low, high), true)
    }

    /// Uniform in \[-1.5, -0.5) and \[0.5, 1.5): away from a kink at 0.
    pub fn off_zero(name: &'static str, shape: &[usize]) -> Input {
        Input::new(name, shape, Fill::OffZero, true)
    }

    /// 0 or 1 with equal probability, without gradient.
    pub fn binary(name: &'static str, shape: &[usize]) -> Input {
        Input::bits(name, shape, 0.5)
    }

    /// 1 with probability `ones`, else 0; without gradient.
    pub fn bits(name: &'static str, shape: &[usize], ones: f32) -> Input {
        Input::new(name, shape, Fill::Bits(ones), false)
    }

    /// Integers in 0..n (stored as f32), without gradient.
    pub fn index(name: &'static str, shape: &[usize], n: usize) -> Input {
        Input::new(name, shape, Fill::Index(n), false)
    }

    /// The same input, but its gradient is not checked.
    pub fn constant(self) -> Input {
        Input { differentiable: false, ..self }
    }

    /// The values in row-major order. They are a function of the shape, the distribution and `number`, the input's
    /// index in its case.
    pub fn values(&self, number: usize) -> Vec<f32> {
        let key = Key::new(7, stream::TEST + number as u32, 0);
        let n = self.shape.iter().product::<usize>() as u64;
        let signed = |u: f32| if u < 0.5 { -1.5 + 2.0 * u } else { -0.5 + 2.0 * u };
        (0..n)
            .map(|i| match self.fill {
                Fill::Normal => crate::rng::normal(key, i),
                Fill::Uniform(low, high) => low + (high - low) * key.uniform(i),
                Fill::OffZero => signed(key.uniform(i)),
                Fill::Bits(ones) => f32::from(key.uniform(i) < ones),
                Fill::Index(count) => (key.word(i) as usize % count) as f32,
            })
            .collect()
    }
}

type Function = Box<dyn for<'t> Fn(&[Var<'t>]) -> Vec<Var<'t>> + Send + Sync>;

/// One call of an op.
pub struct Case {
    /// The op's stem, which is its folder's name.
    pub op: &'static str,
    /// Sizes and variant of the call, for messages.
    pub label: String,
    /// Inputs of the call, in order.
    pub inputs: Vec<Input>,
    /// Applies the op to the inputs and returns its outputs.
    pub call: Function,
    /// Largest accepted max|a - b| / (1e-6 + max|b|) between two devices.
    pub tolerance: f32,
}

impl Case {
    /// A case with the usual tolerance, 1e-5.
    pub fn new(
        op: &'static str,
        label: &str,
        inputs: Vec<Input>,
        call: impl for<'t> Fn(&[Var<'t>]) -> Vec<Var<'t>> + Send + Sync + 'static,
    ) -> Case {
        Case { op, label: label.into(), inputs, call: Box::new(call), tolerance: 1e-5 }
    }

    /// The same case under another label.
    pub fn label(self, label: String) -> Case {
        Case { label, ..self }
    }

    /// The inputs as tensors on `device`.
    pub fn tensors(&self, device: &Device) -> Vec<Tensor> {
        let make = |(i, x): (usize, &Input)| Tensor::new(device, &x.values(i), &x.shape);
        self.inputs.iter().enumerate().map(make).collect()
    }

    /// The inputs on a tape: differentiable ones are leaves, the others constants.
    pub fn vars<'t>(&self, tape: &'t Tape, tensors: &[Tensor]) -> Vec<Var<'t>> {
        let put = |(x, t): (&Input, &Tensor)| {
            if x.differentiable { tape.leaf(t.clone()) } else { tape.constant(t.clone()) }
        };
        self.inputs.iter().zip(tensors).map(put).collect()
    }

    /// Fixed pseudo-random gradients dy, one for each output.
    pub fn seeds(&self, outputs: &[Var]) -> Vec<Tensor> {
        let seed = |(i, y): (usize, &Var)| {
            let values = Input::normal("dy", y.shape()).values(100 + i);
            Tensor::new(y.device(), &values, y.shape())
        };
        outputs.iter().enumerate().map(seed).collect()
    }
}

/// How much more gradients may differ than outputs do.
const GRADIENTS: f32 = 5.0;

impl Case {
    /// Outputs and gradients on `device`, by name.
    ///
    /// Errors: [`crate::Error::Device`] if the device fails.
    pub fn results(&self, device: &Device) -> Result<Vec<(String, Vec<f32>)>> {
        let tape = Tape::new();
        let x = self.vars(&tape, &self.tensors(device));
        let y = (self.call)(&x);
        let seeds = self.seeds(&y);
        let mut all = Vec::new();
        for (i, y) in y.iter().enumerate() {
            all.push((format!("output {i}"), y.value().to_vec()?));
        }
        let pairs: Vec<_> = y.iter().zip(seeds).collect();
        let gradients = tape.backward(&pairs);
        for (x, input) in x.iter().zip(&self.inputs).filter(|(_, input)| input.differentiable) {
            if let Some(dx) = gradients.of(x) {
                all.push((format!("gradient of {}", input.name), dx.to_vec()?));
            }
        }
        Ok(all)
    }

    /// Compares each output and gradient on `device` with that on `reference`.
    ///
    /// Errors: [`crate::Error::Device`] if a device fails.
    pub fn compared(&self, device: &Device, reference: &Device) -> Result<Vec<Compared>> {
        let pairs = self.results(device)?.into_iter().zip(self.results(reference)?);
        let compare = |((what, found), (_, exact)): ((String, Vec<f32>), (String, Vec<f32>))| {
            let factor = if what.starts_with("output") { 1.0 } else { GRADIENTS };
            let finite = exact.iter().all(|x| x.is_finite());
            let distance = if finite { distance(&found, &exact) } else { f32::INFINITY };
            Compared { what, distance, limit: factor * self.tolerance }
        };
        Ok(pairs.map(compare).collect())
    }

    /// Outputs and gradients that differ on `device` from those on `reference` by more than the tolerance, or that
    /// are not finite there, one line each. Errors as [`Case::compared`].
    pub fn differences(&self, device: &Device, reference: &Device) -> Result<Vec<String>> {
        let compared = self.compared(device, reference)?;
        let differ = compared.into_iter().filter(|compared| !compared.agrees());
        Ok(differ.map(|compared| self.line(&compared)).collect())
    }

    /// The case and a comparison of it in one line.
    pub fn line(&self, Compared { what, distance, .. }: &Compared) -> String {
        format!("{} {}, {what}: {distance:.1e}", self.op, self.label)
    }
}

/// An output or a gradient of a case on two devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Its name, such as `output 0` or `gradient of x`.
    pub what: String,
    /// See [`distance`]; infinite if the reference itself is NaN or infinite somewhere.
    pub distance: f32,
    /// Largest accepted distance.
    pub limit: f32,
}

impl Compared {
    /// Whether the distance is accepted.
    pub fn agrees(&self) -> bool {
        self.distance <= self.limit
    }
}

/// max|a - b| / (1e-6 + max|b|): the distance that all comparisons with references use. It is infinite if the
/// lengths differ, or if one of two differing elements is NaN or infinite, so a NaN never passes.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let mut worst = 0.0_f64;
    let mut scale = 0.0_f64;
    for (&a, &b) in a.iter().zip(b) {
        if a.to_bits() != b.to_bits() {
            let d = (f64::from(a) - f64::from(b)).abs();
            worst = if d.is_nan() { f64::INFINITY } else { worst.max(d) };
        }
        if b.is_finite() {
            scale = scale.max(f64::from(b).abs());
        }
    }
    (worst / (1e-6 + scale)) as f32
}
