//! What makes the plots of a page interactive: their numbers as JSON, and one script that the page's content security
//! policy allows by its hash.
//!
//! The page is complete without the script. It replaces each SVG drawing by one with a cursor, zoom, logarithmic axes,
//! series that can be switched off, and an x axis of images, steps or time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::html::figure as html_figure;
use super::labels::{IMAGES, MOST_POINTS};
use super::plots::{Plot, curve, thinned};
use super::read::Run;

/// The script, for the end of a page.
pub const SCRIPT: &str = include_str!("interactive.js");

/// The value of the page's `Content-Security-Policy`: the browser loads nothing and runs only this script, even if
/// something else gets into the page.
pub fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'"
    )
}

/// A plot as a figure: the drawing, and its numbers for the script. `caption` is text.
pub fn figure(plot: &Plot, caption: &str) -> String {
    html_figure(&(curve(plot) + &data("", &numbers(plot))), caption)
}

/// For each run, (images seen, step, seconds) of its training lines, from which the script converts an x axis of images
/// to steps or time. Empty if no line has a time.
pub fn clocks(runs: &[Run]) -> String {
    let clocks: Vec<Value> = runs.iter().map(clock).collect();
    if clocks.iter().all(|clock| clock.as_array().is_some_and(Vec::is_empty)) {
        return String::new();
    }
    data(" id=\"clocks\"", &Value::Array(clocks))
}

/// A run's training lines: images, step, seconds, from the start to the last line.
fn clock(run: &Run) -> Value {
    let line = |line: &Value| {
        Some((line["images"].as_f64()?, line["step"].as_f64()?, line["seconds"].as_f64()?))
    };
    let lines = run.metrics.iter().filter(|line| line["kind"] == "train").filter_map(line);
    let mut rows: Vec<(f64, f64, f64)> = lines.collect();
    if rows.is_empty() {
        return json!([]);
    }
    // A resumed run repeats the lines after its checkpoint.
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let step = rows.len().div_ceil(MOST_POINTS).max(1);
    let mut kept: Vec<_> = rows.into_iter().rev().step_by(step).collect();
    kept.push((0.0, 0.0, 0.0));
    kept.reverse();
    json!(kept)
}

fn numbers(plot: &Plot) -> Value {
    // Five decimals are more than a screen shows.
    let short = |x: f64| (x * 1e5).round() / 1e5;
    let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
    let series: Vec<Value> = plot
        .series
        .iter()
        .map(|series| {
            let points: Vec<_> = series.points.iter().copied().filter(finite).collect();
            let points = thinned(&points, MOST_POINTS);
            let points: Vec<_> = points.into_iter().map(|(x, y)| [short(x), short(y)]).collect();
            json!({
                "name": series.name,
                "stroke": format!("{:?}", series.stroke),
                "colour": series.colour,
                "run": series.run,
                "points": points,
            })
        })
        .collect();
    json!({
        "x_label": plot.x_label,
        "y_label": plot.y_label,
        "over_images": plot.x_label == IMAGES,
        "log_x": plot.log_x,
        "log_y": plot.log_y,
        "y_min": plot.y_min,
        "y_max": plot.y_max,
        "reference": plot.reference,
        "series": series,
    })
}

/// A block of JSON, which the browser does not run. A `<` can only be in strings and is escaped, so no text ends the block.
fn data(attributes: &str, value: &Value) -> String {
    let text = value.to_string().replace('<', "\\u003c");
    format!("<script type=\"application/json\"{attributes}>{text}</script>\n")
}
