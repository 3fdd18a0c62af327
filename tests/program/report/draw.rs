//! The reports of a DRAW model and of a classifier.

use std::fs;

use pixelloom::images::film::write_film;
use pixelloom::images::sheet::write_sheet;
use pixelloom::output::Output;
use pixelloom::report::compare;
use serde_json::json;
use tempfile::TempDir;

use super::{TEST, assert_well_formed, make_run, report_of};

#[test]
fn draws_report_has_its_glimpses_and_films() {
    let page = report_of(|dir| {
        let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        let with = |line: &str| {
            let glimpses = match line {
                _ if line.contains("\"split\":\"test\"") => "[12.5,6.25,2.5]",
                _ if line.contains("\"split\":\"valid\"") => "[90,91,92]",
                _ => return format!("{line}\n"),
            };
            let fields = format!("\"kl_per_glimpse\":{glimpses},\"kl\":");
            line.replace("\"kl\":", &fields) + "\n"
        };
        let metrics: String = metrics.lines().map(with).collect();
        fs::write(dir.join("metrics.jsonl"), metrics).unwrap();
        let settings =
            "[data]\nname = \"binarized-mnist\"\n[model]\nkind = \"draw\"\nattention = true\n";
        fs::write(dir.join("config.toml"), settings).unwrap();
        for name in ["film", "reading", "nearest"] {
            let path = dir.join(format!("samples/{name}.png"));
            write_sheet(&Output::in_run(&path), &[0.5; 784], 1, (28, 28, 1), 1).unwrap();
        }
        let film = vec![vec![0.5; 40 * 50]; 2];
        write_film(&Output::in_run(dir.join("samples/film.gif")), &film, 1, (40, 50, 1), 1, 10, 10)
            .unwrap();
    });
    assert_well_formed(&page);
    for part in [
        "<h2>Glimpses</h2>",
        "<h2>Canvases</h2>",
        "<h2>Reading</h2>",
        "<h2>Nearest training images</h2>",
        &format!("\n{TEST}, cpu (AVX-512), 2 threads\n</text>"),
        "mean KL, nats/image",
        "KL(q(z) | N(0, I)): 2.50 at 3.",
        &format!("Total: 21.25 nats. {TEST}, cpu (AVX-512), 2 threads."),
        "width=\"50\" height=\"40\" src=\"data:image/gif;base64,R0lGODlh",
        "samples being drawn",
        "the area that is read in green",
        "its nearest training image",
        "Dotted line, test split: DRAW in the paper, 80.97 nats/image.",
    ] {
        assert!(page.contains(part), "the report lacks {part:?}");
    }
    assert!(!page.contains("90.00 at"), "the test images come first");
    // Every column is a number; none is an array.
    assert!(!page.contains("kl per glimpse"));
}

/// Turns the synthetic run into that of a classifier whose last test error is 4.18 %.
fn classify(dir: &std::path::Path) {
    let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let metrics = metrics.replace("\"bound\"", "\"error_percent\":4.18,\"nll\"");
    let parts = metrics.replace("\"reconstruction\"", "\"r\"").replace("\"kl\"", "\"k\"");
    fs::write(dir.join("metrics.jsonl"), parts).unwrap();
    let summary = json!({"score": "error", "test_nll": 131.25, "test_error_percent": 4.18,
        "device": "cpu", "threads": 1});
    fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
}

#[test]
fn a_classifiers_report_has_its_error() {
    let page = report_of(classify);
    assert_well_formed(&page);
    for part in [
        "Last test error: 4.18 %, nll: 131.25 nats/image (digits",
        "<h2>Error</h2>",
        "error, % of the images",
        "valid: 4.18 at 20k",
        "error percent</th>",
        "<td>131.25</td><td>4.18</td>",
        "error in percent of the images",
    ] {
        assert!(page.contains(part), "the report lacks {part:?}");
    }
    assert!(!page.contains("bound") && !page.contains("bits"));
    assert!(!page.contains("in the paper"));
    for (glimpses, data, line) in [
        (8, "cluttered-mnist", Some("8 glimpses in the paper, from memory, 3.36 %.")),
        (4, "cluttered-mnist", Some("4 glimpses in the paper, from memory, 4.18 %.")),
        (5, "cluttered-mnist", None),
        (8, "cluttered-digits", None),
    ] {
        let page = report_of(|dir| {
            classify(dir);
            let settings = format!(
                "[data]\nname = \"{data}\"\n[model]\nkind = \"classifier\"\nglimpses = {glimpses}\n"
            );
            fs::write(dir.join("config.toml"), settings).unwrap();
        });
        assert_eq!(page.contains("in the paper"), line.is_some(), "{glimpses} {data}");
        assert!(line.is_none_or(|line| page.contains(line)), "{line:?}");
    }
}

#[test]
fn classifiers_are_compared_by_their_errors() {
    let home = TempDir::new().unwrap();
    let dirs = ["one", "two", "draw"].map(|name| home.path().join(name));
    dirs.iter().for_each(|dir| make_run(dir));
    dirs[..2].iter().for_each(|dir| classify(dir));
    let [one, two, draw] = [0, 1, 2].map(|i| dirs[i].as_path());
    let out = home.path().join("compare.html");
    compare(&[one, two], &Output::in_run(&out), false).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert_well_formed(&page);
    for part in [
        "test error</th>",
        "Each error in percent of the images.",
        "<td>4.18 %</td>",
        "\none, valid\n",
        &format!("The test errors are on {TEST}."),
        "Each nll in nats/image, over",
    ] {
        assert!(page.contains(part), "the page lacks {part:?}");
    }
    compare(&[one, draw], &Output::in_run(&out), false).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert!(page.contains("for classifiers, the error in percent") && page.contains("132.00"));
}
