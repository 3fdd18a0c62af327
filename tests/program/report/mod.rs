//! The report of a synthetic run: all parts are present, text is escaped, nothing external is loaded, elements are
//! balanced, damaged files are named.

mod compare;
mod draw;
mod interactive;
mod pixel;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pixelloom::Error;
use pixelloom::images::sheet::write_sheet;
use pixelloom::output::Output;
use pixelloom::report::plots::{
    Plot, Series, Stroke, curve, series_from_metrics, smoothed, thinned,
};
use pixelloom::report::{read_metrics, write};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const VALID: &str = "digits (embedded MNIST subset), valid split, 500 images, dynamic binarization";
const TEST: &str = "digits (embedded MNIST subset), test split, 1,000 images, dynamic binarization";

/// A run of 200 steps with a batch size of 100 whose loss falls from 543 to about 110 nats.
fn make_run(dir: &Path) {
    fs::create_dir_all(dir.join("samples")).unwrap();
    fs::write(dir.join("config.toml"), "preset = \"aevb <mnist> & \\\"more\\\"\"\nbatch = 100\n")
        .unwrap();
    let mut lines = String::new();
    for step in 1..=200_u64 {
        let loss =
            110.0 + 433.0 * (-(step as f64) / 12.0).exp() + ((step * 7919) % 13) as f64 - 6.0;
        let line = json!({"kind": "train", "step": step, "epoch": step / 40, "images": 100 * step,
            "loss": loss, "rate": 0.02,
            "seconds": step as f64, "images_per_second": 1666.7, "seconds_in_steps": 0.6 * step as f64,
            "seconds_in_evaluations": 0.25 * step as f64, "seconds_in_checkpoints": 0.1 * step as f64});
        lines += &format!("{line}\n");
        if step % 40 == 0 {
            let bound = 112.0 + 4000.0 / step as f64;
            let line = json!({"kind": "eval", "split": "valid", "what": VALID, "step": step,
                "images": 100 * step, "bound": bound, "reconstruction": bound - 20.0, "kl": 20.0});
            lines += &format!("{line}\n");
        }
    }
    let line = json!({"kind": "eval", "split": "test", "what": TEST, "step": 200, "images": 20_000,
        "bound": 131.25, "reconstruction": 110.0, "kl": 21.25});
    lines += &format!("{line}\n");
    fs::write(dir.join("metrics.jsonl"), lines).unwrap();
    let summary = json!({"preset": "aevb <mnist>", "parameters": 815_824, "device": "cpu (AVX-512)",
        "threads": 2, "seed": 1, "steps": 200, "epochs": 5.0, "seconds": 187.0,
        "valid_bound": 132.0, "test_bound": 131.25, "what": "digits (embedded MNIST subset), dynamic binarization",
        "command": "pixelloom train --preset aevb-mnist --out \"runs/a <b> & c\""});
    fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
    for step in [1, 20, 40, 80, 120, 160, 180, 200] {
        // Eight squares that grow with the steps.
        let image = |n: usize| (0..784).map(move |p| f32::from(p / 28 < step * (n + 1) / 64));
        let images: Vec<f32> = (0..8).flat_map(image).collect();
        let path = dir.join(format!("samples/step-{step:08}.png"));
        write_sheet(&Output::in_run(&path), &images, 8, (28, 28, 1), 4).unwrap();
    }
    write_sheet(&Output::in_run(dir.join("manifold.png")), &[0.25; 784], 1, (28, 28, 1), 1)
        .unwrap();
    write_sheet(
        &Output::in_run(dir.join("samples/reconstructions.png")),
        &[0.75; 784],
        1,
        (28, 28, 1),
        1,
    )
    .unwrap();
}

/// The report of the synthetic run after `change`.
fn report_of(change: impl FnOnce(&Path)) -> String {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("run <1> & \"two\"");
    make_run(&dir);
    change(&dir);
    write(&dir).unwrap();
    fs::read_to_string(dir.join("report.html")).unwrap()
}

