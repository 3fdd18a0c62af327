//! Malicious files in runs, and entries that are not regular files.

use super::{Place, TINY};

const LAST: &str = "runs/a/checkpoints/step-00000012";
const RESUME: &str = "train vae --resume --name a --device cpu";

/// The header of the state file contains false information; no checksum can reveal that before it is read.
#[test]
fn false_tensor_headers() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    for file in ["model.safetensors", "state.safetensors"] {
        let path = format!("{LAST}/{file}");
        let good = place.read(&path);
        let header = u64::from_le_bytes(good[..8].try_into().expect("8 bytes")) as usize;
        let length = |length: u64| [&length.to_le_bytes()[..], &good[8..]].concat();
        // The same number of letters, so that nothing else moves.
        let replaced = |from: &str, to: &str| {
            let text = String::from_utf8(good[8..8 + header].to_vec()).expect("text");
            let text = text.replacen(from, to, 1);
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend(text.bytes());
            bytes.extend(&good[8 + header..]);
            assert!(bytes != good, "{from} is not in {file}");
            bytes
        };
        let nested = "[".repeat(100_000);
        let cases = [
            length(0),
            length(header as u64 - 1),
            length(header as u64 + 8),
            length(1 << 31),
            length(1 << 63),
            length(u64::MAX),
            replaced("\"data_offsets\":[0,", "\"data_offsets\":[4,"),
            replaced("\"data_offsets\":[0,", "\"data_offsets\":[18446744073709551612,"),
            replaced("\"data_offsets\":[0,", "\"data_offsets\":[-1,"),
            replaced("\"shape\":[8", "\"shape\":[4294967296,4294967296,8"),
            replaced("\"shape\":[8", "\"shape\":[9"),
            replaced("F32", "F64"),
            replaced("F32", "I4"),
            replaced("{", &format!("{{\"x\":{nested},")),
            [&good[..8 + header], &nested.into_bytes()].concat(),
        ];
        for (i, bytes) in cases.into_iter().enumerate() {
            std::fs::write(place.path(&path), bytes).expect("written");
            let message = place.fail(RESUME, 5);
            assert!(message.contains(file) && message.contains("; "), "{i}: {message}");
            assert!(message.len() < 500, "{i}: {} bytes", message.len());
        }
        std::fs::write(place.path(&path), good).expect("written");
    }
    place.succeed(RESUME);
}

/// Keys and nested tables at the limits of the TOML library.
fn product() -> String {
    let key = format!("{}a", "a.".repeat(78));
    format!("{}1{}", format!("{{{key}=").repeat(78), "}".repeat(78))
}

#[test]
fn settings_nested_deeper_than_any_stack() {
    let place = Place::new();
    let deep = |open: &str| format!("epochs = 1\n{}", open.repeat(50_000));
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "{b=".repeat(60_000), "}".repeat(60_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        deep("[[a]]\n"),
        format!("data = {}", product()),
        "\0".repeat(1000),
        "x = 1\n".repeat(100_000),
    ] {
        std::fs::write(place.path("deep.toml"), text).expect("written");
        let message = place.fail("train vae --device cpu --config deep.toml", 3);
        assert!(message.len() < 2000, "{} bytes", message.len());
    }
    // A key or a value on the command line may have 128 KiB.
    for flag in [
        format!("{}=1", "a.".repeat(60_000)),
        format!("epochs={}", "[".repeat(100_000)),
        format!("data={}", product()),
    ] {
        let mut command = place.command("train vae --device cpu --set");
        let output = command.arg(flag).output().expect("the program starts");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{:.300}", text);
        assert!(text.starts_with("error: ") && text.len() < 2000, "{:.300}", text);
    }
}

