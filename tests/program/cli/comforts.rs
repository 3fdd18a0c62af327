//! Conveniences of the command line: JSON output, showing settings, dry runs, overfitting a batch, shell completions,
//! colours only where they are wanted, exports of metrics.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::{Place, TINY, names, stderr};

/// The JSON object that a command prints.
#[track_caller]
pub fn object(place: &Place, arguments: &str) -> Value {
    let text = place.succeed(arguments);
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments}: {e}: {text}"));
    assert!(value.is_object(), "{arguments}: {text}");
    value
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key}: {value}"))
}

#[test]
fn programs_get_an_object() {
    let place = Place::new();
    let trained = object(&place, &format!("--json {TINY} --name a"));
    assert_eq!((&trained["run"], &trained["steps"]), (&"runs/a".into(), &12.into()));
    let scored = object(&place, "eval a --json --iwae 3 --per-image a.csv --device cpu");
    assert_eq!(scored["means"]["bound"], trained["test_bound"]);
    assert_eq!((&scored["headline"], &scored["split"]), (&"bound".into(), &"test".into()));
    assert!(scored["iwae"]["bound"].as_f64() < scored["means"]["bound"].as_f64(), "{scored}");
    assert_eq!(scored["files"], Value::from(vec!["a.csv"]));
    let written = object(&place, "sample a --count 3 --device cpu --json");
    assert_eq!(written["files"], Value::from(vec!["samples.png"]));
    let written = object(&place, "report a --json --csv m.csv --tensorboard events");
    let files = ["runs/a/report.html", "m.csv", "events/a/events.out.tfevents.pixelloom"];
    assert_eq!(written["files"], Value::from(files.to_vec()));
    assert!(files.iter().all(|file| place.path(file).is_file()));

    let data = object(&place, "data --json");
    let digits = list(&data, "data").iter().find(|set| set["name"] == "digits").expect("digits");
    assert_eq!((&digits["train"], &digits["channels"]), (&4500.into(), &1.into()));
    assert!(list(&data, "data").iter().any(|set| set["missing"].is_string()));
    let one = object(&place, "data digits --json");
    assert_eq!(list(&one, "splits")[2]["images"], 1000);
    let presets = object(&place, "presets --json");
    assert!(list(&presets, "presets").len() > 20);
    assert_eq!(list(&presets, "presets")[0]["model"], "vae");
    assert_eq!(object(&place, "presets digits --json")["settings"]["model"]["hidden"], 500);
    let devices = object(&place, "devices --json");
    assert!(devices["cpu"]["threads"].as_u64() > Some(0));
    let info = object(&place, "info --json");
    assert_eq!(info["adapters"], devices["adapters"]);
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert!(info["memory_mib"]["total"].as_u64() > Some(0), "{info}");
    assert_eq!(info["cpu"]["isas"], devices["cpu"]["isas"]);
    let seen = "explain receptive-field --model pixelcnn --layers 1 --size 6x6 --device cpu --json";
    let seen = object(&place, seen);
    assert!(seen["text"].is_string() && seen["files"][0] == "receptive-field.png", "{seen}");
    let bench = object(&place, "bench --only vae --seconds 0 --device cpu --json");
    assert!(bench["machine"]["peak"].as_f64() > Some(0.0), "{bench}");
    let row = &list(&bench, "workloads")[0];
    assert!(row["images_per_second"].as_f64() > Some(0.0) && row["task"] == "train", "{row}");
    // Errors are the same as without --json.
    let failed = place.run("eval nowhere --json");
    assert_eq!((failed.status.code(), failed.stdout.len()), (Some(5), 0));
    assert!(stderr(&failed).contains("error: "));
}

#[test]
fn info_says_what_a_bug_report_needs() {
    let text = Place::new().succeed("info");
    for (start, part) in [
        ("pixelloom  ", env!("CARGO_PKG_VERSION")),
        ("target     ", std::env::consts::ARCH),
        ("features   ", if cfg!(feature = "gpu") { "gpu" } else { "none" }),
        ("system     ", "kernel"),
        ("processor  ", "threads; kernels use"),
        ("           instruction sets: ", "portable"),
        ("memory     ", "MiB available"),
    ] {
        let line = text.lines().find(|line| line.starts_with(start));
        assert!(line.is_some_and(|line| line.contains(part)), "{start}: {text}");
    }
    assert!(text.contains("gpu:") || text.contains("no GPU") || text.contains("without GPU"));
}

