//! The speed of a run and how its time was spent.

use serde_json::Value;

use super::html::{duration, escape, section, table};
use super::interactive::figure;
use super::labels::{IMAGES, MOST_POINTS};
use super::plots::{Plot, Series, Stroke, series_from_metrics, smoothed, thinned};
use super::read::Run;

const RATE: &str = "images_per_second";

/// Shapes of a kernel's tensors have a row of their own if their launches take at least this share of the time.
pub const LEAST_SHARE: f64 = 0.01;

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
    let machine = ["machine", "program"].map(|key| run.text(key).unwrap_or_default());
    if !machine[0].is_empty() {
        let place = escape(&format!("Machine: {}. Program: {}.", machine[0], machine[1]));
        html += &format!("<p>{place}</p>\n");
    }
    section("Time", &(html + &times(run))) + &kernels(run)
}

/// What `train --profile` measured, the slowest kernels first; nothing if the run was not profiled.
fn kernels(run: &Run) -> String {
    let profile = &run.profile;
    let (Some(steps), Some(all)) = (profile["runs"].as_f64(), profile["seconds"].as_f64()) else {
        return String::new();
    };
    let number = |sum: &Value, key: &str| sum[key].as_f64().unwrap_or(0.0);
    let mut sums: Vec<(&String, &Value)> =
        profile["kernels"].as_object().into_iter().flatten().collect();
    sums.sort_by(|a, b| number(b.1, "seconds").total_cmp(&number(a.1, "seconds")));
    let row = |name: &str, sum: &Value| {
        let seconds = number(sum, "seconds").max(1e-12);
        let rate = |key: &str| match number(sum, key) {
            0.0 => "–".into(),
            amount => format!("{:.1}", amount / seconds / 1e9),
        };
        vec![
            name.into(),
            format!("{:.1}", number(sum, "calls") / steps.max(1.0)),
            format!("{:.3}", 1e3 * seconds / steps.max(1.0)),
            format!("{:.1} %", 100.0 * seconds / all.max(1e-12)),
            rate("flops"),
            rate("bytes"),
        ]
    };
    let mut rows = Vec::new();
    for (name, sum) in sums {
        rows.push(row(name, sum));
        let mut shapes: Vec<(&String, &Value)> =
            profile["shapes"][name].as_object().into_iter().flatten().collect();
        shapes.retain(|(_, sum)| number(sum, "seconds") >= LEAST_SHARE * all);
        shapes.sort_by(|a, b| number(b.1, "seconds").total_cmp(&number(a.1, "seconds")));
        rows.extend(shapes.iter().map(|(shapes, sum)| row(&format!("\u{a0}\u{a0}{shapes}"), sum)));
    }
    let head = ["kernel", "calls/step", "ms/step", "share", "GFLOP/s", "GB/s"];
    let caption = format!(
        "Time by kernel, and by the shapes of its tensors, in {steps} training steps, {:.3} ms/step with what lies outside of kernels. Device: {}.",
        1e3 * all / steps.max(1.0),
        run.device()
    );
    section("Kernels", &table(&caption, &head, &rows))
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
