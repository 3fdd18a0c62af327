//! How the wall time of a run is spent.

use std::time::Instant;

use crate::run::metrics::Seconds;

/// The time of a run, including that of earlier processes.
pub struct Clock {
    /// When this process started.
    started: Instant,
    /// `all` is the total of earlier processes; the other fields grow.
    seconds: Seconds,
}

impl Clock {
    /// A clock that continues after `before`.
    pub fn after(before: Seconds) -> Clock {
        Clock { started: Instant::now(), seconds: before }
    }

    /// Adds seconds of training steps.
    pub fn steps(&mut self, seconds: f64) {
        self.seconds.steps += seconds;
    }

    /// Adds the time since `begin` to evaluations and their pictures.
    pub fn evaluated(&mut self, begin: Instant) {
        self.seconds.evaluations += begin.elapsed().as_secs_f64();
    }

    /// Adds the time since `begin` to checkpoints.
    pub fn saved(&mut self, begin: Instant) {
        self.seconds.checkpoints += begin.elapsed().as_secs_f64();
    }

    /// The times until now, in whole milliseconds.
    pub fn seconds(&self) -> Seconds {
        let Seconds { all, steps, evaluations, checkpoints } = self.seconds;
        let whole = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        Seconds {
            all: whole(all + self.started.elapsed().as_secs_f64()),
            steps: whole(steps),
            evaluations: whole(evaluations),
            checkpoints: whole(checkpoints),
        }
    }
}
