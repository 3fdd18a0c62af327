//! A progress bar on stderr, hidden when stderr is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use pixelloom::{Error, text};

pub struct Bar(ProgressBar);

impl Bar {
    /// A bar at 0 of `total` items called `what`.
    pub fn new(what: &str, total: usize) -> Bar {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {eta} left");
        let style = style.expect("a valid template");
        Bar(ProgressBar::new(total as u64).with_style(style).with_message(text::line(what)))
    }

    /// Moves the bar to `done` items. Returns false, so that it can serve as a callback that never stops the work.
    pub fn at(&self, done: usize) -> bool {
        self.0.set_position(done as u64);
        false
    }

    /// Moves the bar to `done` of `total` items. Always returns `Ok`.
    pub fn of(&self, done: usize, total: usize) -> Result<(), Error> {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
        Ok(())
    }

    /// Removes the bar.
    pub fn done(&self) {
        self.0.finish_and_clear();
    }
}
