//! The tape's own kernel, y += x for tensors of any one shape. It adds the gradients of a value that is used more
//! than once.

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::tensor::Tensor;
use crate::uniform;

uniform! {
    /// Number of elements.
    pub struct AccumulateParams {
        n: u32,
    }
}

/// y += x. Input: x. State: y.
pub static ACCUMULATE: Kernel<AccumulateParams, 1, 1> = Kernel {
    program: Program {
        name: "accumulate",
        source: shader!("lib/index", "accumulate/accumulate"),
        inputs: 1,
        outputs: 1,
    },
    cpu: |_, [x], [y]| crate::cpu::simd::change(y, x, |y, x| y + x),
    reference: |_, [x], [y]| {
        for i in 0..y.len() {
            y[i] += x[i];
        }
    },
    stages: |p| elementwise("accumulate", p.n as usize, p),
    cost: |p| Cost { flops: u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["accumulate"],
};

/// a + b, computed in place if either operand is the only handle of its memory.
pub(crate) fn sum(mut a: Tensor, mut b: Tensor) -> Tensor {
    let add = |y: &mut Tensor, x: &Tensor| {
        ACCUMULATE.update(AccumulateParams { n: x.len() as u32 }, [x], [y]);
    };
    // Empty tensors: the tokens that `ops/shared/mod.rs` passes in place of gradients.
    if a.len() == 0 {
        return a;
    }
    if a.buffer_mut().is_none() {
        std::mem::swap(&mut a, &mut b);
    }
    if a.buffer_mut().is_none() {
        let mut y = Tensor::zeros(a.device(), a.shape());
        add(&mut y, &a);
        a = y;
    }
    add(&mut a, &b);
    a
}
