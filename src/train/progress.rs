//! Training progress on stderr: a bar on a terminal, otherwise a line every few seconds. A closed stderr does not stop
//! training.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// Time between lines if stderr is not a terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// The progress display.
pub struct Progress {
    /// Whether it shows anything.
    shown: bool,
    bar: Option<ProgressBar>,
    total: u64,
    /// When the last line was written.
    written: Instant,
    message: String,
}

impl Progress {
    /// A display for `done` of `total` steps; it stays hidden unless `shown`.
    pub fn new(total: u64, done: u64, shown: bool) -> Progress {
        let bar = (shown && std::io::stderr().is_terminal()).then(|| {
            let template = "{bar:24} {pos}/{len} steps  {msg}  {eta} left";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::new(total).with_style(style.expect("a valid template"));
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Progress { shown, bar, total, written: Instant::now(), message: String::new() }
    }

    /// Updates the display to `step` finished steps.
    pub fn step(&mut self, step: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(step),
            None if self.shown && self.written.elapsed() >= PAUSE => {
                self.written = Instant::now();
                note(format!("step {step}/{}  {}", self.total, self.message).trim_end());
            }
            None => {}
        }
    }

    /// Sets the loss and the speed that are shown next to the count.
    pub fn figures(&mut self, loss: f64, images_per_second: f64) {
        self.message = format!("loss {loss:.2} nats  {images_per_second:.0} images/s");
        if let Some(bar) = &self.bar {
            bar.set_message(self.message.clone());
        }
    }

    /// Prints a separate line.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None if self.shown => note(text),
            None => {}
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text::line(text));
}
