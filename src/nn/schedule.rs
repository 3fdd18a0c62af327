//! Learning-rate schedules.

use serde::{Deserialize, Serialize};

/// A schedule of the learning rate: the rate of a step is factor(step) times the base rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Schedule {
    /// 1 in all steps.
    Constant,
    /// Multiplied by `factor` after every `every` steps.
    Step {
        /// Steps between drops.
        every: u64,
        /// Multiplier of each drop.
        factor: f32,
    },
    /// Half a cosine from 1 to `floor` over `total` steps, then `floor`.
    Cosine {
        /// Length in steps.
        total: u64,
        /// Final value.
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
