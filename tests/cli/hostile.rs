//! Files of runs that somebody made to do harm, or that are no files.

use super::{Place, TINY};

const LAST: &str = "runs/a/checkpoints/step-00000012";
const RESUME: &str = "train vae --resume --name a --device cpu";

/// The state's header says what is not so; there is no checksum that could tell before it is read.
#[test]
fn headers_of_tensors_that_lie() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    for file in ["model.safetensors", "state.safetensors"] {
        let path = format!("{LAST}/{file}");
        let good = place.read(&path);
        let header = u64::from_le_bytes(good[..8].try_into().expect("8 bytes")) as usize;
        let length = |length: u64| [&length.to_le_bytes()[..], &good[8..]].concat();
        // The same number of letters, so that all else stays where it is.
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

/// Keys as long, in tables as deep, as the TOML library takes each.
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
        assert!(text.starts_with("error: ") && text.len() < 500, "{:.300}", text);
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
        // A resumed run drops what was left behind its lines.
        place.succeed(RESUME);
        assert_eq!(place.metrics("runs/a"), before);
    }
}

/// A machine whose power failed leaves bytes that are no text.
#[test]
fn a_tail_of_metrics_that_is_no_text_is_dropped() {
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
        // A pipe would be waited for without end.
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
fn names_that_are_no_text() {
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
    // What must be text says so.
    let output = place.command("train vae --set").arg(OsStr::from_bytes(b"\xff=1")).output();
    assert_eq!(output.expect("the program starts").status.code(), Some(2));
}
