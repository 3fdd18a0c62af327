//! The state that a training step changes in addition to the weights: the optimiser's moments, the moving averages of
//! the weights, the running sum of losses, and the record of non-finite steps.

use super::{Ema, Faults, Module, Optimizer, OptimizerConfig};
use crate::autograd::Gradients;
use crate::error::Result;
use crate::tensor::Tensor;

/// The state of training in addition to the weights. A checkpoint stores all of it except the faults.
pub struct TrainState {
    /// Moments and the number of steps.
    pub optimizer: Optimizer,
    /// Moving averages of the weights.
    pub ema: Ema,
    /// Sum of the losses of the finite steps since it was last taken, \[1\], on the device.
    pub loss_sum: Option<Tensor>,
}

impl TrainState {
    /// The state before the first step.
    pub fn new(config: OptimizerConfig) -> TrainState {
        let (optimizer, ema) = (Optimizer::new(config), Ema::new(config.average));
        TrainState { optimizer, ema, loss_sum: None }
    }

    /// One optimiser step on all parameters that the `loss` \[\] depends on. If the loss or a gradient is not finite,
    /// the step is skipped: it changes nothing but the number of steps. Downloads nothing from the device.
    pub fn update(&mut self, model: &dyn Module, loss: &Tensor, gradients: &Gradients) {
        let step = self.optimizer.steps;
        let sum = self.loss_sum.get_or_insert_with(|| Tensor::zeros(loss.device(), &[1]));
        self.ema.begin(model);
        self.optimizer.step_with(model, gradients, Some((loss, sum)));
        let Optimizer { config, found_inf, arena, .. } = &mut self.optimizer;
        if let Some(scale) = found_inf.scale() {
            let arena = arena.as_mut().map(|arena| (arena, config.rule.states()));
            self.ema.update(model, gradients, (step, scale), arena);
        }
    }

    /// Non-finite steps since the last call. Downloads four numbers; fails if the device failed.
    pub fn faults(&mut self) -> Result<Faults> {
        self.optimizer.found_inf.faults(self.optimizer.steps)
    }
}
