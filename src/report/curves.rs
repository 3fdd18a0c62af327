//! Curves of the splits over the images seen, for the page of a run and the page that compares runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::html::{figure, section};
use super::labels::{IMAGES, NATS};
use super::plots::{Plot, Series, Stroke, curve, series_from_metrics};
use super::read::Run;
use super::reference;
use crate::run::metrics::ERROR_PERCENT;

/// A plot over images seen that cuts off values above everything after the first twentieth: the steep fall of the first
/// steps would compress the rest.
pub fn plot(series: Vec<Series>) -> Plot {
    let all = || series.iter().flat_map(|s| &s.points);
    let end = all().map(|p| p.0).fold(0.0, f64::max);
    let late = all().filter(|p| p.0 >= end / 20.0).map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let y_max = all().any(|p| p.1 > late).then_some(late);
    Plot { x_label: IMAGES.into(), y_label: NATS.into(), y_max, series, ..Plot::default() }
}

/// A plot of `key` on validation (solid) and training images (dashed), from the lines of `kind`; `None` if no run has
/// it. With several runs, their names precede the splits.
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

/// Sections with the other curves of the runs: marginal likelihoods, errors, the parts of the bound.
pub fn curves(runs: &[Run], log_x: bool) -> String {
    marginal_section(runs, log_x) + &error_section(runs, log_x) + &parts_section(runs, log_x)
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
        let caption = format!("{what}, in {NATS}, over {IMAGES}. {}", data_of(runs, "eval", key));
        html += &figure(&curve(&plot), &caption);
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
         log p(x) in {NATS}, over {IMAGES}; higher is better. {}",
        data_of(runs, "marginal", "log_p")
    );
    section("Marginal likelihood", &figure(&curve(&plot), &caption))
}

/// A section with the errors of classifiers, or nothing.
fn error_section(runs: &[Run], log_x: bool) -> String {
    let label = "error, % of the images";
    let Some(mut plot) = split_plot(runs, "eval", ERROR_PERCENT, label, log_x) else {
        return String::new();
    };
    let mut caption = format!(
        "Misclassified images in percent, over {IMAGES}; lower is better. {}",
        data_of(runs, "eval", ERROR_PERCENT)
    );
    plot.reference = reference::shared(runs, reference::error);
    if let Some((label, percent)) = &plot.reference {
        caption += &format!(" Dotted line, test split: {label}, {percent:.2} %.");
    }
    section("Error", &figure(&curve(&plot), &caption))
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
