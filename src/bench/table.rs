//! Markdown tables, padded so that they are also readable in a terminal.

use crate::profile::{Profile, Sum};
use crate::report::LEAST_SHARE;

/// A header and rows of cells.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|cell| cell.to_string()).collect()] }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0).max(3)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                // Names are left-aligned, numbers right-aligned.
                match column {
                    0 => write!(f, "| {cell:<0$} ", widths[0])?,
                    _ => write!(f, "| {cell:>0$} ", widths[column])?,
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let end = if column == 0 { "-" } else { ":" };
                    write!(f, "| {}{end} ", "-".repeat(width - 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A number with about three significant digits; empty for NaN.
pub fn digits(x: f64) -> String {
    match x {
        _ if !x.is_finite() => String::new(),
        _ if x.abs() >= 99.95 => format!("{x:.0}"),
        _ if x.abs() >= 9.995 => format!("{x:.1}"),
        _ if x.abs() >= 0.9995 || x == 0.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// A share in percent.
pub fn percent(x: f64) -> String {
    if x.is_finite() { format!("{:.1} %", 100.0 * x) } else { String::new() }
}

/// A row per kernel, slowest first: calls and ms per run, share of the time, and GFLOP/s and GB/s while it runs. Below a
/// kernel are rows of the shapes that take the most time. Then rows for the time outside of kernels and for the total.
/// `run` names what was repeated, such as "step".
pub fn by_kernel(profile: &Profile, run: &str) -> Table {
    let mut table = Table::new(&[
        "kernel",
        &format!("calls/{run}"),
        &format!("ms/{run}"),
        "share",
        "GFLOP/s",
        "GB/s",
    ]);
    let runs = profile.runs.max(1) as f64;
    let mut row = |name: &str, sum: &Sum, seconds: f64| {
        let calls = sum.calls as f64 / runs;
        let calls = if sum.calls == 0 { String::new() } else { digits(calls) };
        table.row(vec![
            name.into(),
            calls,
            digits(1e3 * seconds / runs),
            percent(seconds / profile.seconds),
            if sum.flops > 0 { digits(sum.flops as f64 / seconds / 1e9) } else { String::new() },
            if sum.bytes > 0 { digits(sum.bytes as f64 / seconds / 1e9) } else { String::new() },
        ]);
    };
    for (name, sum) in profile.ranked() {
        row(name, &sum, sum.seconds);
        for (shapes, sum) in profile.ranked_shapes(name) {
            if sum.seconds >= LEAST_SHARE * profile.seconds {
                row(&format!("  {shapes}"), &sum, sum.seconds);
            }
        }
    }
    let total = profile.total();
    row("(outside kernels)", &Sum::default(), (profile.seconds - total.seconds).max(0.0));
    row("(total)", &total, profile.seconds);
    table
}
