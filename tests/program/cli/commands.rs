//! What each command does when nothing goes wrong.

use pixelloom::images::sheet::{SEPARATOR, scale};
use serde_json::Value;

use super::{Place, TINY, names};

#[test]
fn every_command_has_help() {
    let place = Place::new();
    for command in [
        "",
        "train",
        "eval",
        "sample",
        "complete",
        "explain",
        "report",
        "bench",
        "data",
        "devices",
        "gpu-check",
        "kernels",
        "kernels test",
        "kernels grad",
        "kernels perf",
        "presets",
        "export",
        "models",
        "config",
        "config show",
        "info",
        "completions",
    ] {
        let help = place.succeed(&format!("{command} --help"));
        assert!(help.contains("Usage: pixelloom"), "{command}: {help}");
        let first = command.split(' ').next().unwrap_or_default();
        assert!(place.succeed("--help").contains(first));
    }
}

/// Choosing another data set resets its settings, but not those that are given together with it.
#[test]
fn a_limit_beside_a_data_set_is_kept() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --data two-digits --name a"));
    let config = String::from_utf8(place.read("runs/a/config.toml")).expect("text");
    assert!(config.contains("name = \"two-digits\"\n"), "{config}");
    assert!(config.contains("limit = 200\n"), "{config}");
    assert!(place.metrics("runs/a")[0].contains("\"images\":180"));
}

#[test]
fn training_writes_a_run() {
    let place = Place::new();
    let output = place.run(&format!("{TINY} --name a"));
    let (said, beside) = (String::from_utf8_lossy(&output.stdout), super::stderr(&output));
    assert!(beside.contains("run: runs/a\n"), "{beside}");
    assert!(beside.trim_end().ends_with("report: runs/a/report.html"), "{beside}");
    let bound = said.strip_prefix("test bound: ").and_then(|s| s.split(' ').next());
    let bound: f64 = bound.and_then(|b| b.parse().ok()).expect("a number");
    let what = "digits (embedded MNIST subset), test split, 1,000 images, dynamic binarization";
    assert!(said.contains(&format!("nats ({what}, cpu)")), "{said}");
    assert!(bound > 100.0 && bound < 543.43, "a little better than chance: {bound}");

    let run = "runs/a";
    for file in ["config.toml", "metrics.jsonl", "summary.json", "report.html"] {
        assert!(place.path(&format!("{run}/{file}")).is_file(), "{file}");
    }
    assert_eq!(
        place.checkpoints(run),
        ["step-00000004", "step-00000008", "step-00000012"],
        "the last three of four are kept"
    );
    let samples = names(&place.path("runs/a/samples"));
    assert!(samples.contains(&"step-00000012.png".to_string()), "{samples:?}");
    assert!(samples.contains(&"manifold.png".to_string()), "{samples:?}");

    let summary: Value = serde_json::from_slice(&place.read("runs/a/summary.json")).expect("JSON");
    assert_eq!(summary["steps"], 12);
    assert_eq!(summary["what"], what);
    assert_eq!(summary["parameters"], 784 * 8 + 8 + 2 * (8 * 2 + 2) + 2 * 8 + 8 + 8 * 784 + 784);
    assert!((summary["test_bound"].as_f64().expect("a number") - bound).abs() <= 0.005);

    let seconds = |key: &str| summary[key].as_f64().expect("seconds");
    let parts =
        ["seconds_in_steps", "seconds_in_evaluations", "seconds_in_checkpoints"].map(seconds);
    assert!(parts.iter().all(|part| *part > 0.0), "{parts:?}");
    assert!(parts.iter().sum::<f64>() <= seconds("seconds") + 0.002, "{parts:?}");
    let text = String::from_utf8(place.read("runs/a/metrics.jsonl")).expect("text");
    let last = text.lines().rfind(|line| line.contains("\"kind\":\"train\"")).expect("a line");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert!(last["seconds_in_steps"].as_f64().is_some_and(|s| s > 0.0 && s <= parts[0]), "{last}");

    let lines = place.metrics(run);
    let expected = "{\"kind\":\"train\",\"step\":3,\"epoch\":1,\"images\":180,\"loss\":";
    assert!(lines[0].starts_with(expected), "{}", lines[0]);
    let steps: Vec<_> = lines
        .iter()
        .map(|line| {
            let v: Value =
                serde_json::from_str(&format!("{}}}", line.trim_end_matches('}'))).expect("JSON");
            (v["kind"].to_string(), v["step"].as_u64().expect("a step"), v["images"].clone())
        })
        .collect();
    let of = |kind: &str| -> Vec<u64> {
        steps.iter().filter(|s| s.0 == format!("\"{kind}\"")).map(|s| s.1).collect()
    };
    assert_eq!(of("train"), [3, 6, 9, 12]);
    assert_eq!(of("eval"), [4, 4, 8, 8, 12, 12, 12], "valid and train, at the end test");
    assert_eq!(steps[1].2, 200, "the short batch counts as it is");
}

