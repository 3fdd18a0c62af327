//! Masks: which weights of a causal convolution are visible, and how kernels store them.
//!
//! [Pixel Recurrent Neural Networks], section 3.4. A masked kernel (out, in, kh, kw) covers the rows above its
//! centre and the pixels to the left of it. In the centre tap, the channels are divided into colour
//! groups: an output reads the inputs of lower groups (mask A, first layer), or of lower groups and its own (mask
//! B). With G groups, channel c of C is in group floor(c G / C). If several maps are
//! stacked in the outputs (the four gates of an LSTM), groups are counted within each map.
//!
//! Kernels compute with the visible taps only, packed as \[taps, in, out\] with the taps in raster
//! order. In the centre tap, hidden weights are stored as 0. Packing is linear. Its adjoint moves gradients back to
//! (out, in, kh, kw) and sets them to exactly 0 where a weight is hidden, so no optimiser changes a hidden weight.
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
pub use params::MaskParams;

/// Which inputs an output may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Sight {
    /// All inputs: no mask.
    Everything = 0,
    /// Earlier pixels, and lower colour groups of the centre pixel (mask A).
    A = 1,
    /// Earlier pixels, and lower colour groups and the output's own group of the centre pixel (mask B).
    B = 2,
}

/// A mask for weights (out, in, kh, kw).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Kind of mask.
    pub sight: Sight,
    /// Number of colour groups.
    pub groups: usize,
    /// Number of maps stacked in the outputs; groups are counted within each map.
    pub stacks: usize,
}

impl Mask {
    /// No mask.
    pub const NONE: Mask = Mask { sight: Sight::Everything, groups: 1, stacks: 1 };

    /// A mask with `groups` colour groups and one map.
    pub fn new(sight: Sight, groups: usize) -> Mask {
        Mask { sight, groups, stacks: 1 }
    }

    /// Number of visible taps of a kh x kw kernel. They are the first ones in raster order.
    pub fn taps(self, kh: usize, kw: usize) -> usize {
        let before = kh / 2 * kw + kw / 2;
        match self.sight {
            Sight::Everything => kh * kw,
            Sight::A if self.groups == 1 => before,
            Sight::A | Sight::B => before + 1,
        }
    }
}

impl MaskParams {
    fn packed(&self) -> usize {
        self.taps as usize * self.inputs as usize * self.outputs as usize
    }

    fn full(&self) -> usize {
        self.area as usize * self.inputs as usize * self.outputs as usize
    }
}

fn cost(n: usize) -> Cost {
    Cost { flops: 0, bytes: 8 * n as u64, loop_iterations: 0 }
}

/// Packs the visible weights of w (out, in, kh, kw) as \[taps, in, out\].
pub static MASK: Kernel<MaskParams, 1, 1> = Kernel {
    program: Program {
        name: "mask",
        source: shader!("lib/index", "lib/mask", "mask/mask"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::pack,
    reference: reference::pack,
    stages: |p| elementwise("mask", p.packed(), p),
    cost: |p| cost(p.packed()),
    entries: &["mask"],
};

/// dw (out, in, kh, kw) from the gradient of the packed weights \[taps, in, out\]; 0 where w is hidden.
pub static MASK_GRADIENT: Kernel<MaskParams, 1, 1> = Kernel {
    program: Program {
        name: "mask_gradient",
        source: shader!("lib/index", "lib/mask", "mask/mask_gradient"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::unpack,
    reference: reference::unpack,
    stages: |p| elementwise("mask_gradient", p.full(), p),
    cost: |p| cost(p.full()),
    entries: &["mask_gradient"],
};

#[track_caller]
fn params(shape: &[usize], mask: Mask) -> MaskParams {
    let [outputs, inputs, kh, kw] = *shape else {
        panic!("masked weights are (out, in, kh, kw), not {shape:?}")
    };
    assert!(
        mask.stacks > 0 && outputs.is_multiple_of(mask.stacks) && mask.groups > 0,
        "mask: {outputs} outputs of {mask:?}"
    );
    assert!(
        mask.sight == Sight::Everything || kh % 2 == 1 && kw % 2 == 1,
        "mask: a masked kernel has a centre, {kh} x {kw} has none"
    );
    let all = mask.sight == Sight::Everything;
    MaskParams {
        outputs: outputs as u32,
        inputs: inputs as u32,
        area: (kh * kw) as u32,
        taps: mask.taps(kh, kw) as u32,
        centre: if all { u32::MAX } else { (kh / 2 * kw + kw / 2) as u32 },
        groups: mask.groups as u32,
        stack: (outputs / mask.stacks) as u32,
        own: u32::from(mask.sight == Sight::B),
    }
}

/// The visible weights of w (out, in, kh, kw) as \[taps, in, out\], with taps in raster order. Panics if w has another
/// rank, or if a masked kernel has an even side.
#[track_caller]
pub fn pack(w: &Tensor, mask: Mask) -> Tensor {
    let p = params(w.shape(), mask);
    let shape = [p.taps as usize, p.inputs as usize, p.outputs as usize];
    let [packed] = MASK.launch(p, [w], [&shape]);
    packed
}

/// A copy of w (out, in, kh, kw) in which hidden weights are 0.
#[track_caller]
pub fn hide(w: &Tensor, mask: Mask) -> Tensor {
    let [shown] = MASK_GRADIENT.launch(params(w.shape(), mask), [&pack(w, mask)], [w.shape()]);
    shown
}

struct Rule {
    params: MaskParams,
    shape: Vec<usize>,
}

impl Backward for Rule {
    fn name(&self) -> &'static str {
        "mask"
    }

    fn backward(self: Box<Self>, dy: &[Tensor], _need: &[bool]) -> Vec<Option<Tensor>> {
        let [dw] = MASK_GRADIENT.launch(self.params, [&dy[0]], [&self.shape]);
        vec![Some(dw)]
    }
}

impl<'t> Var<'t> {
    /// The visible weights as \[taps, in, out\], with taps in raster order; `self` is (out, in, kh, kw). Pixel
    /// Recurrent Neural Networks, section 3.4. Panics as [`pack`] does.
    #[track_caller]
    pub fn masked(&self, mask: Mask) -> Var<'t> {
        let packed = pack(self.value(), mask);
        let shape = self.shape().to_vec();
        let rule =
            || Box::new(Rule { params: params(&shape, mask), shape: shape.clone() }) as Box<_>;
        let [p] = self.tape().record(&[self], [packed], rule);
        p
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |shape: &[usize], mask: Mask| {
        let label = format!("{shape:?} {mask:?}");
        let inputs = vec![Input::normal("w", shape)];
        Case::new("mask", &label, inputs, move |x| vec![x[0].masked(mask)])
    };
    let stacked = |groups, stacks| Mask { stacks, ..Mask::new(Sight::B, groups) };
    vec![
        case(&[5, 3, 3, 3], Mask::new(Sight::A, 1)),
        case(&[7, 3, 5, 3], Mask::new(Sight::A, 3)),
        case(&[8, 10, 3, 3], Mask::new(Sight::B, 3)),
        case(&[7, 5, 1, 1], Mask::new(Sight::B, 3)),
        case(&[20, 7, 1, 3], stacked(3, 4)),
        case(&[12, 3, 1, 2], Mask::NONE),
        case(&[65, 17, 1, 1], Mask::new(Sight::B, 1)),
    ]
}
