//! Transposed convolution in two steps: a matrix product computes the contribution of every input pixel to its
//! neighbourhood, and the fold sums the contributions that overlap. (PyTorch calls it `Fold`, or col2im.)
//!
//! [Pixel Recurrent Neural Networks], section 3.6: the conditional network of Multi-Scale upsamples a
//! small image this way. With x \[B, H, W, I\], weights (in, out, k, k) and stride s, output pixel
//! (r, c) of s H x s W is
//!
//! ```text
//! y[b, r, c, o] = sum of cols[b, i, j, u, v, o] over i, j, u, v
//!                 with s i + u - pad = r and s j + v - pad = c
//! cols[b, i, j, u, v, o] = sum_k x[b, i, j, k] w[k, o, u, v],    pad = (k - s) / 2
//! ```
//!
//! The gradient of the fold is its adjoint, unfold (im2col): each (i, j, u, v) reads the pixel that it was added to.
//!
//! Shapes: cols \[B, H, W, k, k, O\] as \[B, H, W, k k O\], y \[B, s H, s W, O\].
//!
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

mod cpu;
mod params;
mod reference;

use crate::autograd::case::{Case, Input};
use crate::autograd::{Backward, Var};
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::tensor::Tensor;
pub use params::FoldParams;

impl FoldParams {
    fn small(&self) -> usize {
        self.batch as usize * self.height as usize * self.width as usize * self.channels as usize
    }

    fn cols(&self) -> usize {
        self.small() * (self.side * self.side) as usize
    }

    fn y(&self) -> usize {
        self.small() * (self.stride * self.stride) as usize
    }

    fn cost(&self) -> Cost {
        let (cols, y) = (self.cols() as u64, self.y() as u64);
        let overlap = u64::from(self.side.div_ceil(self.stride));
        Cost { flops: cols, bytes: 4 * (cols + y), loop_iterations: overlap * (overlap + 1) }
    }
}

/// Sums cols \[B, H, W, k, k, O\] into y \[B, s H, s W, O\].
pub static FOLD: Kernel<FoldParams, 1, 1> = Kernel {
    program: Program {
        name: "fold",
        source: shader!("lib/index", "lib/fold", "fold/fold"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::fold,
    reference: reference::fold,
    stages: |p| elementwise("fold", p.y(), p),
    cost: FoldParams::cost,
    entries: &["fold"],
};

/// Reads cols from y; the adjoint of [`FOLD`].
pub static UNFOLD: Kernel<FoldParams, 1, 1> = Kernel {
    program: Program {
        name: "unfold",
        source: shader!("lib/index", "lib/fold", "fold/unfold"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::unfold,
    reference: reference::unfold,
    stages: |p| elementwise("unfold", p.cols(), p),
    cost: FoldParams::cost,
    entries: &["unfold"],
};

struct Rule {
    params: FoldParams,
    shape: Vec<usize>,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let [dcols] = UNFOLD.launch(self.params, [&dy[0]], [&self.shape]);
        vec![Some(dcols)]
    }
}

impl<'t> Var<'t> {
    /// Sums overlapping patches: `self` \[B, H, W, side * side * O\] holds for each input pixel a patch of `side` x
    /// `side` output pixels; patches are `stride` apart. The result is \[B, stride H, stride W, O\].
    ///
    /// # Panics
    ///
    /// When the shape does not fit, `side` is less than `stride`, or one of them is even and the other odd.
    #[track_caller]
    pub fn fold(&self, side: usize, stride: usize) -> Var<'t> {
        let [batch, height, width, depth] = *self.shape() else {
            panic!("fold: {:?} is not [B, H, W, side side O]", self.shape())
        };
        let channels = depth / (side * side).max(1);
        assert!(
            stride > 0
                && side >= stride
                && (side - stride).is_multiple_of(2)
                && channels * side * side == depth,
            "fold: side {side} and stride {stride} of {:?}",
            self.shape()
        );
        let [b, h, w, o, k, s] = [batch, height, width, channels, side, stride].map(|n| n as u32);
        let pad = (k - s) / 2;
        let params =
            FoldParams { batch: b, height: h, width: w, channels: o, side: k, stride: s, pad };
        let shape = [batch, stride * height, stride * width, channels];
        let [y] = FOLD.launch(params, [self.value()], [&shape]);
        let rule = || Box::new(Rule { params, shape: self.shape().to_vec() }) as Box<dyn Backward>;
        let [y] = self.tape().record(&[self], [y], rule);
        y
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |b: usize, h: usize, w: usize, o: usize, side: usize, stride: usize| {
        let label = format!("{b}x{h}x{w}, {o} channels, side {side}, stride {stride}");
        let inputs = vec![Input::normal("cols", &[b, h, w, side * side * o])];
        Case::new("fold", &label, inputs, move |x| vec![x[0].fold(side, stride)])
    };
    vec![
        case(2, 3, 4, 3, 2, 2),
        case(1, 3, 2, 2, 4, 2),
        case(2, 1, 3, 5, 3, 1),
        case(1, 2, 3, 1, 5, 3),
        case(1, 1, 1, 65, 6, 2),
    ]
}
