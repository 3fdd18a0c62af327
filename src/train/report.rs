//! Reports: one self-contained HTML page about a run, and one that compares several.
//!
//! A page holds its style, plots (SVG) and pictures (PNG in base64), loads nothing, runs no script,
//! and reads well in the dark, on paper and aloud. Every figure stands beside its data set, split,
//! binarization and device, since figures under different ones cannot be compared.

mod compare;
mod csv;
mod events;
mod glimpses;
mod html;
mod pictures;
mod reference;
mod run;
mod time;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::files::write_whole;
use super::metrics::ERROR_PERCENT;
use super::plots::{Plot, Series, Stroke, curve, series_from_metrics, smoothed, thinned};
use crate::data::thousands;
use crate::error::Result;
use html::{duration, facts, figure, page, section, table};
use run::Run;

pub use compare::compare;
pub use csv::csv;
pub(super) use events::event_writer;
pub use events::{events, events_path};
pub(crate) use html::escape;
pub use run::{lines_of, read_metrics, summary};

/// Raw training losses that are drawn; more would be one grey band.
const MOST_POINTS: usize = 1500;

const NATS: &str = "nats an image";
/// The key of bits a number of the image.
const BITS: &str = "bits_per_dim";
const IMAGES: &str = "training images seen";

/// Writes `report.html` and `curve.svg` into a run directory.
///
/// Reads `config.toml`, `metrics.jsonl`, `summary.json` (all but the first may be missing, as while a
/// run goes on), and the pictures `*.png`, `*.gif` in it and in `samples/`.
///
/// Fails with [`Error::Data`](crate::Error::Data) naming file and line if one of them is damaged (a torn last line of
/// a run that is writing, or was killed, is passed over), with [`Error::Disk`](crate::Error::Disk) if the page cannot
/// be written.
pub fn write(run_dir: &Path) -> Result<()> {
    let run = Run::read(run_dir)?;
    let plot = Plot { reference: reference::score(&run), ..training_plot(&run) };
    let svg = curve(&plot);
    write_whole(&run_dir.join("curve.svg"), svg.as_bytes())?;

    let name = run.score();
    let mut caption = format!(
        "Training loss and {name} in {NATS}, over {IMAGES}. Training loss: {}. ",
        run.training_what()
    );
    for what in run.evals().iter().filter_map(|line| line["what"].as_str()) {
        caption += &format!("{}: {what}. ", if name == "nll" { "NLL" } else { "Bound" });
    }
    caption += &format!("Device: {}.", run.device());
    if let Some(most) = plot.y_max {
        caption += &format!(" Values above {most:.1}, from the first steps, are left out.");
    }
    if let Some((label, nats)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {nats:.2} {NATS}.");
    }
    let title = match run.text("preset") {
        Some(preset) if preset != run.name => format!("{}: {preset}", run.name),
        _ => run.name.clone(),
    };
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    body += &facts(&known(&run));
    body += &format!("<p>{}</p>\n", escape(&paragraph(&run)));
    body += &figure(&svg, &caption);
    body += &section("Figures", &figures(&run));
    body += &curves(std::slice::from_ref(&run), false);
    body += &glimpses::section(&run);
    body += &pictures::sections(&run.pictures);
    body += &time::time(&run);
    if let Some(command) = run.text("command") {
        body += &section("Command", &format!("<pre><code>{}</code></pre>\n", escape(command)));
    }
    body += &section("Settings", &format!("<pre><code>{}</code></pre>\n", escape(&run.config)));
    write_whole(&run_dir.join("report.html"), page(&title, &body).as_bytes())
}

/// A plot over images seen that leaves out what is higher than everything after the first
/// twentieth: the fall of the first steps would flatten all the rest.
fn plot(series: Vec<Series>) -> Plot {
    let all = || series.iter().flat_map(|s| &s.points);
    let end = all().map(|p| p.0).fold(0.0, f64::max);
    let late = all().filter(|p| p.0 >= end / 20.0).map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let y_max = all().any(|p| p.1 > late).then_some(late);
    Plot { x_label: IMAGES.into(), y_label: NATS.into(), y_max, series, ..Plot::default() }
}

/// A figure of validation images, solid, and of training images, dashed, from the lines of `kind`; `None`
/// if no run has it. Names are put before the splits where there are several runs.
fn split_plot(runs: &[Run], kind: &str, key: &str, y_label: &str, log_x: bool) -> Option<Plot> {
    let mut series = Vec::new();
    for (colour, run) in runs.iter().enumerate() {
        for (split, stroke) in [("valid", Stroke::Solid), ("train", Stroke::Dashed)] {
            let points = series_from_metrics(&run.metrics, kind, Some(split), key);
            let name = if runs.len() > 1 { format!("{}, {split}", run.name) } else { split.into() };
            if !points.is_empty() {
                series.push(Series { name, points, stroke, colour, ..Series::default() });
            }
        }
    }
    let (x_label, y_label) = (IMAGES.into(), y_label.into());
    let plot = Plot { x_label, y_label, log_x, series, ..Plot::default() };
    (!plot.series.is_empty()).then_some(plot)
}

