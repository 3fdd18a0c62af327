//! What a training step changes beside the weights: the optimiser's moments, the moving averages of the weights, the
//! running sum of losses, and what was not finite.

use super::{Ema, Faults, Module, Optimizer, OptimizerConfig};
use crate::autograd::Gradients;
use crate::error::Result;
use crate::tensor::Tensor;

/// The state of a training beside its weights. A checkpoint stores all of it but the faults.
pub struct TrainState {
    /// Moments and the number of steps.
    pub optimizer: Optimizer,
    /// Moving averages of the weights.
    pub ema: Ema,
    /// Sum of the losses of the good steps since it was last taken, \[1\], on the device.
    pub loss_sum: Option<Tensor>,
}

impl TrainState {
    /// Before the first step.
    pub fn new(config: OptimizerConfig) -> TrainState {
        let (optimizer, ema) = (Optimizer::new(config), Ema::new(config.average));
        TrainState { optimizer, ema, loss_sum: None }
    }

    /// One step of the optimiser on all parameters that the `loss` \[\] reached. If the loss, or a gradient, is
    /// not finite, the step changes nothing but the count of steps. Nothing is read back from the device.
    pub fn update(&mut self, model: &dyn Module, loss: &Tensor, gradients: &Gradients) {
        let step = self.optimizer.steps;
        let sum = self.loss_sum.get_or_insert_with(|| Tensor::zeros(loss.device(), &[1]));
        self.ema.begin(model);
        self.optimizer.step_with(model, gradients, Some((loss, sum)));
        if let Some(scale) = self.optimizer.found_inf.scale() {
            self.ema.update(model, gradients, (step, scale));
        }
    }

    /// What was not finite since the last call; fetches four numbers from the device.
    pub fn faults(&mut self) -> Result<Faults> {
        self.optimizer.found_inf.faults(self.optimizer.steps)
    }
}
