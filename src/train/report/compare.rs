//! The page that compares runs.

use std::path::Path;

use super::html::{duration, escape, figure, page, table};
use super::run::Run;
use super::{IMAGES, MOST_POINTS, NATS, plot};
use crate::data::thousands;
use crate::error::{Error, Result};
use crate::train::files::write_whole;
use crate::train::plots::{Series, Stroke, curve, series_from_metrics, smoothed, thinned};

/// Writes the page `out` that compares runs: a table, and their validation bounds in one plot
/// (of a run without any, its training loss, dashed).
///
/// Bounds on different data are pointed out. Fails as [`write`](super::write) does, and with
/// [`Error::Config`] if there are no runs.
pub fn compare(run_dirs: &[&Path], out: &Path) -> Result<()> {
    if run_dirs.is_empty() {
        return Err(Error::Config(
            "nothing to compare: name at least one run directory, such as runs/NAME".into(),
        ));
    }
    let runs = run_dirs.iter().map(|dir| Run::read(dir)).collect::<Result<Vec<_>>>()?;
    let title = "Runs compared";
    let mut body = format!("<h1>{title}</h1>\n");
    for split in ["valid", "test"] {
        body += &paragraph(split, &runs);
    }
    let head = [
        "run",
        "valid bound",
        "test bound",
        "preset",
        "parameters",
        "seed",
        "steps",
        "images seen",
        "time",
        "device",
    ];
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    body += &table(&format!("Bounds in {NATS}."), &head, &rows);
    let series = runs.iter().enumerate().map(|(colour, run)| series(run, colour)).collect();
    let caption = format!("Bounds in {NATS}, over {IMAGES}; data and devices as above.");
    body += &figure(&curve(&plot(series)), &caption);
    write_whole(out, page(title, &body).as_bytes())
}

/// What the bounds of a split are on, or the warning that they are on different data.
fn paragraph(split: &str, runs: &[Run]) -> String {
    let named: Vec<(&str, String)> =
        runs.iter().filter_map(|run| Some((run.name.as_str(), run.last_bound(split)?.1))).collect();
    let Some((_, first)) = named.first() else { return String::new() };
    if named.iter().all(|(_, what)| what == first) {
        return format!("<p>The {split} bounds are on {}.</p>\n", escape(first));
    }
    let list: Vec<String> = named.iter().map(|(name, what)| format!("{name}: {what}")).collect();
    format!(
        "<p class=\"note\">The {split} bounds are on different data and cannot be compared: \
         {}.</p>\n",
        escape(&list.join("; "))
    )
}

/// A run's cells of the table.
fn row(run: &Run) -> Vec<String> {
    let none = || String::from("–");
    let bound = |split| run.last_bound(split).map_or_else(none, |(bound, _)| format!("{bound:.2}"));
    let parameters = run.number("parameters").map(|n| thousands(n as usize));
    vec![
        run.name.clone(),
        bound("valid"),
        bound("test"),
        run.text("preset").map_or_else(none, String::from),
        parameters.unwrap_or_else(none),
        run.summary["seed"].as_u64().map_or_else(none, |seed| seed.to_string()),
        thousands(run.last("step") as usize),
        thousands(run.last("images") as usize),
        run.number("seconds").map_or_else(none, duration),
        run.device(),
    ]
}

/// A run's line of the plot.
fn series(run: &Run, colour: usize) -> Series {
    let valid = series_from_metrics(&run.metrics, "eval", Some("valid"), "bound");
    if valid.is_empty() {
        let losses = series_from_metrics(&run.metrics, "train", None, "loss");
        let name = format!("{}, training loss", run.name);
        let points = thinned(&smoothed(&losses), MOST_POINTS);
        return Series { name, points, stroke: Stroke::Dashed, colour };
    }
    let name = format!("{}, valid bound", run.name);
    Series { name, points: valid, stroke: Stroke::Solid, colour }
}
