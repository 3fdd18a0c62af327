//! Files at paths that a user names: existing files are kept unless this program wrote them, links, pipes, devices and
//! permissions are preserved, and no unfinished files are left.

use std::fs;
use std::path::Path;

use super::{Place, TINY, names, stderr};

const SHEET: &str = "data digits --sheet";

/// Commands that write a file, each with the name of that file; they use the runs `a` and `b`.
const WRITERS: [(&str, &str); 11] = [
    ("data digits --sheet d.png", "d.png"),
    ("sample draw --count 2 --device cpu --out s.png", "s.png"),
    ("sample draw --count 2 --device cpu --out s2.png --film f.gif", "f.gif"),
    ("sample draw --count 2 --device cpu --out s3.png --strip t.png", "t.png"),
    ("sample draw --count 2 --device cpu --out s4.png --nearest n.png", "n.png"),
    ("complete pixelcnn --count 1 --samples 1 --rect 26,0,2,4 --device cpu --out c.png", "c.png"),
    (
        "explain receptive-field --model pixelcnn --layers 1 --size 6x6 --device cpu --out r.png",
        "r.png",
    ),
    ("explain glimpses draw --count 1 --device cpu --out g.png", "g.png"),
    ("export a --device cpu --out a.safetensors", "a.safetensors"),
    ("eval a --device cpu --per-image a.csv", "a.csv"),
    ("report a b --compare ab.html", "ab.html"),
];

/// Commands of the report, whose other files would be in the way of the first command.
const REPORTS: [(&str, &str); 2] = [
    ("report a --csv m.csv", "m.csv"),
    ("report a --tensorboard events", "events/a/events.out.tfevents.pixelloom"),
];

fn two_runs(place: &Place) {
    let run = TINY.replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{run} --name a"));
    place.succeed(&format!("{run} --name b"));
}

/// Files of other origin that may be in the place of an output.
fn others() -> [(&'static str, Vec<u8>); 5] {
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, 2, 2);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("written");
    writer.write_image_data(&[0; 4]).expect("written");
    writer.finish().expect("written");
    [
        ("a text file of 11 bytes", b"my own work".to_vec()),
        ("a PNG picture of", picture),
        ("a JPEG picture of 7 bytes", b"\xff\xd8\xff\xe0\0\x10J".to_vec()),
        ("an HTML page of", b"<!DOCTYPE html>\n<title>pixelloom</title>".to_vec()),
        ("a file of 3 bytes", b"\0\xff\0".to_vec()),
    ]
}