/// What else the runs' metrics have of their splits, a section each: marginal likelihoods, errors, the
/// parts of the bound.
fn curves(runs: &[Run], log_x: bool) -> String {
    marginal_section(runs, log_x) + &error_section(runs, log_x) + &parts_section(runs, log_x)
}

/// The two parts of a bound, a plot each, a section of its own, or nothing.
fn parts_section(runs: &[Run], log_x: bool) -> String {
    let mut html = String::new();
    for (key, what) in
        [("reconstruction", "Reconstruction, E_q[-log p(x | z)]"), ("kl", "KL(q(z | x) | p(z))")]
    {
        let Some(plot) = split_plot(runs, "eval", key, &format!("{key}, {NATS}"), log_x) else {
            continue;
        };
        let caption = format!("{what}, in {NATS}, over {IMAGES}. {}", data_of(runs, "eval", key));
        html += &figure(&curve(&plot), &caption);
    }
    if html.is_empty() { html } else { section("Parts of the bound", &html) }
}

/// log p(x) as in the AEVB paper's Figure 3, a section of its own, or nothing.
fn marginal_section(runs: &[Run], log_x: bool) -> String {
    let label = format!("log p(x), {NATS}");
    let Some(plot) = split_plot(runs, "marginal", "log_p", &label, log_x) else {
        return String::new();
    };
    let caption = format!(
        "Marginal likelihood by the estimator of Auto-Encoding Variational Bayes, appendix D: mean \
         log p(x) in {NATS}, over {IMAGES}; higher is better. {}",
        data_of(runs, "marginal", "log_p")
    );
    section("Marginal likelihood", &figure(&curve(&plot), &caption))
}

/// The errors of classifiers, a section of its own, or nothing.
fn error_section(runs: &[Run], log_x: bool) -> String {
    let label = "error, % of the images";
    let Some(mut plot) = split_plot(runs, "eval", ERROR_PERCENT, label, log_x) else {
        return String::new();
    };
    let mut caption = format!(
        "Images whose class is not found, in percent, over {IMAGES}; lower is better. {}",
        data_of(runs, "eval", ERROR_PERCENT)
    );
    plot.reference = reference::shared(runs, reference::error);
    if let Some((label, percent)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {percent:.2} %.");
    }
    section("Error", &figure(&curve(&plot), &caption))
}

/// What the lines of `kind` that have `key` are on, and where that was computed.
fn data_of(runs: &[Run], kind: &str, key: &str) -> String {
    let lines = runs.iter().flat_map(|run| run.metrics.iter().map(move |line| (run, line)));
    let drawn = |line: &Value| line["split"] == "valid" || line["split"] == "train";
    let lines = lines.filter(|(_, l)| l["kind"] == kind && l[key].is_number() && drawn(l));
    let data: BTreeSet<&str> = lines.filter_map(|(_, line)| line["what"].as_str()).collect();
    let devices: BTreeSet<String> = runs.iter().map(Run::device).collect();
    let devices: Vec<String> = devices.into_iter().collect();
    let data: String = data.iter().map(|what| format!("{what}. ")).collect();
    format!("{data}Device: {}.", devices.join("; "))
}

fn training_plot(run: &Run) -> Plot {
    let losses = series_from_metrics(&run.metrics, "train", None, "loss");
    let mean = thinned(&smoothed(&losses), MOST_POINTS);
    let raw = thinned(&losses, MOST_POINTS);
    let mut series = Vec::new();
    if !losses.is_empty() {
        let (stroke, colour) = (Stroke::Faint, 0);
        series.push(Series {
            name: "training loss".into(),
            points: raw,
            stroke,
            colour,
            ..Series::default()
        });
        let name = "training loss, running mean".into();
        series.push(Series { name, points: mean, colour, ..Series::default() });
    }
    for (colour, split) in ["train", "valid", "test"].into_iter().enumerate() {
        let points = series_from_metrics(&run.metrics, "eval", Some(split), run.score());
        if !points.is_empty() {
            let (name, stroke) = (format!("{split} {}", run.score()), Stroke::Solid);
            series.push(Series { name, points, stroke, colour: 3 - colour, ..Series::default() });
        }
    }
    plot(series)
}

