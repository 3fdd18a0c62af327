//! Detects NaN and infinity on the device, by their bits, without a download.
//!
//! A tally \[4\] on the device collects the findings since it was last reset:
//!
//! | element | meaning |
//! | --- | --- |
//! | 0 | 1 if a gradient of this step is not finite |
//! | 1 | number of skipped steps |
//! | 2 | number of the first skipped step |
//! | 3 | number of the first step whose update made a weight or a moment non-finite |
//!
//! Steps are numbered from 1 since the last reset; 0 means none.
//!
//! `judge` computes the factor of all gradients of a step: at most 1 (gradient clipping), or -1 to skip the step, in
//! which case its updates change nothing.

pub(super) mod cpu;
mod params;
mod reference;

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, Stage, elementwise, shader};
use crate::tensor::Tensor;
pub use params::{FiniteParams, VerdictParams};

/// Marks the tally if x has a non-finite number. Input: x; state: tally \[4\].
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

/// Decides whether to skip a step. Inputs: terms of the sum of the squares of all gradients \[n\], loss \[1\]; states:
/// scale \[1\], tally \[4\], sum of the losses of finite steps \[1\]. Without clipping, the terms count non-finite gradients.
pub static VERDICT: Kernel<VerdictParams, 2, 3> = Kernel {
    program: Program {
        name: "verdict",
        source: shader!("lib/row_sum", "lib/math", "finite/verdict"),
        inputs: 2,
        outputs: 3,
    },
    cpu: cpu::verdict,
    reference: reference::verdict,
    stages: |p| vec![Stage { entry: "verdict", groups: [1; 3], params: *p }],
    cost: |p| Cost {
        flops: 4 + u64::from(p.n),
        bytes: 44 + 4 * u64::from(p.n),
        loop_iterations: u64::from(p.n.div_ceil(256)),
    },
    entries: &["verdict"],
};

/// Marks `tally` if `x` has a non-finite number.
pub fn mark(x: &Tensor, tally: &mut Tensor) {
    FINITE.update(FiniteParams { n: x.len() as u32 }, [x], [tally]);
}

/// Decides whether to skip a step: sets `scale`, and adds the loss to `sum` unless the step is skipped. Without
/// clipping, `squares` is the number of non-finite gradients that are not in the tally.
pub(crate) fn judge(
    params: VerdictParams,
    squares: &Tensor,
    loss: &Tensor,
    [scale, tally, sum]: [&mut Tensor; 3],
) {
    VERDICT.update(params, [squares, loss], [scale, tally, sum]);
}