/// Checks that the page's elements are balanced, with quoted attributes and without stray `<` or `&`, and that the page
/// loads nothing external.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 3] = ["meta", "img", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap_or(page);
    while let Some(at) = rest.find('<') {
        assert_entities(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag that does not end");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing </{name}>");
            continue;
        }
        if tag.starts_with("script") {
            let (script, after) = rest.split_once("</script>").expect("a script that does not end");
            assert_script(tag, script, page);
            rest = after;
            continue;
        }
        let name = tag.split([' ', '\n', '/']).next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty(), "<{tag}>");
        assert_ne!(name, "link");
        assert!(tag.matches('"').count().is_multiple_of(2), "<{tag}>");
        assert_entities(tag);
        for attribute in ["src", "href", "xlink:href", "srcset", "data", "action"] {
            if let Some((_, value)) = tag.split_once(&format!(" {attribute}=\"")) {
                assert!(value.starts_with("data:"), "<{}> is loaded", &tag[..60.min(tag.len())]);
            }
        }
        if name == "img" || tag.contains("role=\"img\"") {
            let text = tag.split_once("alt=\"").or(tag.split_once("aria-label=\"")).unwrap().1;
            assert!(!text.starts_with('"'), "a picture without words");
        }
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0], "left open");
    // The clip path of the plots, within the page.
    let elsewhere = page.replace("url(#plot-area)", "");
    assert!(!elsewhere.contains("url(") && !page.contains("@import"), "a style that loads");
}

/// Panics unless a script is JSON, which runs nothing, or the one that the page's policy names by its hash.
fn assert_script(tag: &str, script: &str, page: &str) {
    if tag.starts_with("script type=\"application/json\"") {
        serde_json::from_str::<Value>(script).expect("numbers for the script");
        return;
    }
    assert_eq!(tag, "script");
    let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1;
    let policy = policy.split('"').next().unwrap();
    let hash = STANDARD.encode(Sha256::digest(script));
    let allowed = format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'"
    );
    assert_eq!(policy, allowed);
}

/// Panics on a `&` that does not start an entity.
fn assert_entities(text: &str) {
    for (at, _) in text.match_indices('&') {
        let name = text[at + 1..].split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name), "&{name:.20}");
    }
}

#[test]
fn the_report_has_all_parts() {
    let page = report_of(|_| {});
    assert_well_formed(&page);
    let parts = [
        "<h1>run &lt;1&gt; &amp; &quot;two&quot;: aevb &lt;mnist&gt;</h1>",
        "<div><dt>test bound</dt><dd>131.25 nats/image</dd></div>",
        "<div><dt>parameters</dt><dd>815,824</dd></div>",
        "<div><dt>time</dt><dd>3 min 07 s</dd></div>",
        "815,824 parameters",
        "200 steps (20,000 images seen, 5 epochs) on cpu (AVX-512), 2 threads in 3 min 07 s",
        "Last test bound: 131.25 nats/image (digits (embedded MNIST subset), test split, 1,000 \
         images, dynamic binarization).",
        "All scores on this page were computed on cpu (AVX-512), 2 threads.",
        "digits (embedded MNIST subset), train split, minibatches, dynamic binarization",
        "<td class=\"text\">digits (embedded MNIST subset), valid split, 500 images, dynamic binarization</td>\
         <td class=\"text\">cpu (AVX-512), 2 threads</td><td>200</td><td>20,000</td><td>132.00</td>\
         <td>112.00</td><td>20.00</td>",
        "training loss, running mean</text>",
        "valid bound",
        "preset = &quot;aevb &lt;mnist&gt; &amp;",
        "--out &quot;runs/a &lt;b&gt; &amp; c&quot;",
        "<td class=\"text\">in training steps</td><td>2 min 00 s</td><td>60.0 %</td>",
        "<td class=\"text\">in evaluations and pictures</td><td>50.0 s</td><td>25.0 %</td>",
        "<td class=\"text\">in checkpoints</td><td>20.0 s</td><td>10.0 %</td>",
        "<td class=\"text\">elsewhere</td><td>10.0 s</td><td>5.0 %</td>",
        "<td>1666.7</td>",
        "Images/s in training steps",
        "<h2>Samples over time</h2>",
        "<h2>Manifold</h2>",
        "<h2>Reconstructions</h2>",
        "<h2>Parts of the bound</h2>",
        "reconstruction, nats/image over training images seen. valid: 112.00 at 20k.",
        "kl, nats/image over training images seen. valid: 20.00 at 20k.",
        "manifold",
        "reconstructions",
        concat!("Written by pixelloom ", env!("CARGO_PKG_VERSION")),
    ];
    for part in parts {
        let squeezed: String = page.replace('\n', "");
        assert!(squeezed.contains(part), "the report lacks {part:?}");
    }
    assert!(!page.contains("<mnist>") && !page.contains("<b>"));
    // The summary's bounds equal those of the evaluations, so they have no separate rows.
    assert!(!page.contains("split; digits"));
}

