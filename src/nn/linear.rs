//! A fully connected layer: y = act(x W^T + b). x \[rows, in\], W \[out, in\], b \[out\], y \[rows, out\].

use rand::Rng;
use rand_distr::{Normal, Uniform};

use super::{Module, drawn, join};
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::matmul::Activation;
use crate::ops::shared::Shared;
use crate::tensor::Tensor;

/// A fully connected layer.
pub struct Linear {
    /// \[out, in\].
    pub weight: Param,
    /// \[out\].
    pub bias: Param,
}

impl Linear {
    /// Weights and biases from N(0, std^2).
    pub fn new(
        device: &Device,
        inputs: usize,
        outputs: usize,
        std: f32,
        rng: &mut impl Rng,
    ) -> Linear {
        let normal = Normal::new(0.0, std).expect("a standard deviation of at least 0");
        let mut draw = |shape: &[usize]| Param::new(drawn(device, shape, &normal, rng));
        Linear { weight: draw(&[outputs, inputs]), bias: draw(&[outputs]) }
    }

    /// Weights uniform on \[-1 / sqrt(inputs), 1 / sqrt(inputs)\], biases 0.
    pub fn uniform(device: &Device, inputs: usize, outputs: usize, rng: &mut impl Rng) -> Linear {
        let bound = 1.0 / (inputs as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound above 0");
        Linear {
            weight: Param::new(drawn(device, &[outputs, inputs], &uniform, rng)),
            bias: Param::new(Tensor::zeros(device, &[outputs])),
        }
    }

    /// The layer for repeated use on the tape of `on`, with the weights packed once; see [`Shared`].
    pub fn shared<'t>(&self, on: &Var<'t>) -> Shared<'t> {
        let tape = on.tape();
        Shared::new(&tape.param(&self.weight), Some(&tape.param(&self.bias)))
    }

    /// act(x W^T + b). Panics if x is not \[rows, in\].
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, activation: Activation) -> Var<'t> {
        let (w, b) = (x.tape().param(&self.weight), x.tape().param(&self.bias));
        x.linear(&w, Some(&b), activation)
    }

    /// [`Linear::forward`] for an x that may be mostly zeros; see [`Var::sparse_linear`].
    #[track_caller]
    pub fn forward_sparse<'t>(&self, x: &Var<'t>, activation: Activation) -> Var<'t> {
        let (w, b) = (x.tape().param(&self.weight), x.tape().param(&self.bias));
        x.sparse_linear(&w, Some(&b), activation)
    }
}

impl Module for Linear {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f(&join(path, "weight"), &self.weight);
        f(&join(path, "bias"), &self.bias);
    }
}
