//! Transposed convolution that enlarges a map by an integer factor f. The kernel has side k = 2 f (2 f - 1 if f is
//! odd), as for bilinear interpolation, so that the outputs of neighbouring pixels overlap (see `ops/fold/mod.rs`).
//! x \[B, H, W, in\], weight (in, out, k, k), b \[out\], y \[B, f H, f W, out\].

use rand::Rng;
use rand_distr::Uniform;

use super::{Module, drawn, join};
use crate::autograd::{Param, Var};
use crate::device::Device;

/// A transposed convolution.
pub struct Upsample {
    /// (in, out, k, k), as in PyTorch's ConvTranspose2d with stride f and padding (k - f) / 2.
    pub weight: Param,
    /// \[out\].
    pub bias: Param,
    factor: usize,
}

impl Upsample {
    /// Weights and biases are uniform on \[-1 / sqrt(4 in), 1 / sqrt(4 in)\]: four input pixels contribute to an
    /// output.
    pub fn new(
        device: &Device,
        inputs: usize,
        outputs: usize,
        factor: usize,
        rng: &mut impl Rng,
    ) -> Upsample {
        let bound = 1.0 / ((4 * inputs) as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound above 0");
        let mut draw = |shape: &[usize]| Param::new(drawn(device, shape, &uniform, rng));
        let side = 2 * factor - factor % 2;
        let weight = draw(&[inputs, outputs, side, side]);
        Upsample { weight, bias: draw(&[outputs]), factor }
    }

    /// The enlarged map. Panics if x is not \[B, H, W, in\].
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let [batch, height, width, inputs] = *x.shape() else {
            panic!("upsample: {:?} is not [B, H, W, in]", x.shape())
        };
        let (w, b) = (x.tape().param(&self.weight), x.tape().param(&self.bias));
        let (outputs, side) = (w.shape()[1], w.shape()[2]);
        // (in, out, k, k) to (in, k k out): the contribution of a pixel to its neighbourhood.
        let w = w.permute(&[0, 2, 3, 1]).reshape(&[inputs, side * side * outputs]);
        let cols = x.reshape(&[batch * height * width, inputs]).matmul(&w);
        let cols = cols.reshape(&[batch, height, width, side * side * outputs]);
        cols.fold(side, self.factor).add(&b)
    }
}

impl Module for Upsample {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f(&join(path, "weight"), &self.weight);
        f(&join(path, "bias"), &self.bias);
    }
}
