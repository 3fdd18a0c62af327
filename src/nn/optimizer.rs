//! Optimisers over a model's parameters: settings, state, learning-rate schedules.
//!
//! The arithmetic is in `ops/optimizer/mod.rs`. State tensors are kept by parameter name, so that they can
//! be saved and restored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Module;
use crate::autograd::Gradients;
use crate::error::Result;
use crate::ops::finite::{self, VerdictParams};
use crate::ops::optimizer::{OptimizerParams, Rule, average, squares, update};
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

/// What a step does whose loss or gradient is not finite. Its update is left out in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNonfinite {
    /// Nothing changes any more, until [`Optimizer::faults`] tells.
    #[default]
    Stop,
    /// The steps after it go on.
    Skip,
}

impl OnNonfinite {
    fn is_default(&self) -> bool {
        *self == OnNonfinite::Stop
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
    /// Decay d of the moving average of the weights (EMA), below 1; none if absent or 0. After step t
    /// (from 0) a = d_t a + (1 - d_t) w, d_t = min(d, (1 + t) / (10 + t)): the average begins as the
    /// first weights, and soon forgets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f32>,
    /// What happens when numbers are not finite.
    #[serde(default, skip_serializing_if = "OnNonfinite::is_default")]
    pub on_nonfinite: OnNonfinite,
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
            average: None,
            on_nonfinite: OnNonfinite::Stop,
        }
    }
}

/// What judges steps, on the device of the model ([`finite`]).
struct Judge {
    /// What the gradients of a step are multiplied by, \[1\]; below 0 where it is left out.
    scale: Tensor,
    /// \[4\].
    tally: Tensor,
    /// Stands in for what a step has not, \[1\].
    nothing: Tensor,
    /// Optimiser steps when the tally was emptied.
    since: u64,
}

/// What was not finite since the last look. Steps are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Steps that were left out.
    pub skipped: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The step whose update made a weight or a moment that is not finite.
    pub overflow: Option<u64>,
}

/// An optimiser with its state.
pub struct Optimizer {
    /// The settings.
    pub config: OptimizerConfig,
    /// Steps taken, those that were left out counted too.
    pub steps: u64,
    /// Moments and sums by parameter name.
    pub states: BTreeMap<String, Vec<Tensor>>,
    /// Moving averages of the parameters by name, if the settings want them and a step was taken.
    pub averages: BTreeMap<String, Tensor>,
    /// Sum of the losses of the good steps, \[1\], on the device.
    pub loss_sum: Option<Tensor>,
    judge: Option<Judge>,
}

impl Optimizer {
    /// No steps taken, all states zero.
    pub fn new(config: OptimizerConfig) -> Optimizer {
        let (states, averages) = Default::default();
        Optimizer { config, steps: 0, states, averages, loss_sum: None, judge: None }
    }

    /// One step on all parameters that the loss reached. Nothing is read back from the device.
    pub fn step(&mut self, model: &dyn Module, gradients: &Gradients) {
        self.step_on(model, gradients, None);
    }

    /// As [`Optimizer::step`]; the `loss` \[\] is added to the sum of losses. If it, or a gradient, is not
    /// finite, the step changes nothing but the count of steps.
    pub fn step_on(&mut self, model: &dyn Module, gradients: &Gradients, loss: Option<&Tensor>) {
        let config = &self.config;
        let parameters = model.parameters();
        let reached: Vec<_> = parameters
            .iter()
            .filter_map(|(name, p)| gradients.param(p).map(|g| (name, *p, g)))
            .collect();
        let Some((_, _, first)) = reached.first() else { return };
        let device = first.device();
        let steps = self.steps;
        let judge = self.judge.get_or_insert_with(|| Judge {
            scale: Tensor::zeros(device, &[1]),
            tally: Tensor::zeros(device, &[4]),
            nothing: Tensor::zeros(device, &[1]),
            since: steps,
        });
        let number = (self.steps + 1 - judge.since) as f32;
        let total = match config.clip {
            // A gradient that is not finite shows in the sum of all squares.
            Some(_) => squares(&reached.iter().map(|r| r.2).collect::<Vec<_>>()),
            None => {
                reached.iter().for_each(|(_, _, g)| finite::mark(g, &mut judge.tally));
                judge.nothing.clone()
            }
        };
        let verdict = VerdictParams {
            limit: config.clip.unwrap_or(0.0),
            number,
            latch: u32::from(config.on_nonfinite == OnNonfinite::Stop),
        };
        let sum = self.loss_sum.get_or_insert_with(|| Tensor::zeros(device, &[1]));
        let loss = loss.unwrap_or(&judge.nothing);
        finite::judge(verdict, &total, loss, [&mut judge.scale, &mut judge.tally, sum]);
        let t = (self.steps + 1) as i32;
        let correction = |beta: f32| (1.0 - f64::from(beta).powi(t)) as f32;
        let params = OptimizerParams {
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
            number,
        };
        let decay = config.average.unwrap_or(0.0);
        if decay > 0.0 {
            for (name, param) in &parameters {
                self.averages.entry(name.clone()).or_insert_with(|| param.value());
            }
        }
        for (name, param, gradient) in reached {
            let zeros =
                || vec![Tensor::zeros(gradient.device(), gradient.shape()); config.rule.states()];
            let states = self.states.entry(name.clone()).or_insert_with(zeros);
            let Judge { scale, tally, .. } = &mut *judge;
            param.update(|w| update(params, gradient, scale, w, states, tally));
            if let Some(a) = self.averages.get_mut(name).filter(|_| decay > 0.0) {
                let t = self.steps as f32;
                average(a, &param.value(), scale, 1.0 - decay.min((1.0 + t) / (10.0 + t)));
            }
        }
        self.steps += 1;
    }

    /// What was not finite since the last call; fetches four numbers from the device. With
    /// [`OnNonfinite::Stop`], and after an overflow, the optimiser stays as it is.
    pub fn faults(&mut self) -> Result<Faults> {
        let Some(judge) = &mut self.judge else { return Ok(Faults::default()) };
        let tally = judge.tally.to_vec()?;
        let step = |number: f32| (number > 0.0).then(|| judge.since + number as u64 - 1);
        let overflow = step(tally[3]);
        // After an overflow all steps are left out; that is the one fault then.
        let first = step(tally[2]).filter(|first| overflow.is_none_or(|o| *first <= o));
        let faults = Faults { skipped: tally[1] as u64, first, overflow };
        let stopped = self.config.on_nonfinite == OnNonfinite::Stop && faults.first.is_some();
        if !stopped && overflow.is_none() {
            if faults.skipped > 0 {
                judge.tally = Tensor::zeros(judge.tally.device(), &[4]);
            }
            judge.since = self.steps;
        }
        Ok(faults)
    }

    /// Exchanges the parameters for their moving averages, if there are such, or back.
    pub fn swap_averages(&mut self, model: &dyn Module) {
        for (name, param) in model.parameters() {
            if let Some(average) = self.averages.get_mut(&name) {
                let value = param.value();
                param.set(std::mem::replace(average, value));
            }
        }
    }
}