#[test]
fn metrics_nested_deeper_than_any_stack() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let good = place.read("runs/a/metrics.jsonl");
    let before = place.metrics("runs/a");
    let nested = "[".repeat(200_000);
    let names = "{\"a\":".repeat(100_000);
    for line in
        [nested.clone(), names, format!("{{\"step\":1,\"x\":{nested}}}"), "\u{0}\u{0}".into()]
    {
        let text = [&good[..], line.as_bytes(), b"\n"].concat();
        std::fs::write(place.path("runs/a/metrics.jsonl"), &text).expect("written");
        let message = place.fail("report a", 4);
        let number = before.len() + 1;
        assert!(message.contains(&format!("metrics.jsonl: line {number}: ")), "{message}");
        assert!(message.len() < 500);
        // A resumed run drops anything after its lines.
        place.succeed(RESUME);
        assert_eq!(place.metrics("runs/a"), before);
    }
}

/// After a power failure, a file may end in bytes that are not text.
#[test]
fn a_tail_of_metrics_that_is_not_text_is_dropped() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let (good, before) = (place.read("runs/a/metrics.jsonl"), place.metrics("runs/a"));
    std::fs::write(place.path("runs/a/metrics.jsonl"), [&good[..], b"\xff\xfe\x80\n\xc3"].concat())
        .expect("written");
    place.succeed(RESUME);
    assert_eq!(place.metrics("runs/a"), before);
}

#[test]
fn folders_in_the_place_of_files() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    for (file, command, code) in [
        (format!("{LAST}/state.safetensors"), RESUME, 5),
        ("runs/a/config.toml".into(), RESUME, 5),
        ("runs/a/metrics.jsonl".into(), RESUME, 8),
        ("runs/a/metrics.jsonl".into(), "report a", 4),
        ("runs/a/summary.json".into(), "report a", 4),
        ("runs/a/samples/x.png".into(), "report a", 4),
        ("my.toml".into(), "train vae --config my.toml", 3),
    ] {
        let path = place.path(&file);
        let good = std::fs::read(&path).ok();
        let replace = |make: &dyn Fn()| {
            let _ = std::fs::remove_file(&path);
            make();
            let message = place.fail(command, code);
            assert!(message.contains(&file) && message.contains("; "), "{message}");
            message
        };
        let message = replace(&|| std::fs::create_dir(&path).expect("made"));
        assert!(message.contains("is a directory"), "{message}");
        std::fs::remove_dir(&path).expect("removed");
        // Reading a pipe would block forever.
        #[cfg(unix)]
        {
            let make = || {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.expect("mkfifo runs").success());
            };
            let message = replace(&make);
            assert!(message.contains("is not a regular file"), "{message}");
        }
        let _ = std::fs::remove_file(&path);
        if let Some(good) = good {
            std::fs::write(&path, good).expect("written");
        }
    }
    place.succeed(RESUME);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"run-\xff");
    let mut command = place.command(&format!("{TINY} --epochs 1 --out").replace("--epochs 3", ""));
    assert!(command.arg(name).status().expect("the program starts").success());
    for words in ["eval --device cpu", "sample --count 1 --device cpu", "report"] {
        let output = place.command(words).arg(name).output().expect("the program starts");
        assert!(output.status.success(), "{words}: {}", super::stderr(&output));
    }
    let output = place.command("eval").arg(OsStr::from_bytes(b"other-\xff")).output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(5));
    assert!(super::stderr(&output).contains("other-\u{fffd} is neither a run"));
    // Where text is required, the error says so.
    let output = place.command("train vae --set").arg(OsStr::from_bytes(b"\xff=1")).output();
    assert_eq!(output.expect("the program starts").status.code(), Some(2));
}

/// Everything that a terminal might interpret: colours, a carriage return, a window title, C1, reversed text.
const ORDERS: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}gnp.exe\u{2066}\rerror: ";

/// Checks that stdout and stderr contain only lines of plain text, including `shown`.
#[track_caller]
fn harmless(output: &std::process::Output, shown: &str) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    let order = said.chars().find(|&c| c != '\n' && pixelloom::text::is_control(c));
    assert!(order.is_none(), "{order:?} in {said:?}");
    assert!(said.contains(shown), "no {shown} in {said}");
    said
}