/// What a reader looks at first: names and values.
fn known(run: &Run) -> Vec<(String, String)> {
    let mut known = Vec::new();
    for split in ["test", "valid"] {
        if let Some(score) = run.last_score(split) {
            let (name, value) = match score.error {
                Some(error) => ("error", format!("{error:.2} %")),
                None => (run.score(), format!("{:.2}", score.nats)),
            };
            known.push((format!("{split} {name}"), value));
        }
    }
    let count = |key: &str| run.number(key).map(|n| thousands(n as usize));
    known.extend(count("parameters").map(|n| ("parameters".into(), n)));
    known.push(("images seen".into(), thousands(run.last("images") as usize)));
    known.extend(run.number("seconds").map(|seconds| ("time".into(), duration(seconds))));
    known
}

/// The run in a few sentences.
fn paragraph(run: &Run) -> String {
    let mut text = match (run.text("preset"), run.number("parameters")) {
        (Some(preset), Some(n)) => format!("{preset}, {} parameters, ", thousands(n as usize)),
        (Some(preset), None) => format!("{preset}, "),
        (None, Some(n)) => format!("A model of {} parameters, ", thousands(n as usize)),
        (None, None) => "A model ".into(),
    };
    text += &format!(
        "trained for {} steps ({} images seen",
        thousands(run.last("step") as usize),
        thousands(run.last("images") as usize)
    );
    if let Some(epochs) = run.number("epochs") {
        text += &format!(", {} epochs", (epochs * 100.0).round() / 100.0);
    }
    text += &format!(") on {}", run.device());
    if let Some(seconds) = run.number("seconds") {
        text += &format!(" in {}", duration(seconds));
    }
    text += ".";
    for split in ["test", "valid"] {
        if let Some(score) = run.last_score(split) {
            text += &format!(" Last {split} {} ({}).", score.text(run.score()), score.what);
        }
    }
    let losses = smoothed(&series_from_metrics(&run.metrics, "train", None, "loss"));
    if let Some((_, loss)) = losses.last() {
        text += &format!(
            " Last training loss, running mean: {loss:.2} {NATS} ({}).",
            run.training_what()
        );
    }
    text += &format!(" All figures of this page are from {}.", run.device());
    if run.summary.is_null() {
        text += " The run is still going on, or was interrupted: it has no summary yet.";
    }
    text
}

/// The table of the last evaluation of each kind of data, and of the scores of the summary.
fn figures(run: &Run) -> String {
    let evals = run.evals();
    // Whatever else an evaluation measured stands behind the usual ones.
    let name = run.score();
    let classifies = run.classifies();
    let mut keys = match name {
        _ if classifies => vec![name, ERROR_PERCENT],
        "nll" => vec![name, BITS],
        _ => vec![name, "reconstruction", "kl"],
    };
    let position = ["step", "images", "epoch", "seconds", "images_per_second"];
    for (key, value) in evals.iter().filter_map(|line| line.as_object()).flatten() {
        if value.is_number() && !position.contains(&key.as_str()) && !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let cell = |key: &str, value: Option<f64>| {
        let digits = if key == BITS { 3 } else { 2 };
        value.map_or("–".to_string(), |v| format!("{v:.digits$}"))
    };
    let mut rows: Vec<Vec<String>> = evals
        .iter()
        .map(|line| {
            let count =
                |key: &str| line[key].as_u64().map_or("–".into(), |n| thousands(n as usize));
            let mut row = vec![run::what(line), run.device(), count("step"), count("images")];
            row.extend(keys.iter().map(|key| cell(key, line[key].as_f64())));
            row
        })
        .collect();
    for split in ["train", "valid", "test"] {
        let Some(score) = run.last_score(split) else { continue };
        // The rest of the scores are the summary's alone.
        if !evals
            .iter()
            .any(|line| line[name].as_f64() == Some(score.nats) && run::what(line) == score.what)
        {
            let at = |key: &str| thousands(run.last(key) as usize);
            let nats = cell(name, Some(score.nats));
            let mut row = vec![score.what, run.device(), at("step"), at("images"), nats];
            if let Some(error) = score.error {
                row.push(cell(ERROR_PERCENT, Some(error)));
            }
            row.resize(keys.len() + 4, "–".into());
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return "<p>Nothing has been evaluated yet.</p>\n".into();
    }
    let mut head = vec!["data", "device", "step", "images seen"];
    let names: Vec<String> = keys.iter().map(|key| key.replace('_', " ")).collect();
    head.extend(names.iter().map(String::as_str));
    let of = match name {
        _ if classifies => "nll of the class in nats an image, error in percent of the images",
        "nll" => "nll in nats an image, bits per dim of a number of the image",
        _ => "bound and its parts in nats an image",
    };
    table(&format!("The last evaluation of each kind of data; {of}."), &head, &rows)
}
