//! Comparing several runs on one page, and drawing the figures of the AEVB paper from them.

use std::fs;

use pixelloom::Error;
use pixelloom::output::Output;
use pixelloom::report::{compare, write};
use serde_json::json;
use tempfile::TempDir;

use super::{TEST, VALID, assert_well_formed, make_run};

#[test]
fn runs_are_compared_and_different_data_is_reported() {
    let home = TempDir::new().unwrap();
    let dirs = ["one", "two & three"].map(|name| home.path().join(name));
    dirs.iter().for_each(|dir| make_run(dir));
    let [one, two] = [dirs[0].as_path(), dirs[1].as_path()];
    let out = home.path().join("compare.html");
    compare(&[one, two], &Output::in_run(&out), false).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert_well_formed(&page);
    assert_eq!(page.matches("<td>815,824</td>").count(), 2);
    for text in [
        "one, valid bound",
        "two &amp; three, valid bound",
        "<td class=\"text\">two &amp; three</td>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains(&format!("<p>The test bounds are on {TEST}.</p>")));
    assert_eq!(page.matches("<td>132.00</td><td>131.25</td>").count(), 2);
    assert!(!page.contains("cannot be compared"));

    assert!(!page.contains("Marginal likelihood"));
    // The same settings, and the last sheet of each run.
    assert!(!page.contains("Settings that differ"));
    for text in
        ["<h2>Parts of the bound</h2>", "one, after step 200", "two &amp; three, after step 200"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("<img ").count(), 2);
    fs::write(two.join("config.toml"), "batch = 50\n[model]\nhidden = 3\n").unwrap();
    compare(&[one, two], &Output::in_run(&out), false).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert_well_formed(&page);
    for row in [
        ">setting</th><th scope=\"col\" class=\"text\">one</th><th scope=\"col\">two &amp; three</th>",
        "<td class=\"text\">batch</td><td class=\"text\">100</td><td>50</td>",
        "<td class=\"text\">model.hidden</td><td class=\"text\">–</td><td>3</td>",
    ] {
        assert!(page.contains(row), "{row}");
    }
    make_run(two);

    // The second run is scored with another binarization and has no validation bounds.
    let metrics = fs::read_to_string(two.join("metrics.jsonl")).unwrap();
    let metrics = metrics.replace("1,000 images, dynamic", "1,000 images, fixed");
    let metrics = metrics.replace("\"split\":\"valid\"", "\"split\":\"other\"");
    fs::write(two.join("metrics.jsonl"), metrics).unwrap();
    fs::remove_dir_all(two.join("samples")).unwrap();
    compare(&[one, two], &Output::in_run(&out), false).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    for text in ["Without such values: two &amp; three.", "Without samples: two &amp; three."] {
        assert!(page.contains(text), "{text}");
    }
    assert!(
        page.contains("The test bounds are on different data and cannot be compared: one: digits")
    );
    assert!(page.contains("two &amp; three, training loss"));

    assert!(matches!(compare(&[], &Output::in_run(&out), false).unwrap_err(), Error::Config(_)));
    assert!(matches!(
        compare(&[home.path()], &Output::in_run(&out), false).unwrap_err(),
        Error::Data(_)
    ));
}

/// Bounds and marginal likelihoods of a wake-sleep run and a run by the estimators, as in the paper.
#[test]
fn the_papers_figures_are_drawn_from_runs() {
    let home = TempDir::new().unwrap();
    let dirs = ["aevb", "wake"].map(|name| home.path().join(name));
    for (dir, method) in dirs.iter().zip(["sgvb", "wake-sleep"]) {
        make_run(dir);
        fs::write(dir.join("config.toml"), format!("[model.method]\nname = \"{method}\"\n"))
            .unwrap();
    }
    let [aevb, wake] = [dirs[0].as_path(), dirs[1].as_path()];
    let out = home.path().join("compare.html");
    let drawn = || {
        compare(&[aevb, wake], &Output::in_run(&out), true).unwrap();
        let page = fs::read_to_string(&out).unwrap();
        assert_well_formed(&page);
        page
    };
    // The loss replaces the bound on training images only if it is a bound.
    let page = drawn();
    assert!(page.contains("aevb, training loss") && !page.contains("wake, training loss"));
    assert!(page.contains("wake, valid bound") && !page.contains("Marginal likelihood"));
    // The evaluations are at 4,000 to 20,000 images; a logarithmic axis starts at the first.
    assert!(page.contains("\n10k\n</text>") && !page.contains("\n0\n</text>"));

    for (dir, best) in [(aevb, -110.0), (wake, -120.0)] {
        let mut lines = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        for step in [40, 80, 200_u64] {
            let part = VALID.replace("valid split, 500", "train split, 1,000 of the 4,500");
            let at = json!({"split": "train", "what": part, "step": step, "images": 100 * step});
            let mut bound = at.clone();
            (bound["kind"], bound["bound"]) = (json!("eval"), json!(125.0));
            lines += &format!("{bound}\n");
            for (split, what) in [("valid", VALID), ("train", &part)] {
                let mut line = at.clone();
                (line["kind"], line["split"], line["what"]) =
                    (json!("marginal"), json!(split), json!(what));
                line["log_p"] = json!(best - 900.0 / step as f64);
                lines += &format!("{line}\n");
            }
        }
        fs::write(dir.join("metrics.jsonl"), lines).unwrap();
    }
    let page = drawn();
    for text in ["aevb, train bound", "wake, train bound", "aevb, valid", "wake, train", "log p(x)"]
    {
        assert!(page.contains(&format!("\n{text}")), "{text}");
    }
    assert!(!page.contains("training loss<"), "the bound is there: no stand-in");
    assert!(page.contains("1,000 of the 4,500 images"));
    // Monte Carlo EM trains no encoder, so its bound is not drawn, but its marginal likelihood is.
    fs::write(wake.join("config.toml"), "[model.method]\nname = \"monte-carlo-em\"\n").unwrap();
    let page = drawn();
    assert!(!page.contains("wake, valid bound") && page.contains("\nwake, valid\n"));
    let why = "Not in the plot: wake (Monte Carlo EM trains no encoder, so it has no bound).";
    assert!(page.contains(why), "no run is left out without a word");
    write(aevb).unwrap();
    let page = fs::read_to_string(aevb.join("report.html")).unwrap();
    assert_well_formed(&page);
    assert!(
        page.contains("<h2>Marginal likelihood</h2>") && page.contains("valid: -114.50 at 20k")
    );
}
