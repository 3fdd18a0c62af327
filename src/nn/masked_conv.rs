//! A masked convolution layer, in which a pixel depends only on earlier pixels: y = act(conv(x) + b) + residual (see
//! `ops/masked_conv/mod.rs`). x \[B, H, W, in\], weight (out, in, kh, kw), b \[out\], y \[B, H, W, out\].

use rand::Rng;
use rand_distr::Uniform;

use super::{Module, drawn, join};
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::ops::mask::{self, Mask};
use crate::ops::masked_conv::{Around, Window, conv_at};
use crate::tensor::Tensor;

/// A masked convolution.
pub struct MaskedConv {
    /// (out, in, kh, kw); masked weights are 0.
    pub weight: Param,
    /// \[out\]; `None` for a layer without bias.
    pub bias: Option<Param>,
    window: Window,
}

/// A [`MaskedConv`] with packed weights, for the cached sampler.
pub struct PackedConv {
    packed: Tensor,
    bias: Option<Tensor>,
    window: Window,
}

impl MaskedConv {
    /// Weights are uniform with variance gain^2 / n, where n is the number of unmasked inputs of an output (fan-in). A
    /// gain of 1 keeps the mean square of the activations; sqrt(2) compensates for a preceding ReLU (He, Zhang, Ren,
    /// Sun, arXiv 1502.01852). Biases start at 0. The pairs are (input, output channels) and (kernel height, width).
    pub fn new(
        device: &Device,
        (inputs, outputs): (usize, usize),
        (height, width): (usize, usize),
        mask: Mask,
        gain: f32,
        rng: &mut impl Rng,
    ) -> MaskedConv {
        let window = Window::centred(height, width, mask);
        let bound = gain * (3.0 / (window.taps * inputs).max(1) as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound above 0");
        let shape = [outputs, inputs, height, width];
        let weight = mask::hide(&drawn(device, &shape, &uniform, rng), mask);
        MaskedConv {
            weight: Param::new(weight),
            bias: Some(Param::new(Tensor::zeros(device, &[outputs]))),
            window,
        }
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> MaskedConv {
        MaskedConv { bias: None, ..self }
    }

    /// act(conv(x) + b) + residual; `around` has the activations before and after the convolution. Panics if x is not
    /// \[B, H, W, in\] or the residual is not \[B, H, W, out\].
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, around: Around, residual: Option<&Var<'t>>) -> Var<'t> {
        let w = x.tape().param(&self.weight).masked(self.window.mask);
        let bias = self.bias.as_ref().map(|b| x.tape().param(b));
        x.masked_conv(&w, self.window, around, bias.as_ref(), residual)
    }

    /// Packs the weights for [`PackedConv::at`].
    pub fn packed(&self) -> PackedConv {
        PackedConv {
            packed: mask::pack(&self.weight.value(), self.window.mask),
            bias: self.bias.as_ref().map(Param::value),
            window: self.window,
        }
    }
}

impl PackedConv {
    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.packed.shape()[2]
    }

    /// The packed weights, the bias and the window.
    pub(crate) fn parts(&self) -> (&Tensor, Option<&Tensor>, Window) {
        (&self.packed, self.bias.as_ref(), self.window)
    }

    /// Writes the layer's output at pixel (row, column) into the map y \[B, H, W, out\].
    pub fn at(
        &self,
        x: &Tensor,
        around: Around,
        residual: Option<&Tensor>,
        at: (usize, usize),
        y: &mut Tensor,
    ) {
        conv_at((x, &self.packed), self.window, around, (self.bias.as_ref(), residual), at, y);
    }

    /// A 1 x 1 layer that reads the pixel above instead of its own, without bias. It equals this layer after its input
    /// is shifted down by one row. Panics if the kernel is not 1 x 1.
    #[track_caller]
    pub fn shifted_down(&self) -> PackedConv {
        let window = Window::centred(1, 1, self.window.mask);
        assert_eq!(self.window, window, "shifted_down: a 1 x 1 kernel");
        PackedConv { packed: self.packed.clone(), bias: None, window: Window { top: -1, ..window } }
    }
}

impl Module for MaskedConv {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f(&join(path, "weight"), &self.weight);
        if let Some(bias) = &self.bias {
            f(&join(path, "bias"), bias);
        }
    }
}