/// The shown settings are those of a run, each with its origin, and reproduce themselves as a settings file.
#[test]
fn settings_are_shown_as_a_run_has_them() {
    let place = Place::new();
    std::fs::write(place.path("my.toml"), "epochs = 2\n[model]\nhidden = 9\nlatent = 3\n")
        .expect("written");
    let flags = "vae --config my.toml --hidden 8 --optimizer rmsprop --set data.limit=200";
    let shown = place.succeed(&format!("config show {flags} --resolved"));
    for (key, value, origin) in [
        ("epochs", "2", "my.toml"),
        ("hidden", "8", "--hidden"),
        ("latent", "3", "my.toml"),
        ("batch", "100", "preset digits"),
        ("rule", "\"rmsprop\"", "--optimizer"),
        ("beta1", "0.95", "goes with --optimizer"),
        ("limit", "200", "--set"),
        ("binarization", "\"dynamic\"", "the data"),
        ("height", "28", "preset digits"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("{key} is not in {shown}"));
        assert!(line.starts_with(&format!("{key} = {value} ")), "{line}");
        assert!(line.ends_with(&format!(" # {origin}")), "{line}");
    }
    let plain = place.succeed(&format!("config show {flags}"));
    assert!(!plain.contains("# the data") && !plain.contains("binarization ="), "{plain}");
    // Optional settings that are not set are listed; a single model has no stages.
    let rest = "# Not set: init, data.size, data.transpose, model.beta, model.kl_warmup, optimizer.clip, \
                optimizer.average, optimizer.on_nonfinite\n";
    assert!(shown.ends_with(&format!("\n\n{rest}")), "{shown}");
    assert!(
        plain.contains(
            "# Not set: init, data.binarization, data.size, data.transpose, model.beta, model.kl_warmup, \
             optimizer.clip"
        ),
        "{plain}"
    );
    assert!(place.succeed("config show multiscale").contains(", model.stage, "));
    // The settings file of a run is the same without the comments.
    place.succeed(&format!("train {flags} --device cpu --name a"));
    let own = String::from_utf8(place.read("runs/a/config.toml")).expect("text");
    let without = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.split("  #").next().unwrap_or_default());
        lines.map(|line| line.trim_end().to_string()).filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(without(&shown), without(&own));
    std::fs::write(place.path("again.toml"), &shown).expect("written");
    let again = place.succeed("config show --config again.toml --resolved");
    assert_eq!(without(&again), without(&own));
    let object = object(&place, &format!("config show {flags} --json"));
    assert_eq!(object["origins"]["model.hidden"], "--hidden");
    assert_eq!(object["settings"]["model"]["hidden"], 8);
    place.fail("config show", 2);
    place.fail("config show draw --preset digits", 3);
}

