//! Optimiser updates in place. g is the gradient times the clipping factor.
//!
//! - SGD with momentum: s = mu s + g; w -= lr s.
//! - Adagrad (Duchi, Hazan, Singer 2011): s += g^2; w -= lr g / (sqrt s + eps).
//! - RMSProp (Tieleman & Hinton 2012): s = rho s + (1 - rho) g^2; w -= lr g / (sqrt s + eps).
//! - Adam (Kingma & Ba 2015): m, v moving averages of g, g^2; w -= lr (m / c1) / (sqrt(v / c2) + eps),
//!   c1 = 1 - beta1^t, c2 = 1 - beta2^t.
//!
//! Weight decay is either coupled (g += d w: the gradient of a normal prior) or decoupled
//! (w -= lr d w; Loshchilov & Hutter 2019). Clipping by the global norm happens on the device, without a download.
//! A negative factor skips the update ([`super::finite`]).
//!
//! Moving average of the weights (EMA): a += (1 - d) (w - a).

mod cpu;
mod params;
mod reference;

use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise, shader};
use crate::ops::binary::{self, Operation};
use crate::ops::layout::unshare;
use crate::ops::reduce::sum_squares;
use crate::tensor::Tensor;
pub use params::{AverageParams, OptimizerParams, Rule};

/// SGD, Adagrad, RMSProp. Inputs: gradient, scale \[1\]; states: w, s, tally \[4\].
pub static ONE_STATE: Kernel<OptimizerParams, 2, 3> = Kernel {
    program: Program {
        name: "optimizer",
        source: shader!("lib/index", "lib/decay", "optimizer/optimizer"),
        inputs: 2,
        outputs: 3,
    },
    cpu: cpu::one_state,
    reference: reference::one_state,
    stages: |p| elementwise("update", p.n as usize, p),
    cost: |p| Cost { flops: 8 * u64::from(p.n), bytes: 20 * u64::from(p.n), loop_iterations: 0 },
    entries: &["update"],
};

/// Adam. Inputs: gradient, scale \[1\]; states: w, m, v, tally \[4\].
pub static ADAM: Kernel<OptimizerParams, 2, 4> = Kernel {
    program: Program {
        name: "adam",
        source: shader!("lib/index", "lib/decay", "optimizer/adam"),
        inputs: 2,
        outputs: 4,
    },
    cpu: cpu::adam,
    reference: reference::adam,
    stages: |p| elementwise("update", p.n as usize, p),
    cost: |p| Cost { flops: 12 * u64::from(p.n), bytes: 28 * u64::from(p.n), loop_iterations: 0 },
    entries: &["update"],
};

/// Moving average. Inputs: w, scale \[1\]; state: a.
pub static AVERAGE: Kernel<AverageParams, 2, 1> = Kernel {
    program: Program {
        name: "average",
        source: shader!("lib/index", "optimizer/average"),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::average,
    reference: reference::average,
    stages: |p| elementwise("average", p.n as usize, p),
    cost: |p| Cost { flops: 3 * u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["average"],
};

/// Updates `w` and its `states` in place, given the `gradient`, which is multiplied by `scale` \[1\]. A negative
/// `scale` skips the update. `tally` is \[4\]; all others have one shape. Panics on other shapes or numbers of states.
#[track_caller]
pub fn update(
    mut p: OptimizerParams,
    gradient: &Tensor,
    scale: &Tensor,
    w: &mut Tensor,
    states: &mut [Tensor],
    tally: &mut Tensor,
) {
    p.n = w.len() as u32;
    assert_eq!(gradient.shape(), w.shape(), "optimizer: gradient of another shape");
    assert_eq!(scale.len(), 1, "optimizer: the scale is not one number");
    for state in states.iter() {
        assert_eq!(state.shape(), w.shape(), "optimizer: state of another shape");
    }
    unshare(w);
    states.iter_mut().for_each(unshare);
    match states {
        [s] => ONE_STATE.update(p, [gradient, scale], [w, s, tally]),
        [m, v] => ADAM.update(p, [gradient, scale], [w, m, v, tally]),
        _ => panic!("optimizer: {} states", states.len()),
    }
}

/// Updates the average a of w in place, a += share (w - a), unless `scale` \[1\] is negative.
pub fn average(a: &mut Tensor, w: &Tensor, scale: &Tensor, share: f32) {
    unshare(a);
    AVERAGE.update(AverageParams { n: w.len() as u32, share }, [w, scale], [a]);
}

/// The sum of the squares of all gradients, shape \[\], on their device. Panics if there are none.
pub fn squares(gradients: &[&Tensor]) -> Tensor {
    let squares = gradients.iter().map(|g| sum_squares(g));
    let total = squares.reduce(|a, b| binary::apply(Operation::Add, &a, &b));
    total.expect("squares: no gradients")
}
