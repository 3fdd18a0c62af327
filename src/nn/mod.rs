//! Building blocks of models: layers, parameters by name, optimisers.

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
use crate::tensor::Tensor;

/// First values of a parameter of `shape`, drawn in order. Nothing is drawn on a meta device.
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

/// Something with parameters. Names are paths (`encoder.hidden.weight`), and the checkpoint's names.
pub trait Module {
    /// Calls `f` with the name and the parameter, for each, always in the same order. `path` is put
    /// in front of the names.
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param));

    /// Names and parameters.
    fn parameters(&self) -> Vec<(String, &Param)> {
        let mut all = Vec::new();
        self.visit("", &mut |name, p| all.push((name.to_string(), p)));
        all
    }

    /// Number of trainable numbers.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|(_, p)| p.value().len()).sum()
    }
}

/// `path.name`, or `name` at the root.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}
