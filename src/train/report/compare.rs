//! The page that compares runs.

use std::path::Path;

use super::html::{duration, escape, figure, page, table};
use super::run::Run;
use super::{IMAGES, MOST_POINTS, NATS, marginal_section, plot};
use crate::data::thousands;
use crate::error::{Error, Result};
use crate::train::files::write_whole;
use crate::train::plots::{Plot, Series, Stroke, curve, series_from_metrics, smoothed, thinned};

/// Writes the page `out` that compares runs: a table, and in one plot their validation bounds, solid,
/// and their bounds on training images, dashed; if they have them, their marginal likelihoods in
/// another. With `log_x` both are over a logarithmic axis, as the paper's Figures 2 and 3.
///
/// Bounds on different data are pointed out. Fails as [`write`](super::write) does, and with
/// [`Error::Config`] if there are no runs.
pub fn compare(run_dirs: &[&Path], out: &Path, log_x: bool) -> Result<()> {
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
    let series: Vec<Series> =
        runs.iter().enumerate().flat_map(|(colour, run)| series(run, colour)).collect();
    let caption = format!(
        "Bounds in {NATS}, over {IMAGES}; lower is better. Solid: validation images; dashed: the \
         same number of training images at every evaluation, spread evenly, or the training loss \
         where that was not scored. Runs by Monte Carlo EM train no encoder, so their bounds mean \
         little and are left out. Data and devices as above."
    );
    // A logarithmic axis has room for the first steps, a straight one leaves them out.
    let plot = plot(series);
    let plot = if log_x { Plot { log_x, y_max: None, ..plot } } else { plot };
    body += &figure(&curve(&plot), &caption);
    body += &marginal_section(&runs, log_x);
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

/// A run's lines of the plot: its bound on validation images and on training images. Where the latter
/// was not scored, the training loss stands in from the first evaluation on, if it is a bound at all.
/// None of a run by Monte Carlo EM: its encoder is not trained, so its bound would only flatten the rest.
fn series(run: &Run, colour: usize) -> Vec<Series> {
    let line = |what: &str, points, stroke| Series {
        name: format!("{}, {what}", run.name),
        points,
        stroke,
        colour,
    };
    let method = run.method();
    if method.as_deref() == Some("monte-carlo-em") {
        return Vec::new();
    }
    let bounds = |split| series_from_metrics(&run.metrics, "eval", Some(split), "bound");
    let (valid, train) = (bounds("valid"), bounds("train"));
    let first = valid.first().map_or(0.0, |p| p.0);
    let mut lines = Vec::new();
    if !valid.is_empty() {
        lines.push(line("valid bound", valid, Stroke::Solid));
    }
    if !train.is_empty() {
        lines.push(line("train bound", train, Stroke::Dashed));
    } else if method.is_none_or(|method| method == "sgvb") {
        let losses = series_from_metrics(&run.metrics, "train", None, "loss");
        let mut points = smoothed(&losses);
        points.retain(|p| p.0 >= first);
        if !points.is_empty() {
            lines.push(line("training loss", thinned(&points, MOST_POINTS), Stroke::Dashed));
        }
    }
    lines
}