/// The estimated memory of a step agrees with the measured one within a quarter, both for batches where weights,
/// gradients and moments dominate and for batches where the images do.
#[test]
fn a_dry_run_writes_nothing_and_knows_the_memory() {
    let place = Place::new();
    let mut before = BTreeMap::new();
    for (what, flags) in [
        ("vae", "--hidden 40 --batch 7"),
        ("vae", "--hidden 40 --batch 200"),
        // With one thread, because the parts of a batch run in parallel or in sequence, depending on free threads.
        ("pixelcnn", "--layers 2 --hidden 6 --batch 30 --threads 1"),
        ("diagbilstm", "--layers 1 --hidden 6 --batch 20 --threads 1"),
        ("multiscale", "--layers 1 --hidden 6 --batch 20 --threads 1"),
        ("draw", "--hidden 12 --latent 4 --glimpses 5 --batch 256 --threads 1"),
        ("classifier", "--hidden 12 --glimpses 2 --batch 20"),
    ] {
        let done = object(&place, &format!("train {what} {flags} --dry-run --device cpu --json"));
        let bytes = |key: &str| done[key].as_f64().expect("bytes");
        let ratio = bytes("estimated_bytes") / bytes("measured_bytes");
        println!("{what} {flags}: estimated / measured = {ratio:.3}");
        assert!((0.8..=1.25).contains(&ratio), "{what} {flags}: {ratio}: {done}");
        let moments = 4.0 * done["parameters"].as_f64().expect("a number");
        assert!(bytes("measured_bytes") > 3.9 * moments, "weights, gradients, two moments: {done}");
        assert!(done["loss"].as_f64().is_some_and(|loss| loss > 0.0), "{done}");
        assert_eq!(done["settings"]["model"]["kind"], what);
        before.insert(format!("{what} {flags}"), bytes("measured_bytes"));
    }
    assert!(before["vae --hidden 40 --batch 200"] > before["vae --hidden 40 --batch 7"]);
    let said = place.succeed("train vae --dry-run --device cpu");
    for part in [
        "hidden = 500",
        "# preset digits",
        "parameters  815,824",
        "(measured)",
        "nothing was written",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(names(&place.path("")), [""; 0], "a dry run leaves nothing");
    place.fail("train vae --dry-run --resume", 2);
}

/// One batch, used for every split, is overfitted, and every score names its data.
#[test]
fn one_batch_is_overfitted() {
    let place = Place::new();
    let flags = "--hidden 60 --latent 8 --batch 16 --rate 0.01 --set optimizer.schedule=constant";
    let said = place.succeed(&format!("train vae {flags} --overfit-batch --device cpu"));
    let what = "first-16:digits (the first 16 training images of digits (embedded MNIST subset) as every \
                split), test split, 16 images, threshold binarization";
    assert!(said.contains(what), "{said}");
    let run = "runs/digits-overfit";
    let losses: Vec<f64> = place
        .metrics(run)
        .iter()
        .filter(|line| line.contains("\"kind\":\"train\""))
        .map(|line| line.split("\"loss\":").nth(1).and_then(|s| s.split(',').next()))
        .map(|loss| loss.and_then(|loss| loss.parse().ok()).expect("a loss"))
        .collect();
    assert_eq!(losses.len(), 30, "300 steps");
    assert!(losses[29] < 60.0 && losses[29] < losses[0] / 4.0, "not overfitted: {losses:?}");
    for file in ["summary.json", "report.html", "metrics.jsonl"] {
        let text = String::from_utf8(place.read(&format!("{run}/{file}"))).expect("text");
        assert!(text.contains("first-16:digits (the first 16 training images of"), "{file}");
        assert!(!text.contains("1,000 images"), "{file}");
    }
    let again = place.succeed("eval digits-overfit --device cpu");
    assert_eq!(again.lines().next(), said.lines().next(), "the data are found again by name");
    let rest = "train vae --resume --name digits-overfit --epochs 310 --device cpu";
    let rest = place.succeed(rest);
    assert!(rest.contains("first-16:digits"), "it resumes on the same images: {rest}");
    let line = place.metrics(run).pop().expect("a line");
    assert!(line.contains("\"step\":310"), "{line}");
    // Explicit numbers are kept, a batch larger than the set becomes the whole set, and scenes are composed once.
    let config = |flags: &str| place.succeed(&format!("config show {flags} --overfit-batch"));
    assert!(config("vae --epochs 7").contains("epochs = 7 "));
    assert!(config("vae --batch 9000").contains("\"first-4500:digits\""));
    assert!(config("classifier").contains(":cluttered-digits\""));
    let cut = config("vae --set data.limit=50");
    assert!(cut.contains("\"first-50:digits\"") && !cut.contains("limit ="), "{cut}");
    let message = place.fail("data first-4501:digits", 3);
    assert!(message.contains("4500"), "{message}");
    place.fail("data first-0:digits", 3);
    assert!(place.succeed("data first-2:cluttered-digits").contains("test split, 2 images"));
}

#[test]
fn a_shell_completes_commands_flags_and_values() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.succeed(&format!("completions {shell}"));
        assert!(script.contains("pixelloom") && script.contains("overfit-batch"), "{shell}");
    }
    assert!(place.fail("completions csh", 2).contains("csh"));
    if Command::new("bash").arg("--version").output().is_err() {
        println!("skipped: there is no bash on PATH");
        return;
    }
    std::fs::write(place.path("c.bash"), place.succeed("completions bash")).expect("written");
    let file = place.path("c.bash");
    let checked = Command::new("bash").arg("-n").arg(&file).output().expect("bash runs");
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", stderr(&checked));
    let complete = |words: &str| {
        let last = words.split(' ').count() - 1;
        let script = format!(
            "source '{}'; COMP_WORDS=({words}); [ {last} -lt ${{#COMP_WORDS[@]}} ] || COMP_WORDS+=(''); \
             COMP_CWORD={last}; _pixelloom pixelloom \"${{COMP_WORDS[{last}]}}\" \
             \"${{COMP_WORDS[{last}-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("text").trim().to_string()
    };
    assert_eq!(complete("pixelloom tr"), "train");
    assert_eq!(complete("pixelloom train dia"), "diagbilstm");
    assert_eq!(complete("pixelloom train vae --over"), "--overfit-batch");
    assert_eq!(complete("pixelloom eval a --split "), "train valid test");
}

