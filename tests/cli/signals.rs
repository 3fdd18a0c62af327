//! Signals: the step is finished, the state saved, the terminal as it was, within two seconds, also in
//! the midst of the longest work that is no step.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Place, names, stderr};

/// From the signal to the end of the process.
const LIMIT: Duration = Duration::from_secs(2);

/// Waits until a line of a run's metrics has `part`.
fn wait_for(place: &Place, run: &str, part: &str) {
    let start = Instant::now();
    let path = place.path(&format!("runs/{run}/metrics.jsonl"));
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains(part)) {
        assert!(start.elapsed() < Duration::from_secs(60), "no {part} in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a run, sends the signal some time after a line with `part`, and wants it saved and ended in
/// time.
fn stops(place: &Place, arguments: &str, (part, after): (&str, u64), (signal, code): (&str, i32)) {
    let mut command = place.command(&format!("{arguments} --name a"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    wait_for(place, "a", part);
    std::thread::sleep(Duration::from_millis(after));
    let start = Instant::now();
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    let took = start.elapsed();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(" is saved; continue with --resume --out runs/a\n"), "{said}");
    assert!(took < LIMIT, "{took:?} after {signal}");
    println!("{took:?} after {signal}");
}

/// A pixel model of images of 28 x 28 that takes many seconds to draw a hundred of them.
const SLOW: &str = "train pixelcnn --device cpu --layers 7 --set model.kernel=3 --hidden 56 \
                    --set model.head=24 --set model.levels=4 --batch 8 --epochs 1 --log-every 4 --eval-every 1 \
                    --data folder:images";

#[test]
fn while_samples_are_drawn() {
    let place = Place::new();
    place.put_images("images", 28);
    // The line of the last step is followed by scores of a few images, which are soon done.
    let slower = SLOW.replace("hidden 56", "hidden 160");
    stops(&place, &slower, ("\"step\":4", 2500), ("-INT", 130));
    assert!(names(&place.path("runs/a/samples")).is_empty(), "it was done with them");
}

#[test]
fn while_the_last_pictures_are_drawn() {
    let place = Place::new();
    place.put_images("images", 28);
    stops(&place, SLOW, ("\"split\":\"test\"", 0), ("-TERM", 143));
    let samples = names(&place.path("runs/a/samples"));
    assert!(!place.path("runs/a/summary.json").exists() && samples.len() == 1, "{samples:?}");
    place.succeed("train pixelcnn --resume --device cpu --name a");
    assert!(place.path("runs/a/summary.json").exists());
}

#[test]
fn while_marginal_likelihoods_are_estimated() {
    let place = Place::new();
    let slow = "train vae --device cpu --hidden 300 --latent 2 --epochs 1 --set data.limit=400 \
                --log-every 4 --set marginal=100";
    stops(&place, slow, ("\"step\":4", 500), ("-INT", 130));
    assert!(!place.metrics("runs/a").iter().any(|line| line.contains("marginal")));
}

#[test]
fn while_a_split_is_scored() {
    let place = Place::new();
    let slow = SLOW.replace("folder:images", "digits").replace("model.levels=4", "model.levels=2");
    let slow = slow.replace("--batch 8", "--batch 50") + " --set data.limit=200";
    stops(&place, &slow, ("\"step\":4", 200), ("-TERM", 143));
    assert!(!place.metrics("runs/a").iter().any(|line| line.contains("eval")));
}

/// Ctrl-C on a terminal: `script` gives the program one.
#[test]
fn the_terminal_is_as_it_was() {
    let place = Place::with_images();
    if Command::new("script").arg("--version").output().is_err() {
        println!("skipped: no `script` here");
        return;
    }
    let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
    let run =
        "train vae --device cpu --hidden 16 --latent 2 --epochs 100000 --log-every 5 --name a";
    let mut script = Command::new("script");
    script.args(["-qfec", &format!("{program} {run}"), "/dev/null"]).current_dir(place.path("."));
    let mut child = script
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut output = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    wait_for(&place, "a", "\"step\":20");
    // A bar is drawn a few times a second.
    std::thread::sleep(Duration::from_millis(400));
    let mut input = child.stdin.take().expect("piped");
    let start = Instant::now();
    input.write_all(&[3]).expect("written");
    input.flush().expect("written");
    let status = child.wait().expect("it ends");
    let took = start.elapsed();
    let shown = reader.join().expect("read");
    assert_eq!(status.code(), Some(130), "{shown:?}");
    assert!(took < LIMIT, "{took:?}");
    let bar = shown.rfind(" steps ").expect("a bar");
    assert!(shown[bar..].contains("\u{1b}[2K"), "the bar stays: {:?}", &shown[bar..]);
    assert!(shown.contains("is saved"), "{shown:?}");
    let (hidden, seen) = (shown.rfind("\u{1b}[?25l"), shown.rfind("\u{1b}[?25h"));
    assert!(hidden <= seen, "the cursor stays hidden");
}
