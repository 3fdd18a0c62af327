//! How far training is, on stderr: a bar on a terminal, else a line every few seconds. A stderr that
//! nobody reads any more stops nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// Between lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// What shows progress.
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
    /// Of `total` steps, `done` are done; nothing is ever shown unless `shown`.
    pub fn new(total: u64, done: u64, shown: bool) -> Progress {
        let bar = (shown && std::io::stderr().is_terminal()).then(|| {
            let template = "{bar:24} {pos}/{len} steps  {msg}  {eta} left";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::new(total).with_style(style.expect("a template without fault"));
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Progress { shown, bar, total, written: Instant::now(), message: String::new() }
    }

    /// `step` steps are done.
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

    /// What stands beside the count from now on.
    pub fn figures(&mut self, loss: f64, images_per_second: f64) {
        self.message = format!("loss {loss:.2} nats  {images_per_second:.0} images/s");
        if let Some(bar) = &self.bar {
            bar.set_message(self.message.clone());
        }
    }

    /// A line of its own.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None if self.shown => note(text),
            None => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text::line(text));
}