/// Colours appear only on a terminal or if they are forced, and never with NO_COLOR.
#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    let escapes = |variables: &[(&str, &str)], arguments: &str| {
        let mut command = place.command(arguments);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm");
        let output = command.envs(variables.iter().copied()).output().expect("it starts");
        let all = [output.stdout, output.stderr].concat();
        all.contains(&0x1b)
    };
    for arguments in ["--help", "train --help", "train nonsense", "presets", "eval nowhere"] {
        assert!(!escapes(&[], arguments), "{arguments}: no terminal");
        let both = [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
        assert!(!escapes(&both[..1], arguments), "{arguments}: NO_COLOR");
    }
    assert!(escapes(&[("CLICOLOR_FORCE", "1")], "--help"), "forced");
    // On a terminal, if the program `script` can provide one.
    let on_terminal = |no_colour: bool| {
        let mut command = Command::new("script");
        let program = assert_cmd::cargo::cargo_bin!("pixelloom");
        command.args(["-qec", &format!("{} --help", program.display()), "/dev/null"]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm");
        if no_colour {
            command.env("NO_COLOR", "1");
        }
        command
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|o| o.stdout.contains(&0x1b))
    };
    match (on_terminal(false), on_terminal(true)) {
        (Some(with), Some(without)) => assert!(with && !without, "{with} {without}"),
        _ => println!("skipped: there is no program `script` that makes a terminal"),
    }
}

/// The table has every line of the metrics, with every number under its key.
#[test]
fn metrics_are_a_table() {
    let place = Place::new();
    let small =
        "--device cpu --epochs 2 --eval-every 1 --batch 50 --log-every 1 --set data.limit=100";
    place.succeed(&format!("train draw {small} --hidden 8 --latent 3 --glimpses 3 --name b"));
    place.succeed(&format!("{TINY} --name a"));
    place.succeed("report a b --csv m.csv --compare c.html");
    let text = String::from_utf8(place.read("m.csv")).expect("text");
    let mut rows = text.lines().skip(1).map(cells);
    let head = rows.next().expect("a head");
    assert_eq!(head[..3], ["run", "epoch", "images"]);
    let lines = |run: &str| -> Vec<Value> {
        let text =
            String::from_utf8(place.read(&format!("runs/{run}/metrics.jsonl"))).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    for (run, line) in
        ["a", "b"].iter().flat_map(|run| lines(run).into_iter().map(move |l| (run, l)))
    {
        let row = rows.next().expect("a row a line");
        let cell =
            |key: &str| row[head.iter().position(|other| other == key).expect("a column")].as_str();
        assert_eq!(cell("run"), *run);
        let mut filled = 1;
        for (key, value) in line.as_object().expect("an object") {
            match value {
                Value::String(text) => assert_eq!(cell(key), text),
                Value::Array(values) => {
                    for (i, value) in values.iter().enumerate() {
                        assert_eq!(cell(&format!("{key}.{}", i + 1)), value.to_string());
                    }
                    filled += values.len() - 1;
                }
                value => assert_eq!(cell(key), value.to_string()),
            }
            filled += 1;
        }
        assert_eq!(row.iter().filter(|cell| !cell.is_empty()).count(), filled, "{row:?}");
        assert_eq!(row.len(), head.len());
    }
    assert!(rows.next().is_none());
}

/// The cells of a row, without the quotes.
fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in row.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            letter => cells.last_mut().expect("a cell").push(letter),
        }
    }
    cells
}