#[test]
fn pictures_over_time_include_the_first_and_the_last() {
    let page = report_of(|_| {});
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("the report lacks {text:?}"));
    assert!(at("<figcaption>after step 1</figcaption>") < at("<figcaption>after step 200<"));
    assert_eq!(page.matches("<figcaption>after step").count(), 6);
    assert_eq!(page.matches("<img ").count(), 6 + 2);
    assert_eq!(page.matches("src=\"data:image/png;base64,iVBORw0KGgo").count(), 8);
    assert!(page.contains("width=\"230\" height=\"114\""), "4 x 2 tiles of 56, 2 apart");
}

#[test]
fn the_curve_is_a_separate_file() {
    let home = TempDir::new().unwrap();
    make_run(home.path());
    write(home.path()).unwrap();
    let svg = fs::read_to_string(home.path().join("curve.svg")).unwrap();
    assert_well_formed(&svg);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    for text in ["training images seen", "nats/image", "test bound"] {
        assert!(svg.contains(text), "{text}");
    }
    let names = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.into_iter().all(|n| !n.to_string_lossy().ends_with(".tmp")));
}

#[test]
fn a_run_that_has_just_started_has_a_report() {
    let page = report_of(|dir| {
        for name in ["metrics.jsonl", "summary.json", "manifold.png"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        fs::remove_dir_all(dir.join("samples")).unwrap();
    });
    assert_well_formed(&page);
    for text in ["no summary yet", "no points yet", "No pictures yet", "not recorded yet"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_run_without_a_summary_names_the_device_of_its_last_evaluation() {
    let page = report_of(|dir| {
        fs::remove_file(dir.join("summary.json")).unwrap();
        let path = dir.join("metrics.jsonl");
        let line = json!({"kind": "eval", "split": "valid", "what": VALID, "device": "gpu:7 (a GPU)",
            "step": 200, "images": 20_000, "bound": 132.0, "reconstruction": 112.0, "kl": 20.0});
        let lines = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{lines}{line}\n")).unwrap();
    });
    assert!(page.contains("on gpu:7 (a GPU).") && !page.contains("not recorded yet"));
}

#[test]
fn a_bound_that_is_only_in_the_summary_has_its_own_row() {
    let page = report_of(|dir| {
        let summary = json!({"train_bound": 101.5, "test_bound": 99.5, "what": "frey, grey"});
        fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
    });
    assert!(page.contains("<td class=\"text\">train split; frey, grey</td>"));
    assert!(page.contains("<td>101.50</td>") && page.contains("<td>99.50</td>"));
    assert!(page.contains("Last test bound: 99.50 nats/image (test split; frey, grey)"));
    let page = report_of(|dir| {
        let summary = json!({"train_bound": 101.5, "train_what": "frey, train split, 1,565 images",
            "what": "frey, test split, 200 images"});
        fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
    });
    assert!(page.contains("<td class=\"text\">frey, train split, 1,565 images</td>"));
}

/// Appends to the metrics of the synthetic run and writes its report.
fn with_appended(text: &str) -> pixelloom::Result<()> {
    let home = TempDir::new().unwrap();
    make_run(home.path());
    let path = home.path().join("metrics.jsonl");
    let metrics = fs::read_to_string(&path).unwrap();
    fs::write(&path, metrics + text).unwrap();
    write(home.path())
}

#[test]
fn an_incomplete_last_line_is_skipped() {
    with_appended("{\"kind\":\"train\",\"step\":201,\"im").unwrap();
    with_appended("{\"kind\":\"train\",\"st\u{fffd}").unwrap();
    let home = TempDir::new().unwrap();
    let path = home.path().join("metrics.jsonl");
    fs::write(&path, "{\"kind\":\"train\",\"step\":1}\n{\"kind\":\"train\",\"step\":2}").unwrap();
    assert_eq!(read_metrics(&path).unwrap().len(), 2, "a whole line counts without its end");
    fs::write(&path, "{\"kind\":\"train\",\"step\":1}\n{\"kind\":\"train\",\"ste").unwrap();
    assert_eq!(read_metrics(&path).unwrap(), [json!({"kind": "train", "step": 1})]);
}

#[test]
fn a_damaged_line_is_named() {
    // The synthetic metrics have 200 + 5 + 1 lines.
    let bad = [
        "{\"kind\":\"train\",\"ste\n{\"kind\":\"train\",\"step\":202}\n",
        "{\"kind\":\"train\",\"ste\n",
        "[1, 2]\n",
        "{\"step\":1}\n",
        "\n{\"kind\":\"train\"}\n",
    ];
    for text in bad {
        let error = with_appended(text).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error:?}");
        let shown = error.to_string();
        assert!(shown.contains("metrics.jsonl: line 207: "), "{shown}");
        assert_eq!(shown.matches("line ").count(), 1, "{shown}");
    }
}

#[test]
fn damaged_files_are_named() {
    for (name, content) in [("summary.json", "{"), ("manifold.png", "PNG?")] {
        let home = TempDir::new().unwrap();
        make_run(home.path());
        fs::write(home.path().join(name), content).unwrap();
        let error = write(home.path()).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let empty = TempDir::new().unwrap();
    let error = write(empty.path()).unwrap_err();
    assert!(error.to_string().contains("not a run directory"), "{error}");
}

#[test]
fn a_report_that_cannot_be_written_is_a_disk_error() {
    let home = TempDir::new().unwrap();
    make_run(home.path());
    fs::create_dir(home.path().join("report.html")).unwrap();
    assert!(matches!(write(home.path()).unwrap_err(), Error::Disk(_)));
}

#[test]
fn series_of_metrics_are_sorted_and_repeated_steps_count_once() {
    let line = |kind: &str, split: &str, images: u64, loss: Value| json!({"kind": kind, "split": split, "images": images, "loss": loss});
    let metrics = [
        line("train", "", 200, json!(2.0)),
        line("train", "", 300, json!(3.0)),
        line("eval", "valid", 300, json!(9.0)),
        line("eval", "test", 300, json!(8.0)),
        line("train", "", 100, json!(1.0)),
        line("train", "", 200, json!(2.5)),
        line("train", "", 400, Value::Null),
    ];
    let train = series_from_metrics(&metrics, "train", None, "loss");
    assert_eq!(train, [(100.0, 1.0), (200.0, 2.5), (300.0, 3.0)]);
    assert_eq!(series_from_metrics(&metrics, "eval", Some("test"), "loss"), [(300.0, 8.0)]);
    assert_eq!(series_from_metrics(&metrics, "eval", Some("test"), "bound"), []);
}

#[test]
fn the_running_mean_follows_and_thinning_keeps_the_end() {
    let constant: Vec<(f64, f64)> = (0..400).map(|i| (f64::from(i), 7.0)).collect();
    for (got, want) in smoothed(&constant).iter().zip(&constant) {
        assert!((got.1 - want.1).abs() <= 1e-12 && got.0 == want.0, "{got:?}");
    }
    // With windows of 21 points, half of a window is above a step at its centre, and the first point is unchanged.
    let step: Vec<(f64, f64)> = (0..400).map(|i| (0.0, f64::from(u8::from(i >= 200)))).collect();
    let mean: Vec<f64> = smoothed(&step).iter().map(|p| p.1).collect();
    for (i, want) in [(189, 0.0), (190, 1.0 / 21.0), (200, 11.0 / 21.0), (209, 20.0 / 21.0)] {
        assert!((mean[i] - want).abs() <= 1e-12, "{i}: {}", mean[i]);
    }
    let fall: Vec<(f64, f64)> = (0..400).map(|i| (0.0, f64::from(1000 - i))).collect();
    let mean = smoothed(&fall);
    assert!((mean[0].1 - 1000.0).abs() <= 1e-9 && (mean[5].1 - 995.0).abs() <= 1e-9, "no lag");
    assert!((mean[399].1 - 606.0).abs() <= 1e-9, "the last eleven: {}", mean[399].1);
    let few = [(1.0, 5.0), (2.0, 6.0)];
    assert_eq!(smoothed(&few), few);
    let thin = thinned(&constant, 100);
    assert_eq!((thin.len(), thin[99].0), (100, 399.0));
    assert_eq!(thinned(&few, 100), few);
}

/// The coordinates of each line of a plot of one series, and the whole SVG.
fn drawn(plot: &Plot) -> (Vec<(f64, f64)>, String) {
    let svg = curve(plot);
    let mut lines = svg.lines().filter(|l| l.starts_with("<polyline") && l.contains("#0072B2"));
    let line = lines.next_back().expect("the legend's sample, then the line");
    let points = line.split_once("points=\"").unwrap().1.split('"').next().unwrap();
    let pair = |p: &str| {
        let (x, y) = p.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    (points.split_whitespace().map(pair).collect(), svg)
}

#[test]
fn equal_factors_are_equal_distances_on_a_logarithmic_axis() {
    let points = vec![(0.0, 9.0), (1e4, 1.0), (1e5, 2.0), (1e6, f64::NAN), (1e7, 3.0), (1e6, 99.0)];
    let series = vec![Series { name: "L".into(), points, ..Series::default() }];
    let (log, svg) =
        drawn(&Plot { log_x: true, y_max: Some(50.0), series: series.clone(), ..Plot::default() });
    assert_eq!(log.len(), 3, "0, NaN and what is too high are left out");
    let (first, second) = (log[1].0 - log[0].0, log[2].0 - log[1].0);
    assert!((second - 2.0 * first).abs() <= 2.0, "{first} {second}");
    assert!(log[0].1 > log[1].1 && log[1].1 > log[2].1, "up is more");
    for tick in ["10k", "100k", "1M", "10M"] {
        assert!(svg.contains(&format!("\n{tick}\n</text>")), "{tick}");
    }
    let (linear, _) = drawn(&Plot { series, ..Plot::default() });
    let (first, second) = (linear[2].0 - linear[1].0, linear[3].0 - linear[1].0);
    assert!((first / second - 9e4 / 9.99e6).abs() <= 1e-3, "{first} {second}");
}

/// A plot like Figure 2 of Auto-Encoding Variational Bayes.
#[test]
fn a_figure_of_several_series_has_legend_axes_and_reference() {
    let series = |name: &str, stroke, colour| {
        let points = (0..40).map(|i| 10_f64.powf(5.0 + f64::from(i) / 13.0));
        let low = 160.0 - 10.0 * colour as f64;
        let points = points.map(|x| (x, -low + 8.0 * (x / 1e5).ln())).collect();
        Series { name: name.into(), points, stroke, colour, ..Series::default() }
    };
    let plot = Plot {
        title: "MNIST, latent dimension 20 <L>".into(),
        x_label: "training samples evaluated".into(),
        y_label: "bound (nats/image)".into(),
        log_x: true,
        log_y: false,
        series: vec![
            series("AEVB (train)", Stroke::Dashed, 1),
            series("AEVB (test)", Stroke::Solid, 1),
            series("wake-sleep (train)", Stroke::Dashed, 0),
            series("wake-sleep (test)", Stroke::Solid, 0),
        ],
        reference: Some(("another result".into(), -80.97)),
        ..Plot::default()
    };
    let svg = curve(&plot);
    assert_well_formed(&svg);
    let texts = [
        "MNIST, latent dimension 20 &lt;L&gt;",
        "training samples evaluated",
        "bound (nats/image)",
        "AEVB (train)",
        "wake-sleep (test)",
        "another result: -80.97",
    ];
    for text in texts {
        assert!(svg.contains(&format!("\n{text}\n</text>")), "{text}");
    }
    assert!(svg.matches("#D55E00").count() > svg.matches("#0072B2").count() / 2);
    for stand_in in ["#010203", "#030201"] {
        assert!(!svg.contains(stand_in), "a colour that no page has");
    }
}

/// Marks have names next to them and no line, a dotted line has no marks, and values that are not positive are left
/// out.
#[test]
fn a_figure_with_two_logarithmic_axes() {
    let marks = Series {
        name: "kernels".into(),
        points: vec![(0.1, 10.0), (1.0, 100.0), (10.0, 0.0)],
        labels: ["low", "high", "nowhere"].map(str::to_string).into(),
        stroke: Stroke::Marks,
        ..Series::default()
    };
    let (points, stroke) = (vec![(0.1, 10.0), (10.0, 1000.0)], Stroke::Dotted);
    let roof = Series { name: "roof".into(), points, stroke, ..Series::default() };
    let series = vec![marks, roof];
    let svg = curve(&Plot { log_x: true, log_y: true, series, ..Plot::default() });
    assert_well_formed(&svg);
    for (text, stands) in [("low", true), ("high", true), ("nowhere", false), ("roof", true)] {
        assert_eq!(svg.contains(&format!("\n{text}\n</text>")), stands, "{text}");
    }
    assert_eq!(svg.matches("<polygon").count(), 3, "two points, and one in the legend");
}

#[test]
fn plots_of_nothing_and_of_one_point_are_drawn() {
    assert!(curve(&Plot::default()).contains("no points yet"));
    for (x, y) in [(0.0, 0.0), (100.0, 543.427), (1e9, -1e9), (f64::NAN, f64::NAN)] {
        for log_x in [false, true] {
            let series = vec![Series { points: vec![(x, y)], ..Series::default() }];
            assert_well_formed(&curve(&Plot { log_x, series, ..Plot::default() }));
        }
    }
}
