//! An LSTM cell, which computes one time step per call. \[o, f, i, g\] = act(\[x, h\] W^T + b); see
//! `ops/lstm_cell/mod.rs`. x \[B, in\], h, c \[B, hidden\].

use rand::Rng;

use super::{Linear, Module};
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::shared::Shared;

/// The weights of an LSTM: a linear layer from the concatenated input and previous h to the gates before their
/// activation, stacked o, f, i, g. Weight \[4 hidden, in + hidden\], bias \[4 hidden\].
pub struct LstmCell(pub Linear);

impl LstmCell {
    /// Weights uniform on \[-1 / sqrt(in + hidden), 1 / sqrt(in + hidden)\], biases 0.
    pub fn new(device: &Device, inputs: usize, hidden: usize, rng: &mut impl Rng) -> LstmCell {
        LstmCell(Linear::uniform(device, inputs + hidden, 4 * hidden, rng))
    }

    /// The weights for all time steps on the tape of `on`, packed once; see [`Shared`].
    pub fn shared<'t>(&self, on: &Var<'t>) -> Shared<'t> {
        self.0.shared(on)
    }
}

impl Module for LstmCell {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.0.visit(path, f);
    }
}