/// Cards of malicious model files.
#[test]
fn cards_give_no_orders_to_a_terminal() {
    use pixelloom::model_file::Content;
    use pixelloom::run::card::Card;
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed("export a --device cpu --out a.safetensors");
    let path = place.path("a.safetensors");
    let mut content = Content::read(&path).expect("read");
    let mut card: Card = content.json("card", &path).expect("a card");
    card.command = format!("pixelloom train vae\nforged line {ORDERS}");
    card.data = format!("digits {ORDERS}");
    card.model = format!("vae{ORDERS}");
    card.settings =
        format!("batch = {0:?}\n[model]\nx = {0:?}\n", "\u{9b}a").replace("\\u{9b}", "\\u009b");
    card.figures[0].what = format!("a\nb{ORDERS}");
    content.texts.insert("card".into(), serde_json::to_string(&card).expect("JSON"));
    std::fs::write(&path, content.to_bytes()).expect("written");
    for command in ["eval -v", "sample -v --count 1", "train vae --epochs 1 --name b --init"] {
        let output = place.command(&format!("{command} a.safetensors --device cpu")).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{command}: {}", super::stderr(&output));
        let said = harmless(&output, "");
        let forged = said.lines().any(|line| line.starts_with("forged"));
        assert!(!forged && !said.lines().any(|line| line.starts_with("error: ")), "{said}");
        if !command.starts_with("train") {
            assert!(said.contains(r"  data      digits \u{1b}[31m"), "{said}");
            assert!(
                said.contains(
                    r"vae forged line \u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}gnp.exe"
                ),
                "{said}"
            );
        }
    }
}

