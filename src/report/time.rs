//! The speed of a run and how its time was spent.

use super::html::{duration, section, table};
use super::interactive::figure;
use super::labels::{IMAGES, MOST_POINTS};
use super::plots::{Plot, Series, Stroke, series_from_metrics, smoothed, thinned};
use super::read::Run;

const RATE: &str = "images_per_second";

/// A section with a plot of the speed of training steps and a table of times.
pub fn time(run: &Run) -> String {
    let speeds = series_from_metrics(&run.metrics, "train", None, RATE);
    let mut html = String::new();
    if speeds.len() > 1 {
        let raw = Series {
            name: "training steps between two lines of metrics".into(),
            points: thinned(&speeds, MOST_POINTS),
            stroke: Stroke::Faint,
            ..Series::default()
        };
        let points = thinned(&smoothed(&speeds), MOST_POINTS);
        let mean = Series { name: "running mean".into(), points, ..Series::default() };
        let plot = Plot {
            x_label: IMAGES.into(),
            y_label: "images/s".into(),
            series: vec![raw, mean],
            ..Plot::default()
        };
        let caption = format!(
            "Images/s in training steps, over {IMAGES}; higher is better. Device: {}.",
            run.device()
        );
        html += &figure(&plot, &caption);
    }
    section("Time", &(html + &times(run)))
}

fn times(run: &Run) -> String {
    let device = run.device();
    let mut rows = Vec::new();
    let mut add = |what: &str, value: String, share: Option<f64>| {
        let share = share.map_or("–".into(), |share| format!("{:.1} %", 100.0 * share));
        rows.push(vec![what.into(), value, share, device.clone()]);
    };
    if let Some(all) = run.number("seconds") {
        add("whole run", duration(all), None);
    }
    if let Some(seconds) = run.seconds() {
        let parts = [
            ("in training steps", seconds.steps),
            ("in evaluations and pictures", seconds.evaluations),
            ("in checkpoints", seconds.checkpoints),
        ];
        let rest = seconds.all - parts.iter().map(|part| part.1).sum::<f64>();
        for (what, part) in parts.into_iter().chain([("elsewhere", rest.max(0.0))]) {
            add(what, duration(part), Some(part / seconds.all.max(1e-9)));
        }
    }
    if let Some(seconds) = run.number("seconds").filter(|seconds| *seconds > 0.0)
        && run.last("images") > 0.0
    {
        let rate = run.last("images") / seconds;
        add("images/s, whole run including evaluations", format!("{rate:.1}"), None);
    }
    if let Some(rate) = run.last_of_training(RATE) {
        add("images/s, last measured", format!("{rate:.1}"), None);
    }
    if rows.is_empty() {
        return "<p>No times were recorded.</p>\n".into();
    }
    let head = ["what", "value", "share", "device"];
    table("How the time was spent, and the speed of the steps.", &head, &rows)
}
