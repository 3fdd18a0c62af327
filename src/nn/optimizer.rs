//! Optimisers over a model's parameters: settings, state, learning-rate schedules.
//!
//! The arithmetic is in `ops/optimizer.rs`. State tensors are kept by parameter name, so that they can
//! be saved and restored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Module;
use crate::autograd::Gradients;
use crate::ops::optimizer::{Params, Rule, clip_factor, update};
use crate::tensor::Tensor;

/// How weight decay d enters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// g += d w: the gradient of a normal prior with precision d a data point.
    Coupled,
    /// w -= lr d w, apart from the gradient (AdamW).
    Decoupled,
}

/// Learning rate over the steps: factor(step) times the base rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// Times `factor` every `every` steps.
    Step {
        /// Steps between drops.
        every: u64,
        /// Multiplier at each drop.
        factor: f32,
    },
    /// Half a cosine from 1 to `floor` over `total` steps, then `floor`.
    Cosine {
        /// Length in steps.
        total: u64,
        /// Last value.
        floor: f32,
    },
}

impl Schedule {
    /// The factor at `step` (from 0), after a linear warm-up over the first `warmup` steps.
    pub fn factor(self, step: u64, warmup: u64) -> f32 {
        let ramp = if step < warmup { (step + 1) as f32 / warmup as f32 } else { 1.0 };
        ramp * match self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => factor.powi((step / every.max(1)) as i32),
            Schedule::Cosine { total, floor } => {
                let t = (step as f64 / total.max(1) as f64).min(1.0);
                let half = 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
                floor + (1.0 - floor) * half as f32
            }
        }
    }
}

/// Settings of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The update rule.
    pub rule: Rule,
    /// Base learning rate.
    pub rate: f32,
    /// Momentum of SGD, decay of RMSProp, first decay of Adam.
    pub beta1: f32,
    /// Second decay of Adam.
    pub beta2: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Weight decay.
    pub decay: f32,
    /// How the decay enters.
    pub decay_kind: Decay,
    /// Largest global norm of the gradient; none if absent.
    pub clip: Option<f32>,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Learning rate over the steps.
    pub schedule: Schedule,
}

impl OptimizerConfig {
    /// The rule's usual settings at this rate, without decay and clipping.
    pub fn new(rule: Rule, rate: f32) -> OptimizerConfig {
        let (beta1, beta2, epsilon) = match rule {
            Rule::Sgd => (0.9, 0.0, 0.0),
            Rule::Adagrad => (0.0, 0.0, 1e-6),
            Rule::RmsProp => (0.95, 0.0, 1e-6),
            Rule::Adam => (0.9, 0.999, 1e-8),
        };
        OptimizerConfig {
            rule,
            rate,
            beta1,
            beta2,
            epsilon,
            decay: 0.0,
            decay_kind: Decay::Coupled,
            clip: None,
            warmup: 0,
            schedule: Schedule::Constant,
        }
    }
}

/// An optimiser with its state.
pub struct Optimizer {
    /// The settings.
    pub config: OptimizerConfig,
    /// Steps taken.
    pub steps: u64,
    /// Moments and sums by parameter name.
    pub states: BTreeMap<String, Vec<Tensor>>,
}

impl Optimizer {
    /// No steps taken, all states zero.
    pub fn new(config: OptimizerConfig) -> Optimizer {
        Optimizer { config, steps: 0, states: BTreeMap::new() }
    }

    /// One step on all parameters that the loss reached. Nothing is read back from the device.
    pub fn step(&mut self, model: &dyn Module, gradients: &Gradients) {
        let config = &self.config;
        let parameters = model.parameters();
        let reached: Vec<_> = parameters
            .iter()
            .filter_map(|(name, p)| gradients.param(p).map(|g| (name, *p, g)))
            .collect();
        let Some((_, _, first)) = reached.first() else { return };
        let scale = match config.clip {
            Some(limit) => clip_factor(&reached.iter().map(|r| r.2).collect::<Vec<_>>(), limit),
            None => Tensor::full(first.device(), 1.0, &[1]),
        };
        let t = (self.steps + 1) as i32;
        let correction = |beta: f32| (1.0 - f64::from(beta).powi(t)) as f32;
        let params = Params {
            n: 0,
            rule: config.rule as u32,
            rate: config.rate * config.schedule.factor(self.steps, config.warmup),
            beta1: config.beta1,
            beta2: config.beta2,
            epsilon: config.epsilon,
            decay: config.decay,
            decoupled: u32::from(config.decay_kind == Decay::Decoupled),
            correction1: correction(config.beta1),
            correction2: correction(config.beta2),
        };
        for (name, param, gradient) in reached {
            let zeros =
                || vec![Tensor::zeros(gradient.device(), gradient.shape()); config.rule.states()];
            let states = self.states.entry(name.clone()).or_insert_with(zeros);
            param.update(|w| update(params, gradient, &scale, w, states));
        }
        self.steps += 1;
    }
}