#[test]
fn settings_come_in_layers() {
    let place = Place::new();
    std::fs::write(
        place.path("my.toml"),
        "epochs = 2\nseed = 7\n[model]\nhidden = 9\n[optimizer]\nrule = \"rmsprop\"\nrate = 0.002\n",
    )
    .expect("written");
    let tiny = TINY.replace("--rate 0.01", "").replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{tiny} --config my.toml --name a --set seed=8"));
    let config = String::from_utf8(place.read("runs/a/config.toml")).expect("text");
    for line in [
        "preset = \"digits\"",        // the preset,
        "rule = \"rmsprop\"",         // the file,
        "rate = 0.002",               //
        "beta1 = 0.95",               // what belongs to the file's rule,
        "hidden = 8",                 // flags over the file,
        "epochs = 1",                 //
        "seed = 8",                   //
        "binarization = \"dynamic\"", // and what the data says.
    ] {
        assert!(config.lines().any(|l| l == line), "{line} is not in\n{config}");
    }
    // The settings file of a run reproduces the run.
    place.succeed("train vae --device cpu --config runs/a/config.toml --name b");
    place.assert_equal_runs("runs/a", "runs/b");
}

#[test]
fn a_model_is_scored_and_sampled() {
    let place = Place::new();
    let said = place.succeed(&format!("{TINY} --name a"));
    let score = place.succeed("eval a --device cpu --iwae 8 --per-image a.csv");
    assert_eq!(score.lines().next(), said.lines().next(), "the same figure as at the end");
    let figure = |line: &str| -> f64 {
        line.split(": ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number")
    };
    let lines: Vec<_> = score.lines().collect();
    assert!(lines[3].starts_with("test active units: "), "{score}");
    assert!(lines[4].starts_with("test IWAE-8 bound: "), "{score}");
    assert!(figure(lines[4]) < figure(lines[0]), "more samples, a tighter bound: {score}");

    let csv = String::from_utf8(place.read("a.csv")).expect("text");
    let mut rows = csv.lines().skip(1);
    assert_eq!(rows.next(), Some("image,bound,reconstruction,kl,iwae"));
    let bounds: Vec<f64> = rows
        .map(|row| row.split(',').nth(1).expect("a bound").parse().expect("a number"))
        .collect();
    assert_eq!(bounds.len(), 1000);
    let mean = bounds.iter().sum::<f64>() / 1000.0;
    assert!((mean - figure(lines[0])).abs() <= 0.005, "{mean}");

    let said = place.succeed("eval a --split valid --marginal --device cpu");
    let line = said.lines().last().expect("a line");
    assert!(line.starts_with("valid -log p(x) of 500 evenly spaced images"), "{line}");
    let bound = line.split("their bound: ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok());
    let bound: f64 = bound.expect("a number");
    assert!((bound - figure(&said)).abs() <= 0.005, "500 images are all of the split: {said}");
    assert!(figure(line) < bound && figure(line) > bound - 50.0, "{line}");

    let checkpoint = "runs/a/checkpoints/step-00000008";
    assert!(
        place.succeed(&format!("eval {checkpoint} --split valid --device cpu")).contains("500")
    );
    let other = place.succeed(&format!("eval {checkpoint} --binarization threshold --device cpu"));
    assert!(other.contains("threshold binarization"), "{other}");
    place.succeed(&format!("sample {checkpoint} --count 7 --out s.png --device cpu"));
    place.succeed("sample a --reconstruct --count 13 --out r.png --device cpu");
    place.succeed("sample runs/a --manifold --out m.png --device cpu");
    let size = |file: &str| {
        let file = std::io::BufReader::new(std::fs::File::open(place.path(file)).expect("a file"));
        let reader = png::Decoder::new(file).read_info().expect("a picture");
        (reader.info().width, reader.info().height)
    };
    let side = |tiles: usize| (tiles * 28 * scale(28, 28) + (tiles - 1) * SEPARATOR) as u32;
    assert_eq!(size("s.png"), (side(7), side(1)));
    assert_eq!(size("r.png"), (side(10), side(4)), "13 images: two rows, each above its copies");
    assert_eq!(size("m.png"), (side(20), side(20)));
    std::fs::remove_file(place.path("runs/a/report.html")).expect("removed");
    let said = place.succeed("report a runs/a --compare c.html");
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["runs/a/report.html", "runs/a/report.html", "c.html"]
    );
    assert!(place.path("runs/a/report.html").is_file() && place.path("c.html").is_file());
    // Several runs are compared, at the default path or another.
    assert!(place.succeed("report a runs/a").ends_with("\ncompare.html\n"));
    assert!(place.path("compare.html").is_file());
    assert_eq!(place.succeed("report a"), "runs/a/report.html\n");
}

