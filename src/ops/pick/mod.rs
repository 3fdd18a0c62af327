//! Sampling one value of a pixel from its logits, for the cached sampler.
//!
//! [Pixel Recurrent Neural Networks], sections 2.1 and 2.2. With two levels, v = 1 if u < sigmoid(l), else 0. With
//! more, v is the first level whose cumulative probability, the sum of softmax(l)_w over w <= v, exceeds u. The value is
//! written into the image in the scale of the network's input: x = (v / (levels - 1) - mean) / std. Not
//! differentiable.
//!
//! Shapes: logits \[B, H, W, C\] (two levels) or \[B, H, W, C levels\], u, x \[B, H, W, C\].
//!
//! [Pixel Recurrent Neural Networks]: https://arxiv.org/abs/1601.06759

mod cpu;
mod params;
mod reference;

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::tensor::Tensor;
pub use params::PickParams;
pub(super) use reference::level;

/// Samples one value in every image, in place. Inputs: logits, u; state: x.
pub static PICK: Kernel<PickParams, 2, 1> = Kernel {
    program: Program {
        name: "pick",
        source: shader!("lib/index", "lib/math", "lib/level", "pick/pick"),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::pick,
    reference: reference::pick,
    stages: |p| elementwise("pick", p.batch as usize, p),
    cost: |p| {
        let n = u64::from(p.batch) * u64::from(p.levels);
        Cost { flops: 12 * n, bytes: 4 * n, loop_iterations: 3 * u64::from(p.levels) }
    },
    entries: &["pick"],
};

/// Conversion of levels v to the network's inputs, x = (v / (levels - 1) - mean) / std.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Number of levels, at least 2.
    pub levels: usize,
    /// Mean of v / (levels - 1).
    pub mean: f32,
    /// Standard deviation of v / (levels - 1).
    pub std: f32,
}

/// Samples channel `channel` of pixel (row, column) of every image into x, with uniform numbers u in \[0, 1).
///
/// # Panics
///
/// When the shapes do not fit, the value is outside the image, or x shares its memory with another tensor.
#[track_caller]
pub fn pick(
    (logits, u): (&Tensor, &Tensor),
    scale: Scale,
    (row, column, channel): (usize, usize, usize),
    x: &mut Tensor,
) {
    let [batch, height, width, channels] = *x.shape() else {
        panic!("pick: {:?} is not [B, H, W, C]", x.shape())
    };
    let each = if scale.levels == 2 { 1 } else { scale.levels };
    assert!(
        logits.shape() == [batch, height, width, channels * each] && u.shape() == x.shape(),
        "pick: logits {:?}, u {:?}, x {:?}",
        logits.shape(),
        u.shape(),
        x.shape()
    );
    assert!(row < height && column < width && channel < channels, "pick: outside {:?}", x.shape());
    let params = PickParams {
        batch: batch as u32,
        pixels: (height * width) as u32,
        channels: channels as u32,
        levels: scale.levels as u32,
        pixel: (row * width + column) as u32,
        channel: channel as u32,
        mean: scale.mean,
        std_dev: scale.std,
    };
    PICK.update(params, [logits, u], [x]);
}
