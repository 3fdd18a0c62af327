//! A progress bar on stderr; nothing where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};
use pixelloom::{Error, text};

pub struct Bar(ProgressBar);

impl Bar {
    /// Of `total` things called `what`, none is done.
    pub fn new(what: &str, total: usize) -> Bar {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {eta} left");
        let style = style.expect("a template without fault");
        Bar(ProgressBar::new(total as u64).with_style(style).with_message(text::line(what)))
    }

    /// `done` are done; never a reason to stop.
    pub fn at(&self, done: usize) -> bool {
        self.0.set_position(done as u64);
        false
    }

    /// `done` of `total` are done; never a reason to stop.
    pub fn of(&self, done: usize, total: usize) -> Result<(), Error> {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
        Ok(())
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.0.finish_and_clear();
    }
}
