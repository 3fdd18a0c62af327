//! The terminal: lines on stderr, and below them a status line that is redrawn during work.
//!
//! There is no status line if stderr is not a terminal, or with `-q`. Colours appear on terminals only, and not if
//! `NO_COLOR` is set. If stderr is closed, output to it is dropped and the program continues.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::{Style, Term, measure_text_width};

use crate::{ranks, text};

/// Minimum time between two updates of the status line.
const PAUSE: Duration = Duration::from_millis(100);
/// Number of columns if the terminal does not report it.
const COLUMNS: usize = 80;

static QUIET: AtomicBool = AtomicBool::new(false);

/// The status line on the terminal.
struct Drawn {
    columns: usize,
    at: Option<Instant>,
}

static DRAWN: Mutex<Drawn> = Mutex::new(Drawn { columns: 0, at: None });

/// A part of a status line. If there is not enough room, the parts with the highest rank are left out.
pub struct StatusPart {
    /// 0 for a part that is always shown.
    pub rank: usize,
    /// The text.
    pub text: String,
}

/// Turns off the status line and the progress.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only warnings and errors are shown.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether status lines are shown.
pub fn has_status() -> bool {
    !is_quiet() && std::io::stderr().is_terminal()
}

/// The parts that fit in `columns`, in their order and two spaces apart.
pub fn fit(parts: &[StatusPart], columns: usize) -> String {
    let joined = |most: usize| {
        let shown = parts.iter().filter(|part| part.rank <= most);
        shown.map(|part| part.text.as_str()).collect::<Vec<_>>().join("  ")
    };
    let mut ranks: Vec<usize> = parts.iter().map(|part| part.rank).collect();
    ranks.sort_unstable();
    let lines = ranks.into_iter().rev().map(joined);
    let fitting = lines.into_iter().find(|line| measure_text_width(line) <= columns);
    fitting.unwrap_or_else(|| joined(0).chars().take(columns).collect())
}

/// A bar of `width` characters, `share` of it filled.
pub fn bar(share: f64, width: usize) -> String {
    let filled = ((share.clamp(0.0, 1.0) * width as f64) as usize).min(width);
    "█".repeat(filled) + &"░".repeat(width - filled)
}

/// A duration in two units at most: `45s`, `2m10s`, `3h05m`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 359_999.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
    }
}

/// Draws the status line, at most ten times a second.
pub fn status(parts: impl FnOnce() -> Vec<StatusPart>) {
    if !has_status() {
        return;
    }
    let mut drawn = lock();
    if drawn.at.is_some_and(|at| at.elapsed() < PAUSE) {
        return;
    }
    // The last column stays free: some terminals wrap a line that fills it.
    let line = fit(&parts(), columns() - 1);
    let line = text::line(&line);
    write(&format!("{}{line}", erase(drawn.columns)));
    *drawn = Drawn { columns: measure_text_width(&line), at: Some(Instant::now()) };
}

/// Erases the status line.
pub fn clear_status() {
    let mut drawn = lock();
    if drawn.columns > 0 {
        write(&erase(drawn.columns));
    }
    *drawn = Drawn { columns: 0, at: None };
}

/// Writes a line above the status line, with its first word in colour if that is `error:`, `warning:` or `note:`.
pub fn line(what: &str) {
    clear_status();
    // A single write, so that lines of several processes do not mix.
    write(&format!("{}{}\n", ranks::prefix(), coloured(&text::line(what))));
}

fn coloured(line: &str) -> String {
    if !std::io::stderr().is_terminal() || !console::colors_enabled_stderr() {
        return line.to_string();
    }
    let styles = [
        ("error:", Style::new().red().bold()),
        ("warning:", Style::new().yellow().bold()),
        ("note:", Style::new().cyan()),
    ];
    let found =
        styles.iter().find_map(|(word, style)| Some((word, style, line.strip_prefix(word)?)));
    found.map_or(line.to_string(), |(word, style, rest)| {
        format!("{}{rest}", style.clone().for_stderr().apply_to(word))
    })
}

/// The codes that erase a line of this width. If the terminal became narrower, the line has wrapped to several rows.
fn erase(width: usize) -> String {
    match width.div_ceil(columns()) {
        0 | 1 => "\r\x1b[K".into(),
        rows => format!("\r\x1b[{}A\x1b[J", rows - 1),
    }
}

fn columns() -> usize {
    let size = Term::stderr().size_checked();
    size.map_or(COLUMNS, |(_, columns)| usize::from(columns)).max(2)
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn lock() -> MutexGuard<'static, Drawn> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_is_left_out_first() {
        let part = |rank, text: &str| StatusPart { rank, text: text.into() };
        let parts = [part(2, "██░░"), part(0, "41%"), part(1, "loss 93.1"), part(3, "epoch 3/10")];
        assert_eq!(fit(&parts, 40), "██░░  41%  loss 93.1  epoch 3/10");
        assert_eq!(fit(&parts, 31), "██░░  41%  loss 93.1");
        assert_eq!(fit(&parts, 19), "41%  loss 93.1");
        assert_eq!(fit(&parts, 5), "41%");
        assert_eq!(fit(&parts, 2), "41");
    }

    #[test]
    fn durations_are_short() {
        let all = [0.4, 59.6, 130.0, 3600.0, 11_100.0, f64::INFINITY].map(duration);
        assert_eq!(all, ["0s", "1m00s", "2m10s", "1h00m", "3h05m", "99h59m"]);
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(7.0, 2), "██");
    }
}