#[test]
fn data_presets_and_devices_are_listed() {
    let place = Place::new();
    let list = place.succeed("data");
    assert!(list.contains("4500 train, 500 valid, 1000 test images of 28 x 28 x 1"), "{list}");
    assert!(list.contains("\ncifar10-batch1 ") && list.contains("\nfolder:PATH "), "{list}");
    let one = place.succeed("data digits --sheet d.png");
    assert!(one.contains("4,500 images, dynamic binarization") && place.path("d.png").is_file());
    // The sheet written above can be used as a picture.
    std::fs::create_dir(place.path("own")).expect("made");
    for name in ["a.png", "b.png", "c.png"] {
        std::fs::copy(place.path("d.png"), place.path("own").join(name)).expect("copied");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets.sh");
    assert_eq!(place.succeed("data --script"), std::fs::read_to_string(script).expect("there"));
    let own = place.succeed("data folder:own --binarization threshold");
    assert!(own.contains("folder:own, test split, 1 images, threshold binarization"), "{own}");
    for line in place.succeed("presets").lines() {
        let name = line.split(' ').next().expect("a name");
        let text = place.succeed(&format!("presets {name}"));
        let (departures, settings) = text.split_once("\npreset").expect("comments, then settings");
        assert!(departures.lines().all(|line| line.starts_with("# ")), "{departures}");
        assert!(departures.lines().count() > 1, "{name} says where it departs from its paper");
        assert!(settings.starts_with(&format!(" = \"{name}\"")), "{text}");
    }
    let devices = place.succeed("devices");
    assert!(devices.starts_with("cpu ") && devices.contains("\nreference "), "{devices}");
}

/// Trains the same model with the CPU kernels and with their reference implementations.
#[test]
fn the_reference_trains_a_model() {
    let place = Place::new();
    let bound = |device: &str| -> f64 {
        let settings = "--epochs 1 --hidden 5 --set data.name=first-200:digits";
        let output =
            place.succeed(&format!("train vae --device {device} --name {device} {settings}"));
        assert!(output.contains(&format!(", {device})")), "{output}");
        let number = output.split("bound: ").nth(1).and_then(|rest| rest.split(' ').next());
        number.expect("a bound").parse().expect("a number")
    };
    let (cpu, reference) = (bound("cpu"), bound("reference"));
    assert!((cpu - reference).abs() < 0.02, "{cpu} on the CPU, {reference} on the reference");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    for command in [
        "presets",
        "data",
        "devices",
        "info",
        "data --json",
        "completions bash",
        "config show vae",
        "--help",
        "train vae --dry-run --hidden 3 --device cpu",
    ] {
        // Closed before the program starts, so that already its first line fails.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place.command(command).stdout(writer).output().expect("the program starts");
        let said = super::stderr(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{said}");
    }
}