/// Names of runs, data sets and arguments, also in JSON, in a report, and in a shell that a message is pasted into.
#[cfg(unix)]
#[test]
fn names_give_no_orders_to_a_terminal() {
    let place = Place::new();
    place.put_images(&format!("images{ORDERS}"), 6);
    let name = format!("a{ORDERS}");
    let shown = r"a\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}gnp.exe\u{2066}";
    let run = |arguments: &str, more: &[&str]| {
        let mut command = place.command(arguments);
        command.args(more).output().expect("the program starts")
    };
    let data = format!("folder:images{ORDERS}");
    let begin =
        "train vae --hidden 4 --latent 2 --batch 8 --epochs 1 --binarization grey --device cpu";
    let output = run(begin, &["--data", &data, "--name", &name]);
    assert!(output.status.success(), "{}", super::stderr(&output));
    harmless(&output, &format!("run: runs/{shown}"));
    for (command, more) in [
        ("train vae --resume --device cpu --name", ""),
        ("eval --device cpu", ""),
        ("eval --json --device cpu", r"images\u001b[31m"),
        ("report --csv m.csv --tensorboard events", shown),
        ("report --json", r"a\u001b[31m\u001b]0;owned\u0007\u009b2J\u202egnp.exe\u2066\r"),
        ("export --device cpu --out a.safetensors", "command   pixelloom train"),
        ("models", ""),
    ] {
        let which: &[&str] = if command == "models" { &[] } else { &[&name] };
        let output = run(command, which);
        assert!(output.status.success(), "{command}: {}", super::stderr(&output));
        let said = harmless(&output, more);
        if command.contains("--json") {
            let begin = said.find("{\n").expect("an object");
            let end = said.rfind("\n}").expect("an object") + 2;
            serde_json::from_str::<serde_json::Value>(&said[begin..end]).expect("JSON");
        }
    }
    let page = place.read(&format!("runs/{name}/report.html"));
    let page = String::from_utf8(page).expect("text");
    assert!(
        !page.chars().any(|c| !"\n\t".contains(c) && pixelloom::text::is_control(c)),
        "orders in the page"
    );
    // Unknown commands and values.
    let none = format!("b{ORDERS}");
    for (command, more, code) in [
        ("", &[none.as_str()][..], 2),
        ("sample draw --count", &[&none], 2),
        ("sample", &[&none], 5),
        ("report", &[&none], 5),
        ("data digits --sheet", &[&none], 3),
        ("train vae --preset", &[&none], 3),
        ("train vae --config", &[&none], 3),
        ("train vae --device", &[&none], 6),
        ("export --out a.safetensors --score", &[&none, &name], 3),
        // This name must not be interpreted as part of a progress bar's template.
        ("export --out a.safetensors --score", &[r"{x:b\u{1b}[31m", &name], 3),
    ] {
        let output = run(command, more);
        assert_eq!(output.status.code(), Some(code), "{command}: {}", super::stderr(&output));
        let said = harmless(&output, r"b\u{1b}[31m");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Each --set takes one setting, so that none is lost.
#[test]
fn an_assignment_is_one_setting() {
    let place = Place::new();
    let show = |assignment: &str| {
        let mut command = place.command("config show vae --set");
        command.arg(assignment).output().expect("the program starts")
    };
    for assignment in [
        "epochs=1\nbatch=3",
        "epochs=1\r\nbatch=3",
        "epochs=1\n",
        "\nepochs=1",
        "epo\u{1b}chs=1",
        "data.name=a\u{202e}b",
        "data.name=a\tb",
    ] {
        let output = show(assignment);
        let said = super::stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{assignment:?}: {said}");
        assert!(said.contains("use one --set per setting"), "{said}");
        harmless(&output, "error: --set ");
    }
    for (assignment, shown) in [
        ("epochs= 7 ", "epochs = 7 "),
        ("data.name='folder:a b'", "name = \"folder:a b\""),
        ("data.name=folder:a # b", "name = \"folder:a # b\""),
        ("data.name=\"a\\nepochs = 99\"", "a\nepochs = 99"),
    ] {
        let output = show(assignment);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(shown), "{assignment}: {said}{}", super::stderr(&output));
        let table: toml::Table = said.parse().expect("settings as TOML");
        let name = table["data"]["name"].as_str().expect("text").to_string();
        assert!(assignment.starts_with("epochs") || shown.contains(&name), "{name}: {said}");
    }
    // A comment after a value is allowed.
    let name = "my\nepochs = 99\n.toml";
    std::fs::write(place.path(name), "batch = 7\n").expect("written");
    let output = place.command("config show vae --config").arg(name).output();
    let said = String::from_utf8(output.expect("the program starts").stdout).expect("text");
    assert!(
        said.contains("batch = 7") && !said.lines().any(|line| line == "epochs = 99"),
        "{said}"
    );
}

/// An endless file in the place of a run's file is rejected before it is read.
#[cfg(target_os = "linux")]
#[test]
fn files_without_end_are_not_read() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed("sample draw --count 1 --out own.png --device cpu");
    for (file, command, code) in [
        ("runs/a/summary.json", "export a --device cpu --out a.safetensors", 4),
        ("runs/a/summary.json", "report a", 4),
        ("runs/a/metrics.jsonl", "report a --csv a.csv", 4),
        ("runs/a/config.toml", "report a", 5),
        ("runs/a/samples/x.png", "report a", 4),
        ("runs/a/samples/x.gif", "report a --compare c.html", 4),
        ("mask.png", "complete pixelcnn --mask mask.png --device cpu", 4),
        ("image.png", "complete pixelcnn --image image.png --device cpu", 4),
        ("my.toml", "config show vae --config my.toml", 3),
        ("m.safetensors", "eval m.safetensors --device cpu", 5),
    ] {
        let path = place.path(file);
        let good = std::fs::read(&path).ok();
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
        // Limit the memory, so that an unguarded reader fails at a gibibyte and does not exhaust the machine.
        let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
        let script = format!("ulimit -v 4000000; exec '{program}' {command} --threads 2");
        let script =
            if command.contains("--device") { script } else { script.replace(" --threads 2", "") };
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(place.path(".")).output();
        let output = output.expect("sh runs");
        let said = super::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        assert!(said.contains("error: "), "{command}: {said}");
        std::fs::remove_file(&path).expect("removed");
        if let Some(good) = good {
            std::fs::write(&path, good).expect("written");
        }
    }
}
