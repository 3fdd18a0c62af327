//! Moving averages of the weights (EMA). With decay d, after step t (from 0)
//!
//! ```text
//! a = d_t a + (1 - d_t) w,   d_t = min(d, (1 + t) / (10 + t))
//! ```
//!
//! where w are the weights after the step. The average starts from the initial weights, and the smaller decay of the
//! first steps makes it forget them quickly.

use std::collections::BTreeMap;

use super::Module;
use super::arena::{Arena, WEIGHTS};
use crate::autograd::Gradients;
use crate::ops::optimizer::average;
use crate::tensor::Tensor;

/// Moving averages of a model's parameters.
pub struct Ema {
    /// d, below 1; 0 turns averaging off.
    decay: f32,
    /// Averages by parameter name; empty before the first step.
    pub averages: BTreeMap<String, Tensor>,
}

impl Ema {
    /// No averages yet. If `decay` is 0 or absent, there never are any.
    pub fn new(decay: Option<f32>) -> Ema {
        Ema { decay: decay.unwrap_or(0.0), averages: BTreeMap::new() }
    }

    /// Before the first step, sets the averages to the initial weights.
    pub(super) fn begin(&mut self, model: &dyn Module) {
        if self.decay > 0.0 && self.averages.is_empty() {
            let parameters = model.parameters().into_iter();
            self.averages = parameters.map(|(name, param)| (name, param.value())).collect();
        }
    }

    /// Updates the averages after optimiser step `step` (from 0), unless `scale` \[1\] is negative because the step was
    /// skipped. Parameters without a gradient have not changed, so their averages stay. `arena` holds the weights that
    /// have gradients, with the number of their moments.
    pub(super) fn update(
        &mut self,
        model: &dyn Module,
        gradients: &Gradients,
        (step, scale): (u64, &Tensor),
        arena: Option<(&mut Arena, usize)>,
    ) {
        if self.averages.is_empty() {
            return;
        }
        let t = step as f32;
        let share = 1.0 - self.decay.min((1.0 + t) / (10.0 + t));
        let reached = model.parameters().into_iter();
        let reached: Vec<_> = reached.filter(|(_, p)| gradients.param(p).is_some()).collect();
        if reached.is_empty() {
            return;
        }
        match arena {
            Some((arena, moments))
                if reached.iter().all(|(n, _)| self.averages.contains_key(n)) =>
            {
                arena.adopt(WEIGHTS + 1 + moments, &mut |f| {
                    for (i, (name, _)) in reached.iter().enumerate() {
                        f(i, self.averages.get_mut(name).expect("an average"));
                    }
                });
                let (_, weights, others) = arena.wholes();
                average(&mut others[moments], weights, scale, share);
            }
            _ => {
                for (name, param) in reached {
                    if let Some(a) = self.averages.get_mut(&name) {
                        average(a, &param.value(), scale, share);
                    }
                }
            }
        }
    }

    /// Exchanges the parameters and their averages; a second call exchanges them back. Does nothing if there are no
    /// averages.
    pub fn swap(&mut self, model: &dyn Module) {
        for (name, param) in model.parameters() {
            if let Some(average) = self.averages.get_mut(&name) {
                let value = param.value();
                param.set(std::mem::replace(average, value));
            }
        }
    }
}
