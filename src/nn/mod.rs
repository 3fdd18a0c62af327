//! Building blocks of models: layers, parameters by name, optimisers.

mod arena;
mod ema;
mod found_inf;
mod linear;
mod lstm_cell;
mod lstm_scan;
mod masked_conv;
mod optimizer;
mod schedule;
mod train_state;
mod upsample;

use rand::Rng;
use rand_distr::Distribution;

pub use crate::autograd::Param;
pub use ema::Ema;
pub use found_inf::{Faults, FoundInf, OnNonfinite};
pub use linear::Linear;
pub use lstm_cell::LstmCell;
pub use lstm_scan::{LstmScan, PackedLstm};
pub use masked_conv::{MaskedConv, PackedConv};
pub use optimizer::{Decay, Optimizer, OptimizerConfig};
pub use schedule::Schedule;
pub use train_state::TrainState;
pub use upsample::Upsample;

use crate::device::Device;
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;

/// Initial values of a parameter, drawn in row-major order. Draws nothing on a meta device.
fn drawn(
    device: &Device,
    shape: &[usize],
    distribution: &impl Distribution<f32>,
    rng: &mut impl Rng,
) -> Tensor {
    if device.is_meta() {
        return Tensor::unwritten(device, shape);
    }
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| distribution.sample(rng)).collect();
    Tensor::new(device, &values, shape)
}

/// Multiplies a parameter by `factor`.
pub(crate) fn scale(param: &Param, factor: f32) {
    param.set(unary::apply(Function::Affine, &param.value(), factor, 0.0));
}

/// A model or a part of one that has parameters. Their names are paths (`encoder.hidden.weight`); checkpoints use the
/// same names.
pub trait Module {
    /// Calls `f` with the name of each parameter and the parameter, always in the same order. `path` is the prefix
    /// of the names; empty at the root.
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param));

    /// All parameters with their names, in the order of [`Module::visit`].
    fn parameters(&self) -> Vec<(String, &Param)> {
        let mut all = Vec::new();
        self.visit("", &mut |name, p| all.push((name.to_string(), p)));
        all
    }

    /// Total number of elements of all parameters.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, p)| p.value().len()).sum()
    }
}

/// `path.name`, or `name` at the root.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}
