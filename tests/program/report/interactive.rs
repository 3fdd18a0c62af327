//! The numbers that a page hands to its script, and what its drawings leave out.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::report_of;

/// The JSON blocks of a page: the runs' clocks, and the plots in their order.
pub(super) fn blocks(page: &str) -> (Value, Vec<Value>) {
    let parse = |block: &str| -> Value {
        serde_json::from_str(block.split_once("</script>").unwrap().0).unwrap()
    };
    let clocks = page.split_once("id=\"clocks\">").map_or(Value::Null, |(_, block)| parse(block));
    let plots = page.split("<script type=\"application/json\">").skip(1).map(parse).collect();
    (clocks, plots)
}

#[test]
fn plots_have_their_numbers_and_a_clock() {
    let page = report_of(|_| {});
    let (clocks, plots) = blocks(&page);
    let clock = clocks[0].as_array().unwrap();
    assert_eq!(clock.len(), 201, "the start and 200 training lines");
    assert_eq!(
        (&clock[0], &clock[200]),
        (&json!([0.0, 0.0, 0.0]), &json!([20_000.0, 200.0, 200.0]))
    );
    let valid = plots[0]["series"].as_array().unwrap();
    let valid = valid.iter().find(|series| series["name"] == "valid bound").unwrap();
    assert_eq!(valid["points"][4], json!([20_000.0, 132.0]));
    assert_eq!(plots[0]["over_images"], json!(true));
    // Steps 1 to 9 lie above all that follows the first twentieth.
    let y_max = plots[0]["y_max"].as_f64().unwrap();
    assert!((300.0..310.0).contains(&y_max), "{y_max}");
    assert!(
        page.contains("Values above 30") && page.contains("from the first steps, are not drawn.")
    );
}

/// A text that tries to end a block of numbers.
#[test]
fn no_name_ends_the_block_of_numbers() {
    let line = json!({"kind": "eval", "split": "valid", "what": "</script><b>", "step": 200,
        "images": 20_000, "kl_per_glimpse": [1.0, 2.0], "bound": 1.0});
    let page = report_of(|dir: &Path| {
        let path = dir.join("metrics.jsonl");
        let lines = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{lines}{line}\n")).unwrap();
    });
    super::assert_well_formed(&page);
    assert!(!page.contains("<b>"));
}

/// log p(x) rises from far below: its first points would flatten the rest as the fall of a loss does.
#[test]
fn first_points_far_below_are_not_drawn() {
    let page = report_of(|dir: &Path| {
        let path = dir.join("metrics.jsonl");
        let mut lines = fs::read_to_string(&path).unwrap();
        for (images, log_p) in [(100, -900.0), (5_000, -130.0), (20_000, -120.0)] {
            let line = json!({"kind": "marginal", "split": "valid", "what": super::VALID,
                "step": images / 100, "images": images, "log_p": log_p});
            lines += &format!("{line}\n");
        }
        fs::write(path, lines).unwrap();
    });
    let (_, plots) = blocks(&page);
    let plot = plots.iter().find(|plot| plot["y_label"] == "log p(x), nats/image").unwrap();
    assert_eq!((&plot["y_min"], &plot["y_max"]), (&json!(-130.0), &Value::Null));
    assert!(page.contains("Values below -130.0, from the first steps, are not drawn."));
}

#[test]
fn a_profile_has_its_table() {
    let page = report_of(|dir: &Path| {
        let sum =
            json!({"calls": 400, "dispatches": 400, "seconds": 3.0, "flops": 6e11, "bytes": 0});
        let profile = json!({"runs": 200, "seconds": 4.0, "kernels": {"fold": {"seconds": 0.5, "calls": 200,
            "bytes": 1e9}, "matmul": sum}, "shapes": {"matmul": {"9x8, 8x7 -> 9x7": sum, "1x1": {"seconds": 0.03}}}});
        fs::write(dir.join("profile.json"), profile.to_string()).unwrap();
        let summary = json!({"device": "cpu", "threads": 2, "machine": "a <CPU>, 2 cores", "program": "pixelloom 0"});
        fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
    });
    super::assert_well_formed(&page);
    let rows = [
        "<td class=\"text\">matmul</td><td>2.0</td><td>15.000</td><td>75.0 %</td><td>200.0</td><td>–</td>",
        "<td class=\"text\">\u{a0}\u{a0}9x8, 8x7 -&gt; 9x7</td><td>2.0</td><td>15.000</td>",
        "<td class=\"text\">fold</td><td>1.0</td><td>2.500</td><td>12.5 %</td><td>–</td><td>2.0</td>",
        "Machine: a &lt;CPU&gt;, 2 cores. Program: pixelloom 0.",
        "Time by kernel, and by the shapes of its tensors, in 200 training steps, 20.000 ms/step",
    ];
    let at: Vec<usize> =
        rows.iter().map(|row| page.find(row).unwrap_or_else(|| panic!("{row}"))).collect();
    assert!(at[0] < at[1] && at[1] < at[2], "slowest first");
    assert!(!page.contains("1x1<"), "less than one percent");
}
