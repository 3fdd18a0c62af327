//! After a signal, the step is finished, the state saved and the terminal restored within two seconds, also during long
//! work between steps.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Place, names, stderr};

/// Maximum time from the signal to the end of the process.
const LIMIT: Duration = Duration::from_secs(2);

/// Waits until a line of a run's metrics contains `part`.
fn wait_for(place: &Place, run: &str, part: &str) {
    let start = Instant::now();
    let path = place.path(&format!("runs/{run}/metrics.jsonl"));
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains(part)) {
        assert!(start.elapsed() < Duration::from_secs(60), "no {part} in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a run, sends the signal some time after a line with `part`, and checks that the run is saved and ends in
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
    assert!(said.contains(" was saved\n"), "{said}");
    let lines: Vec<&str> = said.lines().rev().take(2).collect();
    let [last, before] = lines[..] else { panic!("{said}") };
    assert!(before.starts_with("error: interrupted by signal "), "{said}");
    assert!(
        last.starts_with("pixelloom train ") && last.contains(" --resume --out runs/a"),
        "{said}"
    );
    assert!(took < LIMIT, "{took:?} after {signal}");
    println!("{took:?} after {signal}");
}

/// A pixel model for images of 28 x 28 that needs many seconds for a hundred samples.
const SLOW: &str = "train pixelcnn --device cpu --layers 7 --set model.kernel=3 --hidden 56 \
                    --set model.head=24 --set model.levels=4 --batch 8 --epochs 1 --log-every 4 --eval-every 1 \
                    --data folder:images";

#[test]
fn while_samples_are_drawn() {
    let place = Place::new();
    place.put_images("images", 28);
    // After the line of the last step, only a few images are scored, which is quick.
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

/// Ctrl-C on a terminal, which `script` provides.
#[test]
fn the_terminal_is_restored() {
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
    // The bar is drawn a few times per second.
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
    let bar = shown.rfind("  loss ").expect("a status line");
    assert!(shown[bar..].contains("\r\u{1b}[K"), "the status line stays: {:?}", &shown[bar..]);
    assert!(shown.contains("was saved"), "{shown:?}");
    let (hidden, seen) = (shown.rfind("\u{1b}[?25l"), shown.rfind("\u{1b}[?25h"));
    assert!(hidden <= seen, "the cursor stays hidden");
}

const ENDLESS: &str = "train vae --device cpu --threads 2 --hidden 16 --latent 2 --epochs 100000 --log-every 5 \
                       --set optimizer.schedule=constant";

/// The last line is the command that resumes the run, whatever characters the names contain.
#[test]
fn the_last_line_resumes_the_run() {
    let place = Place::new();
    let mut command = place.command(ENDLESS);
    command.args(["--out", "it's a run", "--data-dir", "my data"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let start = Instant::now();
    let path = place.path("it's a run/metrics.jsonl");
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"step\":20")) {
        assert!(start.elapsed() < Duration::from_secs(60), "no step 20 in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    send(&child, "-INT");
    let said = stderr(&child.wait_with_output().expect("it ends"));
    let last = said.lines().last().expect("a line");
    let expected = r"pixelloom train vae --resume --out 'it'\''s a run' --data-dir 'my data' --device cpu --threads 2";
    assert_eq!(last, expected, "{said}");
    let program = assert_cmd::cargo::cargo_bin!("pixelloom").display().to_string();
    let pasted = last.replacen("pixelloom", &program, 1) + " --epochs 20";
    let output = Command::new("sh").args(["-c", &pasted]).current_dir(place.path(".")).output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{}", stderr(&output));
}

fn send(child: &std::process::Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// A terminal that closes sends SIGHUP, and its shell sends another one.
#[test]
fn hanging_up_twice_saves_like_hanging_up_once() {
    let place = Place::new();
    let mut command = place.command_in_a_terminal(&format!("{ENDLESS} --name a"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    wait_for(&place, "a", "\"step\":20");
    send(&child, "-HUP");
    send(&child, "-HUP");
    let output = child.wait_with_output().expect("it ends");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(129), "{said}");
    assert!(
        said.contains(" was saved\n") && said.contains("\npixelloom train vae --resume"),
        "{said}"
    );
}

/// This is what `nohup` is for.
#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_is_not_hung_up() {
    let place = Place::new();
    let program = assert_cmd::cargo::cargo_bin!("pixelloom");
    let mut command = Command::new("nohup");
    command.arg(program).args(format!("{ENDLESS} --name a").split_whitespace());
    command.current_dir(place.path(".")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("nohup runs");
    wait_for(&place, "a", "\"step\":20,");
    send(&child, "-HUP");
    let lines = place.metrics("runs/a").len();
    let start = Instant::now();
    while place.metrics("runs/a").len() < lines + 20 {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&child, "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
}
