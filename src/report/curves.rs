//! Curves of the splits over the images seen, for the page of a run and the page that compares runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::html::section;
use super::interactive::figure;
use super::labels::{BITS, BITS_PER_DIM, IMAGES, MOST_POINTS, NATS};
use super::plots::{Plot, Series, Stroke, series_from_metrics, smoothed, thinned};
use super::read::Run;
use super::reference;
use crate::run::metrics::ERROR_PERCENT;

/// A plot over images seen. A linear axis leaves out what lies outside the range that the series have after
/// the first twentieth of each: the fall or rise of the first steps would compress the rest.
pub fn plot(series: Vec<Series>, y_label: &str, log_x: bool) -> Plot {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for Series { points, .. } in &series {
        let end = points.last().map_or(0.0, |p| p.0);
        for (_, y) in points.iter().filter(|p| p.0 >= end / 20.0) {
            (low, high) = (low.min(*y), high.max(*y));
        }
    }
    let all = || series.iter().flat_map(|s| &s.points);
    let cut = !log_x && low < high;
    let y_max = (cut && all().any(|p| p.1 > high)).then_some(high);
    let y_min = (cut && all().any(|p| p.1 < low)).then_some(low);
    let (x_label, y_label) = (IMAGES.into(), y_label.into());
    Plot { x_label, y_label, log_x, y_min, y_max, series, ..Plot::default() }
}

/// What a plot leaves out, as a sentence for its caption; empty if it shows everything.
pub fn left_out(plot: &Plot) -> String {
    let beyond = match (plot.y_min, plot.y_max) {
        (None, None) => return String::new(),
        (None, Some(high)) => format!("above {high:.1}"),
        (Some(low), None) => format!("below {low:.1}"),
        (Some(low), Some(high)) => format!("below {low:.1} and above {high:.1}"),
    };
    format!(" Values {beyond}, from the first steps, are not drawn.")
}

/// What a plot does not show: values and runs.
fn remarks(runs: &[Run], plot: &Plot) -> String {
    left_out(plot) + &without(runs, plot)
}

/// The runs of a comparison that have no line in a plot, as a sentence for its caption; empty if all have one.
fn without(runs: &[Run], plot: &Plot) -> String {
    let drawn = |number: usize| plot.series.iter().any(|series| series.run == number);
    let missing = runs.iter().enumerate().filter(|(number, _)| !drawn(*number));
    let names: Vec<&str> = missing.map(|(_, run)| run.name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" Without such values: {}.", names.join(", "))
}

/// The name of a line: the run's name precedes it if there are several runs.
fn named(runs: &[Run], run: &Run, what: &str) -> String {
    if runs.len() > 1 { format!("{}, {what}", run.name) } else { what.into() }
}

/// A plot of `key` on validation (solid) and training images (dashed), from the lines of `kind`; `None` if no run
/// has it.
fn split_plot(runs: &[Run], kind: &str, key: &str, y_label: &str, log_x: bool) -> Option<Plot> {
    let mut series = Vec::new();
    for (colour, run) in runs.iter().enumerate() {
        for (split, stroke) in [("valid", Stroke::Solid), ("train", Stroke::Dashed)] {
            let points = series_from_metrics(&run.metrics, kind, Some(split), key);
            let name = named(runs, run, split);
            if !points.is_empty() {
                let run = colour;
                series.push(Series { name, points, stroke, colour, run, ..Series::default() });
            }
        }
    }
    (!series.is_empty()).then(|| plot(series, y_label, log_x))
}

/// Sections with the other curves of the runs: bits per dimension, marginal likelihoods, errors, the parts of the
/// bound.
pub fn curves(runs: &[Run], log_x: bool) -> String {
    let sections = [bits_section, marginal_section, error_section, parts_section];
    sections.iter().map(|section| section(runs, log_x)).collect()
}

/// A section with the scores and the training loss in bits/dim, the unit in which papers compare models of colour
/// images; nothing unless all runs have discrete data of more than two levels.
fn bits_section(runs: &[Run], log_x: bool) -> String {
    if !runs.iter().all(|run| run.levels().is_some_and(|levels| levels > 2)) {
        return String::new();
    }
    let Some(scores) = split_plot(runs, "eval", BITS, BITS_PER_DIM, log_x) else {
        return String::new();
    };
    let mut series = scores.series;
    for (number, run) in runs.iter().enumerate() {
        let Some(per_nat) = run.bits_per_nat() else { continue };
        let mut points = smoothed(&series_from_metrics(&run.metrics, "train", None, "loss"));
        points.iter_mut().for_each(|(_, loss)| *loss *= per_nat);
        series.push(Series {
            name: named(runs, run, "training loss"),
            points: thinned(&points, MOST_POINTS),
            stroke: Stroke::Faint,
            colour: number,
            run: number,
            ..Series::default()
        });
    }
    let mut plot = plot(series, BITS_PER_DIM, log_x);
    plot.reference = reference::shared(runs, reference::bits);
    let mut caption = format!(
        "Scores and training loss (running mean) in {BITS_PER_DIM}, over {IMAGES}; every channel of every pixel is \
         a dimension; lower is better. {}{}",
        data_of(runs, "eval", BITS),
        remarks(runs, &plot)
    );
    if let Some((label, bits)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {bits:.2} {BITS_PER_DIM}.");
    }
    section("Bits per dimension", &figure(&plot, &caption))
}

/// A section with a plot for each part of the bound, or nothing.
fn parts_section(runs: &[Run], log_x: bool) -> String {
    let mut html = String::new();
    for (key, what) in
        [("reconstruction", "Reconstruction, E_q[-log p(x | z)]"), ("kl", "KL(q(z | x) | p(z))")]
    {
        let Some(plot) = split_plot(runs, "eval", key, &format!("{key}, {NATS}"), log_x) else {
            continue;
        };
        let caption = format!(
            "{what}, in {NATS}, over {IMAGES}. {}{}",
            data_of(runs, "eval", key),
            remarks(runs, &plot)
        );
        html += &figure(&plot, &caption);
    }
    if html.is_empty() { html } else { section("Parts of the bound", &html) }
}

/// A section with log p(x), as in Figure 3 of the AEVB paper, or nothing.
fn marginal_section(runs: &[Run], log_x: bool) -> String {
    let label = format!("log p(x), {NATS}");
    let Some(plot) = split_plot(runs, "marginal", "log_p", &label, log_x) else {
        return String::new();
    };
    let caption = format!(
        "Marginal likelihood by the estimator of Auto-Encoding Variational Bayes, appendix D: mean \
         log p(x) in {NATS}, over {IMAGES}; higher is better. {}{}",
        data_of(runs, "marginal", "log_p"),
        remarks(runs, &plot)
    );
    section("Marginal likelihood", &figure(&plot, &caption))
}

/// A section with the errors of classifiers, or nothing.
fn error_section(runs: &[Run], log_x: bool) -> String {
    let label = "error, % of the images";
    let Some(mut plot) = split_plot(runs, "eval", ERROR_PERCENT, label, log_x) else {
        return String::new();
    };
    let mut caption = format!(
        "Misclassified images in percent, over {IMAGES}; lower is better. {}{}",
        data_of(runs, "eval", ERROR_PERCENT),
        remarks(runs, &plot)
    );
    plot.reference = reference::shared(runs, reference::error);
    if let Some((label, percent)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {percent:.2} %.");
    }
    section("Error", &figure(&plot, &caption))
}

/// The data and the devices of the lines of `kind` that have `key`.
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
