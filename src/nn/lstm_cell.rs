//! An LSTM that makes one step at a time, with the same weights each time.
//! \[o, f, i, g\] = act(\[x, h\] W^T + b), see `ops/lstm_cell.rs`. x \[B, in\], h, c \[B, hidden\].

use rand::Rng;
use rand_distr::{Distribution, Uniform};

use super::{Module, join};
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::shared::Shared;
use crate::tensor::Tensor;

/// The weights of an LSTM.
pub struct LstmCell {
    /// \[4 hidden, in + hidden\], gates stacked o, f, i, g.
    pub weight: Param,
    /// \[4 hidden\].
    pub bias: Param,
}

impl LstmCell {
    /// Weights uniform on +-1 / sqrt(in + hidden), biases 0.
    pub fn new(device: &Device, inputs: usize, hidden: usize, rng: &mut impl Rng) -> LstmCell {
        let (rows, columns) = (4 * hidden, inputs + hidden);
        let bound = 1.0 / (columns as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound above 0");
        let values: Vec<f32> = (0..rows * columns).map(|_| uniform.sample(rng)).collect();
        LstmCell {
            weight: Param::new(Tensor::new(device, &values, &[rows, columns])),
            bias: Param::new(Tensor::zeros(device, &[rows])),
        }
    }

    /// The weights for all steps on the tape of `on`.
    pub fn shared<'t>(&self, on: &Var<'t>) -> Shared<'t> {
        let tape = on.tape();
        Shared::new(&tape.param(&self.weight), Some(&tape.param(&self.bias)))
    }
}

impl Module for LstmCell {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f(&join(path, "weight"), &self.weight);
        f(&join(path, "bias"), &self.bias);
    }
}
