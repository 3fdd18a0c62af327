//! Optimisers over a model's parameters: settings, moments, updates.
//!
//! The arithmetic is in `ops/optimizer`. Moments are kept by parameter name, so that they can be saved and
//! restored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arena::{Arena, WEIGHTS};
use super::found_inf::Verdict;
use super::{FoundInf, Module, OnNonfinite, Schedule};
use crate::autograd::Gradients;
use crate::ops::optimizer::{OptimizerParams, Rule, update};
use crate::tensor::Tensor;

/// How weight decay d is applied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// g += d w (L2 regularisation): the gradient of a normal prior with precision d per data point.
    Coupled,
    /// w -= lr d w, separate from the gradient (AdamW).
    Decoupled,
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
    /// Added to the square root in the denominator.
    pub epsilon: f32,
    /// Weight decay.
    pub decay: f32,
    /// How weight decay is applied.
    pub decay_kind: Decay,
    /// Gradient clipping: limit of the global norm; absent for no clipping.
    pub clip: Option<f32>,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Schedule of the learning rate.
    pub schedule: Schedule,
    /// Decay d of the moving average of the weights (EMA), below 1; absent or 0 for no average. After step t
    /// (from 0), a = d_t a + (1 - d_t) w with d_t = min(d, (1 + t) / (10 + t)). The average starts from the initial
    /// weights; the smaller decay of the first steps makes it forget them quickly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<f32>,
    /// What to do after a step whose loss or gradient is not finite.
    #[serde(default, skip_serializing_if = "OnNonfinite::is_default")]
    pub on_nonfinite: OnNonfinite,
}

impl OptimizerConfig {
    /// The rule's common defaults with this learning rate, without weight decay or clipping.
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

/// An optimiser with its state.
pub struct Optimizer {
    /// Settings.
    pub config: OptimizerConfig,
    /// Number of steps, skipped ones included.
    pub steps: u64,
    /// Moments and sums by parameter name.
    pub states: BTreeMap<String, Vec<Tensor>>,
    /// The check for non-finite numbers before each update.
    pub found_inf: FoundInf,
    /// Where a device updates all parameters in one launch.
    pub(super) arena: Option<Arena>,
}

impl Optimizer {
    /// An optimiser before its first step; all states are zero.
    pub fn new(config: OptimizerConfig) -> Optimizer {
        let found_inf = FoundInf::new(config.clip, config.on_nonfinite);
        Optimizer { config, steps: 0, states: BTreeMap::new(), found_inf, arena: None }
    }

    /// One update of all parameters that have a gradient. Downloads nothing from the device. If a gradient is not
    /// finite, the step is skipped: it changes nothing but the number of steps.
    pub fn step(&mut self, model: &dyn Module, gradients: &Gradients) {
        self.step_with(model, gradients, None);
    }

    /// Like [`Optimizer::step`], with a loss \[\] that must be finite too, and a sum \[1\] that it is added to.
    pub(super) fn step_with(
        &mut self,
        model: &dyn Module,
        gradients: &Gradients,
        loss: Option<(&Tensor, &mut Tensor)>,
    ) {
        let parameters = model.parameters();
        let reached: Vec<_> = parameters
            .iter()
            .filter_map(|(name, p)| gradients.param(p).map(|g| (name, *p, g)))
            .collect();
        if reached.is_empty() {
            return;
        }
        let gradients: Vec<&Tensor> = reached.iter().map(|(_, _, gradient)| *gradient).collect();
        let Optimizer { config, steps, states, found_inf, arena } = self;
        let arena = &mut Arena::of(arena, &gradients);
        let verdict = found_inf.check(*steps, &gradients, arena.as_deref_mut(), loss);
        let Verdict { scale, tally, number } = verdict;
        let params = OptimizerParams { number, ..params(config, *steps) };
        for (name, param, gradient) in &reached {
            let zeros =
                || vec![Tensor::zeros(gradient.device(), gradient.shape()); config.rule.states()];
            let states = states.entry((*name).clone()).or_insert_with(zeros);
            if arena.is_none() {
                param.update(|w| update(params, gradient, scale, w, states, tally));
            }
        }
        if let Some(arena) = arena {
            arena.adopt(WEIGHTS, &mut |f| {
                for (i, (_, param, _)) in reached.iter().enumerate() {
                    param.update(|w| f(i, w));
                }
            });
            for moment in 0..config.rule.states() {
                arena.adopt(WEIGHTS + 1 + moment, &mut |f| {
                    for (i, (name, ..)) in reached.iter().enumerate() {
                        let states = states.get_mut(*name).expect("the states of a parameter");
                        f(i, &mut states[moment]);
                    }
                });
            }
            let (gradients, weights, others) = arena.wholes();
            let states = &mut others[..config.rule.states()];
            update(params, gradients, scale, weights, states, tally);
        }
        *steps += 1;
    }
}

/// Parameters of the update kernel at `step` (from 0).
fn params(config: &OptimizerConfig, step: u64) -> OptimizerParams {
    let t = (step + 1) as i32;
    let correction = |beta: f32| (1.0 - f64::from(beta).powi(t)) as f32;
    OptimizerParams {
        n: 0,
        rule: config.rule as u32,
        rate: config.rate * config.schedule.factor(step, config.warmup),
        beta1: config.beta1,
        beta2: config.beta2,
        epsilon: config.epsilon,
        decay: config.decay,
        decoupled: u32::from(config.decay_kind == Decay::Decoupled),
        correction1: correction(config.beta1),
        correction2: correction(config.beta2),
        number: 0.0,
    }
}
