//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// The update rule. The shader uses the same numbers.
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
    /// Number of state tensors per parameter.
    pub fn states(self) -> usize {
        if self == Rule::Adam { 2 } else { 1 }
    }
}

uniform! {
    /// Parameters of one update.
    pub struct OptimizerParams {
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
        /// The step's number in the tally ([`crate::ops::finite`]).
        pub(crate) number: f32,
    }
}

impl OptimizerParams {
    pub(super) fn rule(&self) -> Rule {
        [Rule::Sgd, Rule::Adagrad, Rule::RmsProp, Rule::Adam][self.rule as usize]
    }

    /// Weight decay as (factor of the weight in the gradient, factor of the weight in the update).
    pub(super) fn decay_terms(&self) -> (f32, f32) {
        if self.decoupled != 0 { (0.0, 1.0 - self.rate * self.decay) } else { (self.decay, 1.0) }
    }
}

uniform! {
    /// Parameters of one update of a moving average.
    pub struct AverageParams {
        pub(crate) n: u32,
        pub(crate) share: f32,
    }
}
