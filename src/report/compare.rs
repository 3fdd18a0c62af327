//! The page that compares runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Value;

use super::curves::{curves, left_out, plot};
use super::html::{duration, escape, page, section, table};
use super::interactive::{clocks, figure};
use super::labels::{IMAGES, MOST_POINTS, NATS};
use super::plots::{Plot, Series, Stroke, series_from_metrics, smoothed, thinned};
use super::read::{Run, Score};
use super::{gallery, reference};
use crate::data::thousands;
use crate::error::{Error, Result};
use crate::output::Output;
use crate::settings::flat;

/// Writes the page `out` that compares runs. It has a table; a plot of the scores on validation (solid) and training
/// images (dashed); further plots of bits/dim, marginal likelihoods, errors and the parts of the bound where the runs
/// have them; the last samples side by side; and the settings that differ. With `log_x` the plots have a logarithmic x
/// axis, as in Figures 2 and 3 of the paper.
///
/// The page warns if scores are on different data. Fails as [`write`](super::write) and [`Output::put`] do, and with
/// [`Error::Config`] if there are no runs.
pub fn compare(run_dirs: &[&Path], out: &Output, log_x: bool) -> Result<()> {
    if run_dirs.is_empty() {
        return Err(Error::Config(
            "nothing to compare: name at least one run directory, such as runs/NAME".into(),
        ));
    }
    let runs = run_dirs.iter().map(|dir| Run::read(dir)).collect::<Result<Vec<_>>>()?;
    let title = "Comparison of runs";
    let mut body = format!("<h1>{title}</h1>\n");
    for split in ["valid", "test"] {
        body += &paragraph(split, &runs);
    }
    let name = name(&runs);
    let (valid, test) = (format!("valid {name}"), format!("test {name}"));
    let head = [
        "run",
        &valid,
        &test,
        "preset",
        "parameters",
        "seed",
        "steps",
        "images seen",
        "time",
        "images/s",
        "device",
    ];
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let unit = match runs.iter().filter(|run| run.classifies()).count() {
        0 => format!("Each {name} in {NATS}."),
        n if n == runs.len() => "Each error in percent of the images.".into(),
        _ => format!("Each {name} in {NATS}; for classifiers, the error in percent of the images."),
    };
    body += &table(&unit, &head, &rows);
    let lines: Vec<Vec<Series>> =
        runs.iter().enumerate().map(|(number, run)| series(run, number)).collect();
    let missing = missing(&runs, &lines);
    let scores = score_name(&runs);
    let mut caption = format!(
        "Each {scores} in {NATS}, over {IMAGES}; lower is better. Solid: validation images; dashed: evenly \
         spaced training images, the same number at every evaluation, or the training loss where these \
         were not scored. Data and devices as above."
    );
    let plot = Plot {
        reference: reference::shared(&runs, reference::score),
        ..plot(lines.concat(), NATS, log_x)
    };
    caption += &left_out(&plot);
    if let Some((label, nats)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {nats:.2} {NATS}.");
    }
    body += &figure(&plot, &caption);
    body += &missing;
    body += &clocks(&runs);
    body += &curves(&runs, log_x);
    let named: Vec<_> = runs.iter().map(|run| (run.name.as_str(), &run.pictures[..])).collect();
    body += &gallery::last_samples(&named);
    body += &differences(&runs);
    out.put(page(title, &body).as_bytes())
}

/// Names the runs that have no line in the plot, and why; empty if all have one.
fn missing(runs: &[Run], lines: &[Vec<Series>]) -> String {
    let without = runs.iter().zip(lines).filter(|(_, lines)| lines.is_empty());
    let named: Vec<String> = without
        .map(|(run, _)| match run.method().as_deref() {
            Some("monte-carlo-em") => {
                format!("{} (Monte Carlo EM trains no encoder, so it has no bound)", run.name)
            }
            _ => format!("{} (it has not been evaluated yet)", run.name),
        })
        .collect();
    if named.is_empty() {
        return String::new();
    }
    format!("<p class=\"note\">Not in the plot: {}.</p>\n", escape(&named.join("; ")))
}

