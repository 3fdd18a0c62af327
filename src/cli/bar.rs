//! A progress bar on stderr, hidden when stderr is not a terminal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pixelloom::Error;
use pixelloom::terminal::{self, StatusPart, bar, duration};

/// Characters of the bar.
const BAR: usize = 24;

pub struct Bar {
    what: String,
    total: AtomicUsize,
    began: Instant,
}

impl Bar {
    /// A bar at 0 of `total` items called `what`.
    pub fn new(what: &str, total: usize) -> Bar {
        Bar { what: what.into(), total: AtomicUsize::new(total), began: Instant::now() }
    }

    /// Moves the bar to `done` items. Returns false, so that it can serve as a callback that never stops the work.
    pub fn at(&self, done: usize) -> bool {
        let total = self.total.load(Ordering::Relaxed);
        let share = done as f64 / total.max(1) as f64;
        let part = |rank, text| StatusPart { rank, text };
        terminal::status(|| {
            let left = self.began.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-9);
            vec![
                part(3, bar(share, BAR)),
                part(0, format!("{:.0}%", (100.0 * share).floor())),
                part(2, format!("{done}/{total} {}", self.what)),
                part(1, format!("ETA {}", duration(left))),
            ]
        });
        false
    }

    /// Moves the bar to `done` of `total` items. Always returns `Ok`.
    pub fn of(&self, done: usize, total: usize) -> Result<(), Error> {
        self.total.store(total, Ordering::Relaxed);
        self.at(done);
        Ok(())
    }

    /// Removes the bar.
    pub fn done(&self) {
        terminal::clear_status();
    }
}
