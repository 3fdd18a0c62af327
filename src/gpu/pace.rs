//! The amount of work in a submission: as much as the device completes in a fifth of a second, by measurement.
//!
//! Drivers reset a device whose submission takes too long (Windows after two seconds). The unit of work is one loop
//! iteration of one workgroup. Its time differs far less between kernels than between adapters.

use std::time::{Duration, Instant};

/// Intended time of a submission.
const TARGET: Duration = Duration::from_millis(200);
/// Largest work of a submission before the first measurement: about 0.2 s on a slow GPU.
const FIRST: u64 = 1 << 21;
/// Bounds of the budget.
const LEAST: u64 = 1 << 12;
const MOST: u64 = 1 << 28;
/// Shorter submissions measure overhead, not the device's speed.
const MEASURABLE: Duration = Duration::from_millis(10);
/// After a shorter wait, the submission may have been done already, and the time when it ended is unknown.
const BLOCKED: Duration = Duration::from_millis(1);

/// A submission in the queue: the time when it was made, and its work.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    at: Option<Instant>,
    work: u64,
}

impl Sent {
    pub fn now(work: u64) -> Sent {
        Sent { at: now(), work }
    }
}

/// The time; `None` in a browser, where the standard library has no clock.
pub(super) fn now() -> Option<Instant> {
    if cfg!(target_arch = "wasm32") { None } else { Some(Instant::now()) }
}

pub(super) struct Pace {
    budget: u64,
    /// Time when the previous submission ended, if it is known.
    ended: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { budget: FIRST, ended: None }
    }
}

impl Pace {
    /// Largest work of the next submission.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Adapts the budget to the time of a submission for which the host waited from `waited` to `ended`. The device
    /// started it when it was made or when the previous one ended, whichever was later.
    pub fn learn(&mut self, sent: Sent, waited: Option<Instant>, ended: Option<Instant>) {
        let (Some(made), Some(waited), Some(ended)) = (sent.at, waited, ended) else { return };
        if ended - waited < BLOCKED {
            self.ended = None;
            return;
        }
        let began = self.ended.map_or(made, |before| before.max(made));
        self.ended = Some(ended);
        let took = ended.saturating_duration_since(began);
        if took >= MEASURABLE {
            let work = sent.work as f64 * TARGET.as_secs_f64() / took.as_secs_f64();
            // Kernels differ, so one fast kernel at most doubles the budget.
            self.budget = (work as u64).min(2 * self.budget).clamp(LEAST, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The budget after these submissions: work, and the milliseconds when each was made, waited for and ended.
    fn after(submissions: &[(u64, [u64; 3])]) -> u64 {
        let start = Instant::now();
        let at = |ms: u64| Some(start + Duration::from_millis(ms));
        let mut pace = Pace::default();
        for &(work, [made, waited, ended]) in submissions {
            pace.learn(Sent { at: at(made), work }, at(waited), at(ended));
        }
        pace.budget()
    }

    #[test]
    fn a_submission_takes_a_fifth_of_a_second() {
        // Ten times too long, then right.
        assert_eq!(after(&[(FIRST, [0, 1, 2000])]), FIRST / 10);
        assert_eq!(after(&[(FIRST, [0, 1, 200])]), FIRST);
        // The budget of a fast device grows step by step.
        assert_eq!(after(&[(FIRST, [0, 1, 20])]), 2 * FIRST);
        assert_eq!(after(&[(FIRST, [0, 1, 20]), (FIRST, [20, 21, 40])]), 4 * FIRST);
        // The second began when the first ended, not when it was made.
        assert_eq!(after(&[(FIRST, [0, 1, 200]), (FIRST, [1, 201, 400])]), FIRST);
        // The bounds hold.
        assert_eq!(after(&[(1, [0, 1, 9000])]), LEAST);
        let fast = |i: u64| (u64::MAX / 2, [20 * i, 20 * i + 1, 20 * i + 20]);
        assert_eq!(after(&[0, 1, 2, 3, 4, 5, 6, 7].map(fast)), MOST);
    }

    #[test]
    fn unknown_times_change_nothing() {
        assert_eq!(after(&[]), FIRST);
        // Too short; already done before the wait.
        assert_eq!(after(&[(100, [0, 1, 5])]), FIRST);
        assert_eq!(after(&[(100, [0, 900, 900])]), FIRST);
        let mut pace = Pace::default();
        pace.learn(Sent { at: None, work: 1 }, None, None);
        assert_eq!(pace.budget(), FIRST);
    }
}