/// TensorBoard's own reader returns every scalar of the metrics, and the pictures.
#[test]
#[ignore = "needs Python with the package tensorboard; PIXELLOOM_PYTHON names it"]
fn tensorboard_reads_the_events() {
    const READ: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'images': 0})
events.Reload()
tags = events.Tags()
scalars = {t: [[e.step, e.value, e.wall_time] for e in events.Scalars(t)] for t in tags['scalars']}
images = {t: [[e.step, e.width, e.height, len(e.encoded_image_string)] for e in events.Images(t)]
          for t in tags['images']}
print(json.dumps({'scalars': scalars, 'images': images}))
";
    let place = Place::new();
    let small =
        "--device cpu --epochs 2 --eval-every 1 --batch 50 --log-every 1 --set data.limit=100";
    place.succeed(&format!("train draw {small} --hidden 8 --latent 3 --glimpses 3 --name b"));
    place.succeed("report b --tensorboard events");
    let python = std::env::var("PIXELLOOM_PYTHON").unwrap_or_else(|_| "python3".into());
    let read = Command::new(&python).args(["-c", READ]).arg(place.path("events/b")).output();
    let read = read.unwrap_or_else(|e| panic!("{python}: {e}"));
    assert!(read.status.success(), "{}", stderr(&read));
    let mut read: Value = serde_json::from_slice(&read.stdout).expect("JSON");
    let text = String::from_utf8(place.read("runs/b/metrics.jsonl")).expect("text");
    let (mut count, mut steps) = (0, Vec::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let step = line["step"].as_u64().expect("a step");
        steps.push(step);
        let group = line["split"].as_str().unwrap_or("train");
        let group = if line["kind"] == "train" { "train" } else { group };
        let mut expect = |tag: String, value: f64| {
            let found = read["scalars"][&tag].as_array_mut().unwrap_or_else(|| panic!("no {tag}"));
            let at = found.iter().position(|event| {
                event[0] == step && { event[1].as_f64().is_some_and(|v| v as f32 == value as f32) }
            });
            found.remove(at.unwrap_or_else(|| panic!("{tag} has no {value} at {step}: {found:?}")));
            count += 1;
        };
        for (key, value) in line.as_object().expect("an object") {
            match value {
                _ if ["step", "images", "epoch"].contains(&key.as_str()) => {}
                Value::Array(values) => {
                    for (i, value) in values.iter().enumerate() {
                        let tag = format!("{group}/{key}/{:03}", i + 1);
                        expect(tag, value.as_f64().expect("a number"));
                    }
                }
                Value::Number(value) => {
                    expect(format!("{group}/{key}"), value.as_f64().expect("a number"));
                }
                _ => {}
            }
        }
    }
    let left: usize = read["scalars"]
        .as_object()
        .expect("scalars")
        .values()
        .map(|events| events.as_array().expect("events").len())
        .sum();
    assert_eq!(left, 0, "numbers that the metrics do not have: {read}");
    println!("{count} scalars read back");
    assert!(count > 40);
    let samples = read["images"]["samples"].as_array().expect("samples");
    let at: Vec<_> = samples.iter().map(|event| event[0].as_u64().expect("a step")).collect();
    assert_eq!(at, [2, 4]);
    for name in ["film", "film.gif", "reading", "reconstructions", "nearest"] {
        assert_eq!(read["images"][name][0][0], *steps.iter().max().expect("steps"), "{name}");
    }
    let bytes = place.read("runs/b/samples/step-00000004.png").len();
    assert_eq!(samples[1][3], bytes, "the very file");
}
