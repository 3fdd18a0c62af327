//! Optimiser steps on tensors, in place. g is the gradient times the clipping factor.
//!
//! - SGD with momentum: s = mu s + g; w -= lr s.
//! - Adagrad (Duchi, Hazan, Singer 2011): s += g^2; w -= lr g / (sqrt s + eps).
//! - RMSProp (Tieleman & Hinton 2012): s = rho s + (1 - rho) g^2; w -= lr g / (sqrt s + eps).
//! - Adam (Kingma & Ba 2015): m, v moving averages of g, g^2; w -= lr (m / c1) / (sqrt(v / c2) + eps),
//!   c1 = 1 - beta1^t, c2 = 1 - beta2^t.
//!
//! Weight decay is either coupled (g += d w: the gradient of a normal prior) or decoupled
//! (w -= lr d w; Loshchilov & Hutter 2019). Clipping by the global norm happens on the device:
//! nothing is read back. A negative factor leaves a step out ([`super::finite`]).
//!
//! Moving average of the weights (EMA): a += (1 - d) (w - a).

use bytemuck::{Pod, Zeroable};

use super::binary::{self, Operation};
use super::layout::unshare;
use super::reduce::sum_squares;
use crate::cpu;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, elementwise};
use crate::tensor::Tensor;

/// The update rule; the numbers are the shader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Rule {
    /// Stochastic gradient descent with momentum `beta1`.
    Sgd = 0,
    /// Adagrad.
    Adagrad = 1,
    /// RMSProp with decay `beta1`.
    RmsProp = 2,
    /// Adam with `beta1` and `beta2`.
    Adam = 3,
}

impl Rule {
    /// Number of state tensors beside the weights.
    pub fn states(self) -> usize {
        if self == Rule::Adam { 2 } else { 1 }
    }
}

/// One step's numbers.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Params {
    pub(crate) n: u32,
    pub(crate) rule: u32,
    pub(crate) rate: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) epsilon: f32,
    pub(crate) decay: f32,
    pub(crate) decoupled: u32,
    pub(crate) correction1: f32,
    pub(crate) correction2: f32,
    /// The step's number in the tally.
    pub(crate) number: f32,
}

impl Params {
    pub(crate) fn rule(&self) -> Rule {
        [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam][self.rule as usize]
    }

    /// (what is added to the gradient per weight, what the weight is multiplied by).
    pub(crate) fn decay_terms(&self) -> (f32, f32) {
        if self.decoupled != 0 { (0.0, 1.0 - self.rate * self.decay) } else { (self.decay, 1.0) }
    }
}

/// One step of a moving average.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct AverageParams {
    pub(crate) n: u32,
    pub(crate) share: f32,
}

/// SGD, Adagrad, RMSProp. Inputs: gradient, scale \[1\]; states: w, s, tally \[4\].
pub static ONE_STATE: Kernel<Params, 2, 3> = Kernel {
    program: Program {
        name: "optimizer",
        source: concat!(
            include_str!("../../shaders/lib/index.wgsl"),
            include_str!("../../shaders/lib/decay.wgsl"),
            include_str!("../../shaders/optimizer.wgsl")
        ),
        inputs: 2,
        outputs: 3,
    },
    cpu: cpu::optimizer::one_state,
    stages: |p| elementwise("update", p.n as usize, p),
    cost: |p| Cost { flops: 8 * u64::from(p.n), bytes: 20 * u64::from(p.n), loop_iterations: 0 },
    entries: &["update"],
};

/// Adam. Inputs: gradient, scale \[1\]; states: w, m, v, tally \[4\].
pub static ADAM: Kernel<Params, 2, 4> = Kernel {
    program: Program {
        name: "adam",
        source: concat!(
            include_str!("../../shaders/lib/index.wgsl"),
            include_str!("../../shaders/lib/decay.wgsl"),
            include_str!("../../shaders/adam.wgsl")
        ),
        inputs: 2,
        outputs: 4,
    },
    cpu: cpu::optimizer::adam,
    stages: |p| elementwise("update", p.n as usize, p),
    cost: |p| Cost { flops: 12 * u64::from(p.n), bytes: 28 * u64::from(p.n), loop_iterations: 0 },
    entries: &["update"],
};

/// Moving average. Inputs: w, scale \[1\]; state: a.
pub static AVERAGE: Kernel<AverageParams, 2, 1> = Kernel {
    program: Program {
        name: "average",
        source: concat!(
            include_str!("../../shaders/lib/index.wgsl"),
            include_str!("../../shaders/average.wgsl")
        ),
        inputs: 2,
        outputs: 1,
    },
    cpu: cpu::optimizer::average,
    stages: |p| elementwise("average", p.n as usize, p),
    cost: |p| Cost { flops: 3 * u64::from(p.n), bytes: 12 * u64::from(p.n), loop_iterations: 0 },
    entries: &["average"],
};

/// Updates `w` and its `states` in place from `gradient` times `scale` \[1\]; all but `scale` and `tally`
/// \[4\] are of one shape.
#[track_caller]
pub fn update(
    mut p: Params,
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

/// Moves the average `a` of `w` in place by `share` of their difference, unless `scale` \[1\] is negative.
pub fn average(a: &mut Tensor, w: &Tensor, scale: &Tensor, share: f32) {
    unshare(a);
    AVERAGE.update(AverageParams { n: w.len() as u32, share }, [w, scale], [a]);
}

/// The sum of the squares of all gradients, shape \[\], on their device.
pub fn squares(gradients: &[&Tensor]) -> Tensor {
    let squares = gradients.iter().map(|g| sum_squares(g));
    let total = squares.reduce(|a, b| binary::apply(Operation::Add, &a, &b));
    total.expect("squares: no gradients")
}
