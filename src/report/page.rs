//! The page of a run.

use std::path::Path;

use super::curves::{curves, left_out, plot};
use super::gallery;
use super::html::{duration, escape, facts, page, section, table};
use super::interactive::{clocks, figure};
use super::labels::{BITS, BITS_PER_DIM, IMAGES, MOST_POINTS, NATS};
use super::plots::{Plot, Series, Stroke, curve, series_from_metrics, smoothed, thinned};
use super::read::{self, Run};
use super::{glimpses, reference, time};
use crate::data::thousands;
use crate::error::Result;
use crate::files::write_whole;
use crate::run::metrics::ERROR_PERCENT;

/// Writes `report.html` and `curve.svg` into a run directory. Reads `config.toml`, `metrics.jsonl`, `summary.json` (all
/// but the first may be missing, for example while the run is training), and the pictures `*.png` and `*.gif` in the
/// directory and in `samples/`.
///
/// Fails with [`Error::Data`](crate::Error::Data) naming file and line if one of them is damaged (an incomplete last
/// line of a run that is writing or was killed is skipped), and with [`Error::Disk`](crate::Error::Disk) if the page
/// cannot be written.
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
    caption += &left_out(&plot);
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
    body += &figure(&plot, &caption);
    body += &clocks(std::slice::from_ref(&run));
    body += &section("Figures", &figures(&run));
    body += &curves(std::slice::from_ref(&run), false);
    body += &glimpses::section(&run);
    body += &gallery::sections(&run.pictures);
    body += &time::time(&run);
    if let Some(command) = run.text("command") {
        body += &section("Command", &format!("<pre><code>{}</code></pre>\n", escape(command)));
    }
    body += &section("Settings", &format!("<pre><code>{}</code></pre>\n", escape(&run.config)));
    write_whole(&run_dir.join("report.html"), page(&title, &body).as_bytes())
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
    plot(series, NATS, false)
}

/// The headline facts: names and values.
fn known(run: &Run) -> Vec<(String, String)> {
    let mut known = Vec::new();
    for split in ["test", "valid"] {
        if let Some(score) = run.last_score(split) {
            let (name, value) = match score.error {
                Some(error) => ("error", format!("{error:.2} %")),
                None => (run.score(), format!("{:.2} {NATS}", score.nats)),
            };
            known.push((format!("{split} {name}"), value));
            known.extend(score.bits.map(|bits| {
                (format!("{split}, bits per dimension"), format!("{bits:.3} {BITS_PER_DIM}"))
            }));
        }
    }
    let paper = reference::error(run).map(|(label, percent)| (label, format!("{percent:.2} %")));
    let nats = || reference::score(run).map(|(label, nats)| (label, format!("{nats:.2} {NATS}")));
    known.extend(paper.or_else(nats));
    let count = |key: &str| run.number(key).map(|n| thousands(n as usize));
    known.extend(count("parameters").map(|n| ("parameters".into(), n)));
    known.push(("images seen".into(), thousands(run.last("images") as usize)));
    known.extend(run.number("seconds").map(|seconds| ("time".into(), duration(seconds))));
    known
}

/// A summary of the run in a few sentences.
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
    if let Some(stopped) = run.text("stopped") {
        text += &format!(" It {stopped}.");
    }
    if let (Some(scored), Some(steps)) = (run.number("scored_step"), run.number("steps"))
        && scored < steps
    {
        let scored = thousands(scored as usize);
        text +=
            &format!(" The weights of step {scored}, with the best validation score, were scored.");
    }
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
    text += &format!(" All scores on this page were computed on {}.", run.device());
    if run.summary.is_null() {
        text += " The run is still training or was interrupted: it has no summary yet.";
    }
    text
}

/// The table of the last evaluation of each kind of data, and of the scores of the summary.
fn figures(run: &Run) -> String {
    let evals = run.evals();
    // Other measurements of an evaluation come after the usual ones.
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
            let mut row = vec![read::what(line), run.device(), count("step"), count("images")];
            row.extend(keys.iter().map(|key| cell(key, line[key].as_f64())));
            row
        })
        .collect();
    for split in ["train", "valid", "test"] {
        let Some(score) = run.last_score(split) else { continue };
        // The remaining scores are only in the summary.
        if !evals
            .iter()
            .any(|line| line[name].as_f64() == Some(score.nats) && read::what(line) == score.what)
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
        _ if classifies => {
            "the nll of the class is in nats/image, the error in percent of the images"
        }
        "nll" => "the nll is in nats/image, bits per dim count every channel of every pixel",
        _ => "the bound and its parts are in nats/image",
    };
    table(&format!("The last evaluation of each kind of data; {of}."), &head, &rows)
}