/// Every command refuses to replace files of other origin before it starts its work, replaces them with `--force`, and
/// then replaces its own files without it.
#[test]
fn files_of_others_are_kept() {
    let place = Place::new();
    two_runs(&place);
    for (command, file) in WRITERS.iter().chain(&REPORTS) {
        let path = place.path(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        for (what, bytes) in others() {
            fs::write(&path, &bytes).expect("written");
            let output = place.run(command);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(3), "{command}: {said}");
            let error = format!("error: {file} exists and is {what}");
            assert!(said.starts_with(&error), "{command}: nothing comes before the error: {said}");
            assert!(said.trim_end().ends_with("or replace it with --force"), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(fs::read(&path).expect("read") == bytes, "{command}: {file} is lost");
        }
        place.succeed(&format!("{command} --force"));
        let own = fs::read(&path).expect("read");
        place.succeed(command);
        // This includes event files, because their times are those of the metrics file.
        assert!(fs::read(&path).expect("read") == own, "{command}: {file} differs");
        // An empty file, as created by `mktemp`, may be replaced.
        fs::write(&path, "").expect("written");
        place.succeed(command);
        assert!(fs::read(&path).expect("read") == own, "{command}: {file} differs");
    }
    let left: Vec<String> = names(&place.path("."));
    assert!(!left.iter().any(|name| name.contains("tmp")), "{left:?}");
}

/// A file of one kind with the mark of another kind does not count as the program's own.
#[test]
fn marks_belong_to_their_kinds() {
    let place = Place::new();
    place.succeed(&format!("{SHEET} a.png"));
    fs::copy(place.path("a.png"), place.path("a.html")).expect("copied");
    let run = TINY.replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{run} --name a"));
    let message = place.fail("report a --compare a.html", 3);
    assert!(message.contains("a.html exists and is a PNG picture"), "{message}");
    // Notes that mention the program are not a table.
    fs::write(place.path("a.csv"), "# pixelloom notes\nhidden,bound\n").expect("written");
    place.fail("report a --csv a.csv", 3);
}

#[test]
fn extensions_match_the_content() {
    let place = Place::new();
    for (arguments, ending) in [
        ("sample draw --count 1 --out x.jpg", ".png"),
        ("sample draw --count 1 --out x", ".png"),
        ("sample draw --count 1 --out x.png --film f.mp4", ".gif"),
        ("sample draw --count 1 --out x.png --strip t.gif", ".png"),
        ("complete pixelcnn --out c.jpeg", ".png"),
        ("complete pixelcnn --out c.png --film c.png.webm", ".gif"),
        ("explain receptive-field --model pixelcnn --out r.pdf", ".png"),
        ("explain glimpses draw --out g.tiff", ".png"),
        ("data digits --sheet d.npy", ".png"),
        ("export a --out a.pt", ".safetensors"),
        ("eval vae --per-image a.json", ".csv"),
    ] {
        let output = place.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {said}");
        assert!(said.starts_with("error: "), "{arguments}: nothing is loaded before: {said}");
        assert!(
            said.trim_end().ends_with(&format!("choose a name that ends in {ending}")),
            "{said}"
        );
    }
    assert!(names(&place.path(".")).is_empty());
    place.succeed(&format!("{SHEET} D.PNG"));
    place.succeed("sample draw --count 1 --out x.Png --film X.GIF --device cpu");
}

#[test]
fn one_command_writes_each_file_once() {
    let place = Place::new();
    for arguments in ["--out a.png --strip a.png", "--out a.png --nearest ./a.png"] {
        let message = place.fail(&format!("sample draw --count 1 {arguments}"), 3);
        assert!(message.contains("would be written twice"), "{message}");
    }
    let run = TINY.replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{run} --name a"));
    place.succeed(&format!("{run} --out elsewhere/a"));
    let message = place.fail("report a elsewhere/a --tensorboard events", 3);
    assert!(message.contains("events/a/") && message.contains("twice"), "{message}");
}

/// Neither through another path nor with `--force`.
#[test]
fn runs_are_not_written_into() {
    let place = Place::new();
    two_runs(&place);
    let before = place.read("runs/a/config.toml");
    let samples = names(&place.path("runs/a/samples"));
    fs::create_dir(place.path("else")).expect("made");
    for (command, run) in [
        ("data digits --sheet runs/a/x.png", "a"),
        ("data digits --sheet runs/a/samples/x.png", "a"),
        ("data digits --sheet else/../runs/a/checkpoints/x.png", "a"),
        ("export a --out runs/b/b.safetensors", "b"),
        ("report a --csv runs/a/m.csv", "a"),
        ("report a --tensorboard runs/a/events/deep", "a"),
        ("report a b --compare runs/a/report.html", "a"),
        ("eval a --per-image runs/b/checkpoints/a.csv", "b"),
    ] {
        for force in ["", " --force"] {
            let message = place.fail(&format!("{command}{force}"), 3);
            assert!(
                message.contains("is inside the run ")
                    && message.contains(&format!("runs/{run}, ")),
                "{message}"
            );
        }
    }
    // config.toml does not have the extension of a model file, which is reported first.
    place.fail("export a --out runs/a/config.toml --force", 3);
    #[cfg(unix)]
    {
        let link =
            |to: &str, at: &str| std::os::unix::fs::symlink(to, place.path(at)).expect("linked");
        link("runs/a/config.toml", "c.png");
        link("runs/a/new.png", "n.png");
        link("runs/a/samples", "s");
        for name in ["c.png", "n.png", "s/x.png"] {
            let message = place.fail(&format!("{SHEET} {name} --force"), 3);
            assert!(message.contains("is inside the run"), "{message}");
        }
    }
    assert!(place.read("runs/a/config.toml") == before);
    assert_eq!(names(&place.path("runs/a/samples")), samples);
    assert!(!place.path("runs/a/events").exists());
    // The program itself writes its page there.
    fs::write(place.path("runs/a/report.html"), "old").expect("written");
    place.succeed("report a");
    assert!(place.read("runs/a/report.html").starts_with(b"<!DOCTYPE html>"));
}

/// The first line of a table names the program that wrote it.
#[test]
fn tables_begin_with_a_comment() {
    let place = Place::new();
    let run = TINY.replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{run} --out a#1"));
    place.succeed("report a#1 --csv m.csv");
    let text = String::from_utf8(place.read("m.csv")).expect("text");
    let mut lines = text.lines();
    let comment = format!("# pixelloom {}: metrics of runs", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines.next(), Some(comment.as_str()));
    assert!(lines.next().is_some_and(|head| head.starts_with("run,epoch,")), "{text}");
    assert!(
        lines.all(|line| line.starts_with("\"a#1\",")),
        "# in a name begins no comment: {text}"
    );
}

/// A full or failing disk, or a process that dies, leaves the old file.
#[test]
fn an_output_is_whole_or_the_old_one() {
    let place = Place::with_images();
    place.succeed(&format!("{SHEET} a.png"));
    let new = place.read("a.png");
    place.succeed("data first-20:digits --sheet a.png");
    let old = place.read("a.png");
    assert!(old != new);
    for (fault, code) in [("full", Some(8)), ("read-only", Some(8)), ("abort", None)] {
        for n in 1.. {
            let mut command = place.command(&format!("{SHEET} a.png"));
            let output = command.env("PIXELLOOM_FAULT", format!("{fault}:{n}")).output();
            let output = output.expect("the program starts");
            let now = place.read("a.png");
            assert!(now == old || now == new, "{fault} at {n}: half a file");
            if output.status.success() {
                assert!(n > 3, "{fault}: {n} operations are too few");
                assert!(now == new);
                break;
            }
            assert_eq!(output.status.code(), code, "{fault} at {n}: {}", stderr(&output));
            let left = names(&place.path("."));
            let left: Vec<_> = left.iter().filter(|name| name.contains("tmp")).collect();
            assert!(left.is_empty() || fault == "abort", "{fault} at {n}: {left:?}");
            fs::write(place.path("a.png"), &old).expect("written");
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    #[test]
    fn permissions_stay() {
        let place = Place::new();
        let new = |umask: &str, name: &str| {
            let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
            let script = format!("umask {umask}; exec '{program}' {SHEET} {name}");
            let done =
                Command::new("sh").args(["-c", &script]).current_dir(place.path(".")).output();
            assert!(done.expect("sh runs").status.success());
            mode(&place.path(name))
        };
        assert_eq!(new("022", "a.png"), 0o644);
        assert_eq!(new("027", "b.png"), 0o640);
        fs::set_permissions(place.path("a.png"), PermissionsExt::from_mode(0o600)).expect("set");
        place.succeed(&format!("{SHEET} a.png"));
        assert_eq!(mode(&place.path("a.png")), 0o600);
        // A write-protected file is meant to stay.
        fs::set_permissions(place.path("a.png"), PermissionsExt::from_mode(0o444)).expect("set");
        let message = place.fail(&format!("{SHEET} a.png"), 3);
        assert!(message.contains("a.png exists and is write-protected"), "{message}");
        place.succeed(&format!("{SHEET} a.png --force"));
        assert_eq!(mode(&place.path("a.png")), 0o444);
    }

    #[test]
    fn links_stay_and_lead_to_the_new_file() {
        let place = Place::new();
        fs::create_dir(place.path("far")).expect("made");
        place.succeed(&format!("{SHEET} far/real.png"));
        let bytes = place.read("far/real.png");
        place.succeed("data first-20:digits --sheet far/real.png");
        symlink("far/real.png", place.path("a.png")).expect("linked");
        symlink("a.png", place.path("b.png")).expect("linked");
        symlink("far/new.png", place.path("dangling.png")).expect("linked");
        symlink("nowhere/new.png", place.path("lost.png")).expect("linked");
        symlink("circle.png", place.path("circle.png")).expect("linked");
        let is_link =
            |name: &str| fs::symlink_metadata(place.path(name)).expect("there").is_symlink();
        place.succeed(&format!("{SHEET} b.png"));
        assert!(is_link("a.png") && is_link("b.png") && !is_link("far/real.png"));
        assert!(place.read("far/real.png") == bytes);
        place.succeed(&format!("{SHEET} dangling.png"));
        assert!(is_link("dangling.png") && place.read("far/new.png") == bytes);
        for name in ["lost.png", "circle.png"] {
            place.fail(&format!("{SHEET} {name}"), 8);
            assert!(is_link(name));
        }
        // A link does not circumvent the check for the mark.
        fs::write(place.path("notes.txt"), "mine").expect("written");
        symlink("notes.txt", place.path("n.png")).expect("linked");
        place.fail(&format!("{SHEET} n.png"), 3);
        assert_eq!(place.read("notes.txt"), b"mine");
        place.succeed(&format!("{SHEET} n.png --force"));
        assert!(is_link("n.png") && place.read("notes.txt") == bytes);
    }

    #[test]
    fn pipes_and_devices_stay() {
        let place = Place::new();
        place.succeed(&format!("{SHEET} a.png"));
        let bytes = place.read("a.png");
        let is_device = |name: &str| {
            fs::metadata(place.path(name)).expect("there").file_type().is_char_device()
        };
        // Use a link, so that a bug cannot destroy /dev/null.
        symlink("/dev/null", place.path("null")).expect("linked");
        place.succeed(&format!("{SHEET} null"));
        assert!(
            is_device("null")
                && fs::symlink_metadata(place.path("null")).expect("there").is_symlink()
        );
        let made = Command::new("mknod").arg(place.path("own")).args(["c", "1", "3"]).status();
        if made.is_ok_and(|status| status.success()) && fs::File::open(place.path("own")).is_ok() {
            place.succeed(&format!("{SHEET} own"));
            assert!(is_device("own"));
        } else {
            println!("a device of the test's own is skipped: none can be made here");
        }
        let made = Command::new("mkfifo").arg(place.path("pipe")).status();
        assert!(made.expect("mkfifo runs").success());
        let pipe = place.path("pipe");
        let reader = std::thread::spawn(move || fs::read(pipe).expect("read"));
        place.succeed(&format!("{SHEET} pipe"));
        assert!(reader.join().expect("read") == bytes);
        assert!(fs::metadata(place.path("pipe")).expect("there").file_type().is_fifo());
        if Path::new("/dev/full").exists() {
            symlink("/dev/full", place.path("full")).expect("linked");
            let message = place.fail(&format!("{SHEET} full"), 8);
            assert!(message.contains("cannot write full: No space left"), "{message}");
        }
        let socket = std::os::unix::net::UnixListener::bind(place.path("socket.png"));
        let _socket = socket.expect("bound");
        let message = place.fail(&format!("{SHEET} socket.png --force"), 3);
        assert!(message.contains("neither a file, a pipe nor a character device"), "{message}");
        for name in [".", "new.png/"] {
            let message = place.fail(&format!("{SHEET} {name} --force"), 3);
            assert!(message.contains("is a directory"), "{message}");
        }
    }

    /// Results go to stderr if a file is written to stdout.
    #[test]
    fn a_file_on_stdout_is_the_only_output_there() {
        let place = Place::new();
        place.succeed(&format!("{SHEET} a.png"));
        let bytes = place.read("a.png");
        // First through a link, which a bug would replace instead of /dev/stdout.
        symlink("/dev/stdout", place.path("link.png")).expect("linked");
        for name in ["link.png", "/dev/stdout", "/dev/fd/1"] {
            let output = place.run(&format!("{SHEET} {name}"));
            assert!(
                output.status.success() && output.stdout == bytes,
                "{name}: {}",
                stderr(&output)
            );
            assert!(stderr(&output).contains("train split, 4,500 images"), "{}", stderr(&output));
        }
        let file = fs::File::create(place.path("redirected")).expect("made");
        let output = place.command(&format!("{SHEET} /dev/stdout --json")).stdout(file).output();
        let output = output.expect("the program starts");
        assert!(output.status.success() && place.read("redirected") == bytes);
        let object: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("JSON");
        assert_eq!(object["files"][0], "/dev/stdout");
        // Pipes of a shell.
        let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
        let script = format!(
            "'{program}' {SHEET} >(cat > piped; touch done) > said; while ! [ -e done ]; do sleep 0.01; done"
        );
        let done = Command::new("bash").args(["-c", &script]).current_dir(place.path(".")).status();
        if done.is_ok_and(|status| status.success()) {
            assert!(place.read("piped") == bytes);
        }
    }

    fn spawn(place: &Place, arguments: &str) -> std::process::Child {
        let mut command = place.command_in_a_terminal(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    fn send(signal: &str, child: &std::process::Child) {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Signals at moments spread over a command that writes three files, most of them near its end.
    #[test]
    fn interrupted_commands_leave_no_unfinished_files() {
        // On a real disk, where syncing a file takes a while.
        let place = Place::new();
        let command =
            "sample draw --count 2 --device cpu --threads 1 --film f.gif --strip t.png --out s.png";
        place.succeed(command);
        let start = Instant::now();
        place.succeed(command);
        let lasts = start.elapsed().as_secs_f64();
        let whole = ["f.gif", "t.png", "s.png"].map(|name| place.read(name));
        let old: Vec<Vec<u8>> = whole.iter().map(|bytes| [bytes, &b"x"[..]].concat()).collect();
        const KILLS: usize = 60;
        let mut stopped = 0;
        for i in 0..KILLS {
            for (name, bytes) in ["f.gif", "t.png", "s.png"].iter().zip(&old) {
                fs::write(place.path(name), bytes).expect("written");
            }
            let mut child = spawn(&place, command);
            std::thread::sleep(Duration::from_secs_f64(
                lasts * (0.4 + 0.6 * i as f64 / KILLS as f64),
            ));
            let ended = child.try_wait().expect("its state").is_some();
            if !ended {
                send(["-INT", "-TERM", "-HUP"][i % 3], &child);
            }
            let status = child.wait().expect("ended");
            stopped += usize::from(!status.success());
            assert_eq!(names(&place.path(".")), ["f.gif", "s.png", "t.png"], "kill {i}");
            for ((name, whole), old) in ["f.gif", "t.png", "s.png"].iter().zip(&whole).zip(&old) {
                let now = place.read(name);
                assert!(now == *whole || now == *old, "{name} is half made after kill {i}");
            }
        }
        assert!(stopped > KILLS / 5, "{stopped} of {KILLS} came in time");
    }

    /// Signals end a command between its files; a command that `nohup` started continues.
    #[test]
    fn signals_end_a_command_unless_it_ignores_them() {
        for ignored in [false, true] {
            let place = Place::new();
            let made = Command::new("mkfifo").arg(place.path("pipe")).status();
            assert!(made.expect("mkfifo runs").success());
            // The film has been written, and the command waits for a reader of the sheet.
            let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
            let trap = if ignored { "trap '' HUP; " } else { "" };
            let words = "sample draw --count 1 --device cpu --film f.gif --out pipe";
            let script = format!("{trap}exec '{program}' {words}");
            let mut command = Command::new("sh");
            command.args(["-c", &script]).current_dir(place.path("."));
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = child.expect("sh runs");
            let start = Instant::now();
            while !place.path("f.gif").exists() {
                assert!(start.elapsed() < Duration::from_secs(60), "no film in a minute");
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(200));
            // The tests may run under `nohup`, which this command would inherit.
            send(if ignored { "-HUP" } else { "-TERM" }, &child);
            std::thread::sleep(Duration::from_millis(200));
            if ignored {
                assert!(child.try_wait().expect("its state").is_none(), "nohup is undone");
                assert!(fs::read(place.path("pipe")).expect("read").starts_with(b"\x89PNG"));
                assert!(child.wait().expect("ended").success());
            } else {
                use std::os::unix::process::ExitStatusExt;
                assert_eq!(child.wait().expect("ended").signal(), Some(15));
            }
        }
    }
}
