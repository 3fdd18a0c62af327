//! Detects steps with a NaN or infinite loss or gradient and skips them. All of it happens on the device, without
//! a download.
//!
//! The check of a step computes a factor for its gradients: 1, or less if their norm is clipped, or a negative number
//! if the step is to be skipped. Every update of the step reads the factor on the device.

use serde::{Deserialize, Serialize};

use super::arena::Arena;
use crate::error::Result;
use crate::ops::finite::{self, VerdictParams};
use crate::ops::optimizer::squares;
use crate::tensor::Tensor;

/// What to do after a step whose loss or gradient is not finite. The step itself is skipped in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNonfinite {
    /// All later steps are skipped too; [`FoundInf::faults`] reports the first.
    #[default]
    Stop,
    /// Later steps update the weights as usual.
    Skip,
}

impl OnNonfinite {
    pub(super) fn is_default(&self) -> bool {
        *self == OnNonfinite::Stop
    }
}

/// Non-finite steps since the last call of [`FoundInf::faults`]. Steps are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Number of skipped steps.
    pub skipped: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The first step whose update made a weight or a moment non-finite.
    pub overflow: Option<u64>,
}

/// The check and its findings. Named after PyTorch's `found_inf`.
pub struct FoundInf {
    /// Limit of the global gradient norm; `None` for no clipping.
    clip: Option<f32>,
    on_nonfinite: OnNonfinite,
    /// Created by the first step, on the device of its gradients.
    on_device: Option<OnDevice>,
}

/// See [`finite`].
struct OnDevice {
    /// Factor of the step's gradients, \[1\]; negative if the step is skipped.
    scale: Tensor,
    /// Findings since `since`, \[4\].
    tally: Tensor,
    /// Zero in place of a loss or a norm that is not checked, \[1\].
    nothing: Tensor,
    /// Placeholder for the sum of losses if the caller keeps none, \[1\].
    no_sum: Option<Tensor>,
    /// Number of optimiser steps when the tally was last reset.
    since: u64,
}

/// Result of the check, for the updates of the step.
pub(super) struct Verdict<'a> {
    /// Factor of the gradients, \[1\].
    pub scale: &'a Tensor,
    /// Findings, \[4\]; an update that makes a weight non-finite records it here.
    pub tally: &'a mut Tensor,
    /// The step's number in the tally, counted from 1.
    pub number: f32,
}

impl FoundInf {
    /// A check that limits the global gradient norm to `clip`, if present.
    pub fn new(clip: Option<f32>, on_nonfinite: OnNonfinite) -> FoundInf {
        FoundInf { clip, on_nonfinite, on_device: None }
    }

    /// Checks the gradients of optimiser step `step` (from 0), at least one, and optionally a loss \[\]. If the step is
    /// finite, the loss is added to the sum \[1\] that comes with it. Copies the gradients to the `arena`, if there is one.
    pub(super) fn check(
        &mut self,
        step: u64,
        gradients: &[&Tensor],
        arena: Option<&mut Arena>,
        loss: Option<(&Tensor, &mut Tensor)>,
    ) -> Verdict<'_> {
        let device = gradients[0].device();
        let on_device = self.on_device.get_or_insert_with(|| OnDevice {
            scale: Tensor::zeros(device, &[1]),
            tally: Tensor::zeros(device, &[4]),
            nothing: Tensor::zeros(device, &[1]),
            no_sum: None,
            since: step,
        });
        let OnDevice { scale, tally, nothing, no_sum, since } = on_device;
        let number = (step + 1 - *since) as f32;
        let clip = self.clip.filter(|&clip| clip > 0.0);
        let total = match (arena, clip) {
            (Some(arena), clip) => arena.take(gradients, clip.is_some()).clone(),
            // A non-finite gradient makes the sum of all squares non-finite.
            (None, Some(_)) => squares(gradients),
            (None, None) => {
                gradients.iter().for_each(|g| finite::mark(g, tally));
                nothing.clone()
            }
        };
        let params = VerdictParams {
            limit: clip.unwrap_or(0.0),
            number,
            latch: u32::from(self.on_nonfinite == OnNonfinite::Stop),
            n: total.len() as u32,
        };
        match loss {
            Some((loss, sum)) => finite::judge(params, &total, loss, [scale, tally, sum]),
            None => {
                let sum = no_sum.get_or_insert_with(|| Tensor::zeros(device, &[1]));
                finite::judge(params, &total, nothing, [scale, tally, sum]);
            }
        }
        Verdict { scale, tally, number }
    }

    /// Factor of the gradients of the last checked step, \[1\]; `None` before the first.
    pub(super) fn scale(&self) -> Option<&Tensor> {
        self.on_device.as_ref().map(|on_device| &on_device.scale)
    }

    /// Downloads the findings since the last call (four numbers), where `steps` is the number of optimiser steps so
    /// far. After a fault with [`OnNonfinite::Stop`], and after an overflow, the findings are kept and all later steps
    /// are skipped.
    ///
    /// Errors: [`crate::Error::Device`] if the device failed.
    pub fn faults(&mut self, steps: u64) -> Result<Faults> {
        let Some(OnDevice { tally, since, .. }) = &mut self.on_device else {
            return Ok(Faults::default());
        };
        let found = tally.to_vec()?;
        let step = |number: f32| (number > 0.0).then(|| *since + number as u64 - 1);
        let overflow = step(found[3]);
        // After an overflow all steps are skipped: report the overflow alone.
        let first = step(found[2]).filter(|first| overflow.is_none_or(|o| *first <= o));
        let faults = Faults { skipped: found[1] as u64, first, overflow };
        let stopped = self.on_nonfinite == OnNonfinite::Stop && faults.first.is_some();
        if !stopped && overflow.is_none() {
            if faults.skipped > 0 {
                *tally = Tensor::zeros(tally.device(), &[4]);
            }
            *since = steps;
        }
        Ok(faults)
    }
}
