//! Numbers that are not finite, found on the device without a read-back, by their bits.
//!
//! A tally \[4\] on the device keeps what was found since it was last fetched:
//! 0: a gradient of this step is not finite; 1: steps left out; 2: the first of them; 3: the first step
//! whose update made a weight or a moment that is not finite. Steps are numbered from 1 since the last
//! fetch, and 0 stands for none.
//!
//! `judge` gives the factor that all gradients of a step are multiplied by: clipping, or -1 where the
//! step is bad, and then no update of the step changes anything.

pub(super) mod cpu;
mod params;
mod reference;

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, shader};
use crate::tensor::Tensor;
pub use params::{FiniteParams, VerdictParams};

/// Marks the tally if x is not finite. Input: x; state: tally \[4\].
pub static FINITE: Kernel<FiniteParams, 1, 1> = Kernel {
    program: Program {
        name: "finite",
        source: shader!("lib/index", "finite/finite"),
        inputs: 1,
        outputs: 1,
    },
    cpu: cpu::mark,
    reference: reference::mark,
    stages: |p| elementwise("mark", p.n as usize, p),
    cost: |p| Cost { flops: u64::from(p.n), bytes: 4 * u64::from(p.n), loop_iterations: 0 },
    entries: &["mark"],
};

/// Judges a step. Inputs: sum of the squares of all gradients \[1\], loss \[1\]; states: scale \[1\],
/// tally \[4\], sum of the losses of good steps \[1\].
pub static VERDICT: Kernel<VerdictParams, 2, 3> = Kernel {
    program: Program { name: "verdict", source: shader!("finite/verdict"), inputs: 2, outputs: 3 },
    cpu: cpu::verdict,
    reference: reference::verdict,
    stages: |p| vec![Stage { entry: "verdict", groups: [1; 3], params: *p }],
    cost: |_| Cost { flops: 4, bytes: 48, loop_iterations: 0 },
    entries: &["verdict"],
};

/// Marks `tally` if a number of `x` is not finite.
pub fn mark(x: &Tensor, tally: &mut Tensor) {
    FINITE.update(FiniteParams { n: x.len() as u32 }, [x], [tally]);
}

/// Judges a step: fills `scale` and adds the loss to `sum`, unless the step is bad. `squares` counts
/// where the limit is above 0 only.
pub(crate) fn judge(
    params: VerdictParams,
    squares: &Tensor,
    loss: &Tensor,
    [scale, tally, sum]: [&mut Tensor; 3],
) {
    VERDICT.update(params, [squares, loss], [scale, tally, sum]);
}