/// A section with the settings in which the runs differ; empty if there are none or a file is not valid TOML.
fn differences(runs: &[Run]) -> String {
    let flat = |run: &Run| run.config.parse().map(|table| flat(&table)).unwrap_or_default();
    let settings: Vec<BTreeMap<String, Value>> =
        runs.iter().map(|run| flat(run).into_iter().collect()).collect();
    let keys: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    let differs = |key: &&String| settings.iter().any(|of| of.get(*key) != settings[0].get(*key));
    let row = |key: &String| {
        let value = |of: &BTreeMap<String, Value>| of.get(key).map_or("–".into(), Value::to_string);
        std::iter::once(key.clone()).chain(settings.iter().map(value)).collect()
    };
    let rows: Vec<Vec<String>> = keys.into_iter().filter(differs).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = runs.iter().map(|run| run.name.as_str());
    let head: Vec<&str> = std::iter::once("setting").chain(names).collect();
    section("Settings that differ", &table("All others are the same.", &head, &rows))
}

/// The name of the headline score: "error" for classifiers, otherwise as in [`score_name`].
fn name(runs: &[Run]) -> &'static str {
    if runs.iter().all(Run::classifies) { "error" } else { score_name(runs) }
}

/// The name of the runs' scores: "bound" or "nll", or "score" if the runs have both.
fn score_name(runs: &[Run]) -> &'static str {
    let first = runs[0].score();
    if runs.iter().all(|run| run.score() == first) { first } else { "score" }
}

/// The data of a split's scores, or a warning that the runs were scored on different data.
fn paragraph(split: &str, runs: &[Run]) -> String {
    let named: Vec<(&str, String)> = runs
        .iter()
        .filter_map(|run| Some((run.name.as_str(), run.last_score(split)?.what)))
        .collect();
    let Some((_, first)) = named.first() else { return String::new() };
    if named.iter().all(|(_, what)| what == first) {
        let name = name(runs);
        return format!("<p>The {split} {name}s are on {}.</p>\n", escape(first));
    }
    let list: Vec<String> = named.iter().map(|(name, what)| format!("{name}: {what}")).collect();
    format!(
        "<p class=\"note\">The {split} {}s are on different data and cannot be compared: \
         {}.</p>\n",
        name(runs),
        escape(&list.join("; "))
    )
}

/// The table cells of a run.
fn row(run: &Run) -> Vec<String> {
    let none = || String::from("–");
    let text = |score: Score| match score.error {
        Some(error) => format!("{error:.2} %"),
        None => format!("{:.2}", score.nats),
    };
    let score = |split| run.last_score(split).map_or_else(none, text);
    let parameters = run.number("parameters").map(|n| thousands(n as usize));
    vec![
        run.name.clone(),
        score("valid"),
        score("test"),
        run.text("preset").map_or_else(none, String::from),
        parameters.unwrap_or_else(none),
        run.summary["seed"].as_u64().map_or_else(none, |seed| seed.to_string()),
        thousands(run.last("step") as usize),
        thousands(run.last("images") as usize),
        run.number("seconds").map_or_else(none, duration),
        run.last_of_training("images_per_second").map_or_else(none, |rate| format!("{rate:.0}")),
        run.device(),
    ]
}

/// A run's lines in the plot: its scores on validation and on training images. If training images were not scored, the
/// training loss from the first evaluation on takes their place, provided that it is a bound. Empty for Monte Carlo EM,
/// which trains no encoder: its bound would only compress the other curves.
fn series(run: &Run, number: usize) -> Vec<Series> {
    let line = |what: &str, points, stroke| Series {
        name: format!("{}, {what}", run.name),
        points,
        stroke,
        colour: number,
        run: number,
        ..Series::default()
    };
    let method = run.method();
    if method.as_deref() == Some("monte-carlo-em") {
        return Vec::new();
    }
    let scores = |split| series_from_metrics(&run.metrics, "eval", Some(split), run.score());
    let (valid, train) = (scores("valid"), scores("train"));
    let first = valid.first().map_or(0.0, |p| p.0);
    let mut lines = Vec::new();
    if !valid.is_empty() {
        lines.push(line(&format!("valid {}", run.score()), valid, Stroke::Solid));
    }
    if !train.is_empty() {
        lines.push(line(&format!("train {}", run.score()), train, Stroke::Dashed));
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
