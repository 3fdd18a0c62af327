//! Moving averages of the weights (EMA). With decay d, after step t (from 0)
//!
//! ```text
//! a = d_t a + (1 - d_t) w,   d_t = min(d, (1 + t) / (10 + t))
//! ```
//!
//! so the average begins as the first weights, and soon forgets them.

use std::collections::BTreeMap;

use super::Module;
use crate::autograd::Gradients;
use crate::ops::optimizer::average;
use crate::tensor::Tensor;

/// Moving averages of a model's parameters.
pub struct Ema {
    /// d, below 1; 0 for no averages.
    decay: f32,
    /// By parameter name; empty before the first step.
    pub averages: BTreeMap<String, Tensor>,
}

impl Ema {
    /// No averages yet, and none ever if `decay` is 0 or absent.
    pub fn new(decay: Option<f32>) -> Ema {
        Ema { decay: decay.unwrap_or(0.0), averages: BTreeMap::new() }
    }

    /// Takes the weights before the first step as the first averages.
    pub(super) fn begin(&mut self, model: &dyn Module) {
        if self.decay > 0.0 && self.averages.is_empty() {
            let parameters = model.parameters().into_iter();
            self.averages = parameters.map(|(name, param)| (name, param.value())).collect();
        }
    }

    /// Averages in the weights after optimiser step `step` (from 0), unless `scale` \[1\] is below 0, as the step was
    /// left out. Weights without a gradient have not changed.
    pub(super) fn update(
        &mut self,
        model: &dyn Module,
        gradients: &Gradients,
        (step, scale): (u64, &Tensor),
    ) {
        if self.averages.is_empty() {
            return;
        }
        let t = step as f32;
        let share = 1.0 - self.decay.min((1.0 + t) / (10.0 + t));
        for (name, param) in model.parameters() {
            if gradients.param(param).is_some()
                && let Some(a) = self.averages.get_mut(&name)
            {
                average(a, &param.value(), scale, share);
            }
        }
    }

    /// Exchanges the parameters for their averages, if there are any, or back.
    pub fn swap(&mut self, model: &dyn Module) {
        for (name, param) in model.parameters() {
            if let Some(average) = self.averages.get_mut(&name) {
                let value = param.value();
                param.set(std::mem::replace(average, value));
            }
        }
    }
}
