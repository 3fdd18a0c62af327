//! Steps whose loss or gradients are not finite: found on the device, without reading anything back, and left
//! out of training.
//!
//! The check of a step gives the factor that its gradients are multiplied by: 1, less where their norm is clipped,
//! below 0 where the step is left out. Every update of the step reads the factor on the device.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ops::finite::{self, VerdictParams};
use crate::ops::optimizer::squares;
use crate::tensor::Tensor;

/// What happens when the loss or a gradient of a step is not finite. Its update is left out in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNonfinite {
    /// Nothing changes any more, until [`FoundInf::faults`] is called.
    #[default]
    Stop,
    /// Later steps update as usual.
    Skip,
}

impl OnNonfinite {
    pub(super) fn is_default(&self) -> bool {
        *self == OnNonfinite::Stop
    }
}

/// What was not finite since the last call of [`FoundInf::faults`]. Steps are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Steps that were left out.
    pub skipped: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The step whose update made a weight or a moment that is not finite.
    pub overflow: Option<u64>,
}

/// The check, and what it found so far.
pub struct FoundInf {
    /// Largest norm of the gradient; none if absent.
    clip: Option<f32>,
    on_nonfinite: OnNonfinite,
    /// Made with the first step, on the device of its gradients.
    on_device: Option<OnDevice>,
}

/// See [`finite`].
struct OnDevice {
    /// What the gradients of a step are multiplied by, \[1\]; below 0 where it is left out.
    scale: Tensor,
    /// \[4\].
    tally: Tensor,
    /// Stands in for a loss or a norm that is not asked for, \[1\].
    nothing: Tensor,
    /// Stands in for a sum of losses that is not asked for, \[1\].
    no_sum: Option<Tensor>,
    /// Optimiser steps when the tally was emptied.
    since: u64,
}

/// What the updates of a checked step read and write.
pub(super) struct Verdict<'a> {
    /// \[1\]: the factor of the gradients.
    pub scale: &'a Tensor,
    /// \[4\]: an update marks a weight that it makes infinite.
    pub tally: &'a mut Tensor,
    /// The step's number in the tally.
    pub number: f32,
}

impl FoundInf {
    /// Nothing found so far.
    pub fn new(clip: Option<f32>, on_nonfinite: OnNonfinite) -> FoundInf {
        FoundInf { clip, on_nonfinite, on_device: None }
    }

    /// Checks the gradients of optimiser step `step` (from 0), at least one, and the `loss` \[\], which is added to
    /// `loss_sum` \[1\] if the step is good.
    pub(super) fn check(
        &mut self,
        step: u64,
        gradients: &[&Tensor],
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
        let total = match self.clip {
            // A gradient that is not finite shows in the sum of all squares.
            Some(_) => squares(gradients),
            None => {
                gradients.iter().for_each(|g| finite::mark(g, tally));
                nothing.clone()
            }
        };
        let params = VerdictParams {
            limit: self.clip.unwrap_or(0.0),
            number,
            latch: u32::from(self.on_nonfinite == OnNonfinite::Stop),
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

    /// The factor of the gradients of the last step that was checked, \[1\]; none before the first.
    pub(super) fn scale(&self) -> Option<&Tensor> {
        self.on_device.as_ref().map(|on_device| &on_device.scale)
    }

    /// What was not finite since the last call, after `steps` optimiser steps; fetches four numbers from the device.
    /// With [`OnNonfinite::Stop`], and after an overflow, the optimiser stays as it is.
    pub fn faults(&mut self, steps: u64) -> Result<Faults> {
        let Some(OnDevice { tally, since, .. }) = &mut self.on_device else {
            return Ok(Faults::default());
        };
        let found = tally.to_vec()?;
        let step = |number: f32| (number > 0.0).then(|| *since + number as u64 - 1);
        let overflow = step(found[3]);
        // After an overflow all steps are left out; that is the one fault then.
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
