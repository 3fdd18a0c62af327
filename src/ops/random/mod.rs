//! Random numbers on the device, as pure functions of a [`Key`]: uniform on \[0, 1), standard normal, and dropout
//! masks.

mod cpu;
mod params;
mod reference;

use crate::autograd::Var;
use crate::autograd::case::{Case, Input};
use crate::device::Device;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::ops::binary::{self, Operation};
use crate::ops::layout::slice;
use crate::rng::{Distribution, Key, stream};
use crate::tensor::Tensor;
pub use params::RandomParams;

/// Fills a tensor with random numbers; one invocation draws a block of four.
pub static RANDOM: Kernel<RandomParams, 0, 1> = Kernel {
    program: Program {
        name: "random",
        source: shader!("lib/index", "lib/math", "random/random"),
        inputs: 0,
        outputs: 1,
    },
    cpu: cpu::fill,
    reference: reference::fill,
    stages: |p| elementwise("random", (p.n as usize).div_ceil(4), p),
    cost: |p| Cost { flops: 30 * u64::from(p.n), bytes: 4 * u64::from(p.n), loop_iterations: 0 },
    entries: &["random"],
};

/// Fills a tensor with numbers 0, 1, ... of the draw.
#[track_caller]
fn draw(device: &Device, key: Key, shape: &[usize], distribution: Distribution) -> Tensor {
    assert_eq!(key.elsewhere, (0, 0), "random: noise for a part of a batch is drawn by rows");
    // The shader's numbers.
    let (distribution, keep) = match distribution {
        Distribution::Uniform => (0, 1.0),
        Distribution::Normal => (1, 1.0),
        Distribution::Dropout { keep } => (2, keep),
    };
    let params = RandomParams {
        n: shape.iter().product::<usize>() as u32,
        distribution,
        seed_low: key.seed as u32,
        seed_high: (key.seed >> 32) as u32,
        stream: key.stream,
        step: key.step,
        keep,
    };
    let [y] = RANDOM.launch_on(device, params, [], [shape]);
    y
}

/// Uniform random numbers on \[0, 1).
#[track_caller]
pub fn uniform(device: &Device, key: Key, shape: &[usize]) -> Tensor {
    draw(device, key, shape, Distribution::Uniform)
}

/// Standard normal random numbers.
#[track_caller]
pub fn normal(device: &Device, key: Key, shape: &[usize]) -> Tensor {
    draw(device, key, shape, Distribution::Normal)
}

/// Like [`uniform`], of shape \[outer, rows, inner\], but the rows may be a part of a batch (see [`Key::of_rows`]).
/// Each row gets the numbers that it has in the whole batch.
pub fn uniform_rows(device: &Device, key: Key, shape: [usize; 3]) -> Tensor {
    draw_rows(device, key, shape, Distribution::Uniform)
}

/// Like [`normal`], of shape \[outer, rows, inner\], for a part of a batch; see [`uniform_rows`].
pub fn normal_rows(device: &Device, key: Key, shape: [usize; 3]) -> Tensor {
    draw_rows(device, key, shape, Distribution::Normal)
}

/// Draws the numbers of the whole batch and slices them: noise is cheap compared with the computation that uses it.
fn draw_rows(device: &Device, key: Key, shape: [usize; 3], distribution: Distribution) -> Tensor {
    let ((before, after), [outer, rows, inner]) = (key.elsewhere, shape);
    let (before, after) = (before as usize, after as usize);
    let whole = Key { elsewhere: (0, 0), ..key };
    let y = draw(device, whole, &[outer, before + rows + after, inner], distribution);
    if before + after == 0 { y } else { slice(&y, 1, before as i64, rows) }
}

impl<'t> Var<'t> {
    /// Dropout (Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 2014): each element of
    /// x \[B, ...\] is set to 0 with probability `rate`, and otherwise divided by 1 - rate, so that the mean is
    /// preserved. The mask of an image depends on its index in the whole batch, so it is the same if the batch is
    /// split. Panics if `rate` is not in \[0, 1).
    #[track_caller]
    pub fn dropout(&self, rate: f32, key: Key) -> Var<'t> {
        assert!((0.0..1.0).contains(&rate), "dropout: a rate of {rate} lies outside [0, 1)");
        let rows = self.shape()[0];
        let shape = [1, rows, self.value().len() / rows.max(1)];
        let kept = draw_rows(self.device(), key, shape, Distribution::Dropout { keep: 1.0 - rate });
        self.mul(&self.tape().constant(kept.reshape(self.shape())))
    }
}

/// Cases of this op.
pub fn cases() -> Vec<Case> {
    let case = |rate: f32, shape: &[usize]| {
        let label = format!("dropout, rate {rate} of {shape:?}");
        let key = Key::new(1, stream::TEST, 2);
        Case::new("random", &label, vec![Input::normal("x", shape)], move |x| {
            vec![x[0].dropout(rate, key)]
        })
    };
    vec![case(0.0, &[3, 5]), case(0.3, &[2, 4, 3, 5]), case(0.9, &[700])]
}

/// 1 where u < p, else 0, with broadcasting: Bernoulli samples from uniform numbers `u` and probabilities `p`.
pub fn below(u: &Tensor, p: &Tensor) -> Tensor {
    binary::apply(Operation::Less, u, p)
}
