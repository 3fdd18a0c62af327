//! How far training is, on stderr: a status line on a terminal, else a line every few seconds.

use std::time::{Duration, Instant};

use crate::terminal::{self, StatusPart, bar, duration};

/// Time between lines if stderr is not a terminal.
const PAUSE: Duration = Duration::from_secs(5);
/// Weight of what came before in the smoothed loss, for each step.
const SMOOTHING: f64 = 0.98;
/// Characters of the bar.
const BAR: usize = 20;

/// A mean in which earlier values count less and less, unbiased from the first value on.
#[derive(Default)]
struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    fn add(&mut self, value: f64, steps: u64) {
        let keep = SMOOTHING.powf(steps as f64);
        self.sum = keep * self.sum + (1.0 - keep) * value;
        self.weight = keep * self.weight + (1.0 - keep);
    }

    fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The progress display.
pub struct Progress {
    /// Whether it shows anything.
    shown: bool,
    /// Steps of the run, of an epoch, and those that were done before.
    total: u64,
    per_epoch: u64,
    before: u64,
    began: Instant,
    /// When the last line was written.
    written: Instant,
    /// Images of this process.
    images: u64,
    loss: Smoothed,
}

impl Progress {
    /// Of `total` steps, `per_epoch` in each epoch, `done` are done; nothing is ever shown unless `shown`.
    pub fn new((total, per_epoch): (u64, u64), done: u64, shown: bool) -> Progress {
        let now = Instant::now();
        Progress {
            shown: shown && !terminal::is_quiet(),
            total,
            per_epoch,
            before: done,
            began: now,
            written: now,
            images: 0,
            loss: Smoothed::default(),
        }
    }

    /// Whether a loss is worth fetching after a step, where that costs nothing.
    pub fn wants_losses(&self) -> bool {
        self.shown
    }

    /// The mean loss of the last `steps` steps, nats/image.
    pub fn loss(&mut self, loss: f64, steps: u64) {
        if loss.is_finite() {
            self.loss.add(loss, steps);
        }
    }

    /// `step` steps are done, the last one with this number of images.
    pub fn step(&mut self, step: u64, images: u64) {
        self.images += images;
        if !self.shown {
            return;
        }
        if terminal::has_status() {
            terminal::status(|| self.parts(step));
        } else if self.written.elapsed() >= PAUSE {
            self.written = Instant::now();
            let parts = self.parts(step);
            let words: Vec<&str> = parts[2..].iter().map(|part| part.text.as_str()).collect();
            terminal::line(&words.join("  "));
        }
    }

    /// The parts of the line after `step` steps; the first two are for a terminal.
    fn parts(&self, step: u64) -> Vec<StatusPart> {
        let part = |rank, text| StatusPart { rank, text };
        let share = step as f64 / self.total.max(1) as f64;
        let seconds = self.began.elapsed().as_secs_f64().max(1e-9);
        let (epoch, epochs) = (step.div_ceil(self.per_epoch), self.total / self.per_epoch);
        let mut parts = vec![
            part(6, bar(share, BAR)),
            part(0, format!("{:.0}%", (100.0 * share).floor())),
            part(5, format!("step {step}/{}", self.total)),
            part(3, format!("epoch {epoch}/{epochs}")),
        ];
        if let Some(loss) = self.loss.mean() {
            let digits = if loss.abs() < 1000.0 { 1 } else { 0 };
            parts.push(part(1, format!("loss {loss:.digits$}")));
        }
        parts.push(part(4, format!("{:.0} images/s", self.images as f64 / seconds)));
        let done = step.saturating_sub(self.before);
        if done > 0 && step < self.total {
            let left = seconds / done as f64 * (self.total - step) as f64;
            parts.push(part(2, format!("ETA {}", duration(left))));
        }
        parts
    }

    /// A line of its own; warnings also if the user wants quiet.
    pub fn line(&self, text: &str) {
        if self.shown || text.starts_with("warning:") {
            terminal::line(text);
        }
    }

    /// Takes the status line away.
    pub fn finish(&self) {
        terminal::clear_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::fit;

    #[test]
    fn the_line_fits_any_terminal() {
        let mut progress = Progress::new((180, 60), 0, true);
        assert!(!progress.parts(1).iter().any(|part| part.text.contains("loss")));
        progress.loss(12_345.6, 1);
        progress.images = 1000;
        let parts = progress.parts(74);
        let lines = [24, 39, 99].map(|columns| fit(&parts, columns));
        assert!(lines[0].starts_with("41%  loss 12346  ETA "), "{}", lines[0]);
        assert!(lines[1].starts_with("41%  epoch 2/3  loss 12346"), "{}", lines[1]);
        let whole = "41%  step 74/180  epoch 2/3  loss 12346";
        assert!(lines[2].contains(whole) && lines[2].contains("images/s"), "{}", lines[2]);
    }

    #[test]
    fn the_smoothed_loss_is_right_from_the_first_step() {
        let mut smoothed = Smoothed::default();
        assert_eq!(smoothed.mean(), None);
        smoothed.add(100.0, 1);
        assert!((smoothed.mean().unwrap() - 100.0).abs() < 1e-9);
        (0..2000).for_each(|_| smoothed.add(50.0, 1));
        assert!((smoothed.mean().unwrap() - 50.0).abs() < 1e-6);
    }
}
