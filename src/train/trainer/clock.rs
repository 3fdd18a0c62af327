//! What the wall time of a run goes into.

use std::time::Instant;

use crate::run::metrics::Seconds;

/// The time of a run, with that of the processes before this one.
pub struct Clock {
    /// When this process began.
    started: Instant,
    /// `all` is of the processes before, the others grow.
    seconds: Seconds,
}

impl Clock {
    /// Goes on after `before`.
    pub fn after(before: Seconds) -> Clock {
        Clock { started: Instant::now(), seconds: before }
    }

    /// Adds seconds of training steps.
    pub fn steps(&mut self, seconds: f64) {
        self.seconds.steps += seconds;
    }

    /// What passed since `begin` went into an evaluation or its pictures.
    pub fn evaluated(&mut self, begin: Instant) {
        self.seconds.evaluations += begin.elapsed().as_secs_f64();
    }

    /// What passed since `begin` went into a checkpoint.
    pub fn saved(&mut self, begin: Instant) {
        self.seconds.checkpoints += begin.elapsed().as_secs_f64();
    }

    /// Until now, in whole milliseconds.
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
