//! A run that is stopped and resumed in another process equals an uninterrupted one: bytes of weights and optimiser
//! state, lines of metrics.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Place, TINY};

const RESUME: &str = "train vae --resume --device cpu";

/// Three processes with one epoch each and different numbers of threads, against one process with three epochs.
fn parts_equal_the_whole(flags: &str) {
    let place = Place::new();
    // Each part ends with a line of metrics, so the intervals are chosen such that the whole run writes one there too.
    let tiny = TINY.replace("--log-every 3", "--log-every 2") + flags;
    place.succeed(&format!("{tiny} --name whole --threads 2"));
    let first = tiny.replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{first} --name parts --threads 2"));
    place.succeed(&format!("{RESUME} --name parts --epochs 2 --threads 1"));
    place.succeed(&format!("{RESUME} --name parts --epochs 3 --threads 3"));
    place.assert_equal_runs("runs/whole", "runs/parts");
}

#[test]
fn parts_of_adam_equal_the_whole() {
    parts_equal_the_whole("");
}

#[test]
fn parts_of_the_papers_settings_equal_the_whole() {
    parts_equal_the_whole(" --optimizer adagrad --set weight_prior=true");
}

#[test]
fn parts_of_monte_carlo_em_equal_the_whole() {
    parts_equal_the_whole(" --set model.method=monte-carlo-em --set model.method.updates=3");
}

/// The marginal likelihoods of an evaluation are written once, before and after a resumption.
#[test]
fn parts_with_marginal_likelihoods_equal_the_whole() {
    let flags = " --set marginal=2 --set data.limit=120 --set model.method=monte-carlo-em";
    parts_equal_the_whole(flags);
}

#[test]
fn threads_change_nothing() {
    let place = Place::new();
    let flags = "--set optimizer.clip=1 --latent 3";
    let tiny = TINY.replace("--latent 2", flags);
    place.succeed(&format!("{tiny} --name one --threads 1"));
    place.succeed(&format!("{tiny} --name two --threads 2"));
    place.succeed(&format!("{tiny} --name five --threads 5"));
    place.assert_equal_runs("runs/one", "runs/two");
    place.assert_equal_runs("runs/one", "runs/five");
}

#[test]
fn another_seed_is_another_run() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name one"));
    place.succeed(&format!("{TINY} --name two --seed 2"));
    assert!(place.metrics("runs/one") != place.metrics("runs/two"));
}

#[test]
fn a_finished_run_resumes_to_itself() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b"));
    place.succeed(&format!("{RESUME} --name b"));
    place.assert_equal_runs("runs/a", "runs/b");
    // The original command stays recorded, quoted for a shell.
    let command = |run: &str| {
        let summary = place.read(&format!("runs/{run}/summary.json"));
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        summary["command"].as_str().expect("a command").to_string()
    };
    assert_eq!(command("a"), format!("pixelloom {TINY} --name a"));
    let (begun, resumed) = (command("b"), format!("; resumed by pixelloom {RESUME} --name b"));
    assert!(begun.ends_with(&resumed), "{begun}");
    for part in ["pixelloom train vae --preset digits ", "--set epochs=3", "--set data.limit=200"] {
        assert!(begun.contains(part), "{part} is not in {begun}");
    }
    place.succeed(&format!(
        "{TINY} --name a --force --set optimizer.schedule={{kind=\"constant\"}}"
    ));
    assert!(command("a").ends_with(r#" --set 'optimizer.schedule={kind="constant"}'"#));
    // The settings must be those of the run; only its length may change.
    let message = place.fail(&format!("{RESUME} --name b --rate 0.1"), 3);
    assert!(message.contains("optimizer.rate: 0.01 in the run, 0.1 requested"), "{message}");
    let message = place.fail(&format!("{RESUME} --name b --epochs 2"), 3);
    assert!(message.contains("more --epochs"), "{message}");
}

#[test]
fn a_refused_resume_names_each_setting_with_both_values() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let flags = [
        ("--rate 0.1", "optimizer.rate: 0.01 in the run, 0.1 requested"),
        ("--batch 50", "batch: 60 in the run, 50 requested"),
        ("--seed 2", "seed: 1 in the run, 2 requested"),
        ("--latent 3", "model.latent: 2 in the run, 3 requested"),
        ("--set optimizer.clip=1", "optimizer.clip: not set in the run, 1.0 requested"),
        ("--log-every 4", "log_every: 3 in the run, 4 requested"),
    ];
    let resume = |flags: &str| {
        let message = place.fail(&format!("{RESUME} --name a --epochs 4 {flags}"), 3);
        assert!(message.ends_with(": pixelloom train vae --init runs/a --name NEW"), "{message}");
        message
    };
    for (flag, named) in flags {
        let message = resume(flag);
        assert!(message.contains(named), "{named} is not in {message}");
        assert_eq!(message.matches("in the run").count(), 1, "{message}");
    }
    let all = resume(&flags.map(|(flag, _)| flag).join(" "));
    assert!(flags.iter().all(|(_, named)| all.contains(named)), "{all}");
    // Settings that may change, and settings that are given unchanged.
    place.succeed(&format!("{RESUME} --name a --epochs 4 --rate 0.01 --batch 60 --set keep=2"));
    // Settings that were changed in the file are detected too.
    let path = place.path("runs/a/config.toml");
    let text = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, text.replace("batch = 60", "batch = 40")).expect("written");
    assert!(resume("").contains("batch: 60 in the run, 40 requested"));
}

/// The schedule spans the epochs, so more epochs mean another schedule.
#[test]
fn a_cosine_run_with_more_epochs_is_refused_with_what_would_let_it() {
    let place = Place::new();
    let cosine = TINY.replace("schedule=constant", "schedule=cosine")
        + " --set optimizer.schedule.floor=0.1";
    place.succeed(&format!("{cosine} --name a"));
    let message = place.fail(&format!("{RESUME} --name a --epochs 5"), 3);
    for part in [
        "(epochs: 3 in the run, 5 requested)",
        "add --set optimizer.schedule.total=12; ",
        "pixelloom train vae --init runs/a --name NEW",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let total = "--set optimizer.schedule.total=";
    let message = place.fail(&format!("{RESUME} --name a --epochs 5 {total}20"), 3);
    let named = "(optimizer.schedule.total: 12 in the run, 20 requested)";
    assert!(message.contains(named), "{message}");
    // The suggested command works.
    place.succeed(&format!("{RESUME} --name a --epochs 5 {total}12"));
    let lines = place.metrics("runs/a");
    assert!(
        lines.iter().any(|line| line.contains("\"step\":20") && line.contains("\"rate\":0.001"))
    );
    place.succeed(&format!(
        "{} --init runs/a --name b",
        cosine.replace("--hidden 8 --latent 2", "")
    ));
}

#[test]
fn a_damaged_line_of_metrics_stops_a_resume() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name whole"));
    place.succeed(&format!("{} --name a", TINY.replace("--epochs 3", "--epochs 2")));
    let path = place.path("runs/a/metrics.jsonl");
    let whole = std::fs::read_to_string(&path).expect("text");
    let (lines, checkpoints) = (whole.lines().count(), place.checkpoints("runs/a"));
    let config = place.read("runs/a/config.toml");
    // The last line is of the test split, which a resumed run removes.
    for number in 1..lines {
        let broken: Vec<&str> = whole.lines().collect();
        let broken: Vec<&str> = (1..)
            .zip(broken)
            .map(|(n, line)| if n == number { &line[9..] } else { line })
            .collect();
        let broken = broken.join("\n") + "\n";
        std::fs::write(&path, &broken).expect("written");
        let message = place.fail(&format!("{RESUME} --name a --epochs 3"), 4);
        let named = format!("runs/a/metrics.jsonl: line {number} is damaged");
        assert!(message.contains(&named) && message.contains("restore the file"), "{message}");
        assert!(std::fs::read_to_string(&path).expect("text") == broken, "line {number}");
        assert!(
            place.checkpoints("runs/a") == checkpoints
                && place.read("runs/a/config.toml") == config
        );
    }
    // A log line is due at step 8, the end of this part, but not in the whole run.
    std::fs::write(&path, whole).expect("written");
    place.succeed(&format!("{RESUME} --name a --epochs 3"));
    let mut metrics = place.metrics("runs/a");
    metrics.retain(|line| !line.contains("\"kind\":\"train\""));
    let mut expected = place.metrics("runs/whole");
    expected.retain(|line| !line.contains("\"kind\":\"train\""));
    assert_eq!(metrics, expected);
}

/// A run that is long enough to be stopped before its end.
const LONG: &str = "train vae --device cpu --hidden 16 --latent 3 --batch 100 --epochs 4 \
                    --log-every 7 --eval-every 1 --set save_every=10 --set optimizer.schedule=constant";

/// A crash between the two renames of a checkpoint that replaces another of its step.
#[test]
fn a_checkpoint_set_aside_is_resumed_from() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name whole"));
    place.succeed(&format!("{} --name part", TINY.replace("--epochs 3", "--epochs 2")));
    let at = |name: &str| place.path(&format!("runs/part/checkpoints/{name}"));
    std::fs::rename(at("step-00000008"), at("step-00000008.old")).expect("renamed");
    let score = place.run("eval part --device cpu");
    assert!(super::stderr(&score).contains("step-00000008.old"), "{}", super::stderr(&score));
    place.succeed(&format!("{RESUME} --name part --epochs 3 --set log_every=3"));
    let last =
        |run: &str| place.read(&format!("runs/{run}/checkpoints/step-00000012/model.safetensors"));
    assert!(last("whole") == last("part"));
}

#[cfg(unix)]
#[test]
fn two_processes_do_not_train_in_one_directory() {
    let place = Place::new();
    let mut child =
        start(&place, &format!("{LONG} --epochs 1000 --name a").replace("--epochs 4", ""));
    wait_for(&place, "runs/a", 1);
    for second in [format!("{RESUME} --name a"), format!("{TINY} --name a --force")] {
        let message = place.fail(&second, 3);
        assert!(message.contains("another process is training in runs/a"), "{message}");
    }
    // A killed process leaves the file but not the lock.
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(place.path("runs/a/lock").is_file());
    place.succeed(&format!("{TINY} --name a --force"));
}

#[cfg(unix)]
pub fn start(place: &Place, arguments: &str) -> Child {
    let mut command = place.command_in_a_terminal(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits until a run has `lines` lines of metrics.
#[cfg(unix)]
pub fn wait_for(place: &Place, run: &str, lines: usize) {
    let start = Instant::now();
    let path = place.path(&format!("{run}/metrics.jsonl"));
    while std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < lines {
        assert!(start.elapsed() < Duration::from_secs(60), "no {lines} lines in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
pub fn kill(child: &Child, signal: &str) {
    let status =
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[cfg(unix)]
#[test]
fn signals_save_and_the_rest_is_the_same() {
    let place = Place::new();
    place.succeed(&format!("{LONG} --name whole"));
    for (signal, code, lines) in [("-INT", 130, 3), ("-TERM", 143, 14), ("-HUP", 129, 8)] {
        let run = format!("stopped{signal}");
        let child = start(&place, &format!("{LONG} --name {run}"));
        wait_for(&place, &format!("runs/{run}"), lines);
        kill(&child, signal);
        let output = child.wait_with_output().expect("it ends");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("was saved"), "{text}");
        let last = format!("pixelloom train vae --resume --out runs/{run} --device cpu");
        assert_eq!(text.lines().last(), Some(&*last), "{text}");
        assert!(!place.path(&format!("runs/{run}/summary.json")).exists(), "stopped on the way");
        place.succeed(&format!("{RESUME} --name {run}"));
        place.assert_equal_runs("runs/whole", &format!("runs/{run}"));
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_resumes_from_its_last_checkpoint() {
    let place = Place::new();
    place.succeed(&format!("{LONG} --name whole"));
    let mut child = start(&place, &format!("{LONG} --name killed"));
    wait_for(&place, "runs/killed", 12);
    child.kill().expect("killed");
    child.wait().expect("ended");
    // Leftovers of a crash: half a line and half a checkpoint.
    let path = place.path("runs/killed/metrics.jsonl");
    let mut text = std::fs::read_to_string(&path).expect("text");
    text += "{\"kind\":\"train\",\"st";
    std::fs::write(&path, text).expect("written");
    std::fs::create_dir(place.path("runs/killed/checkpoints/.writing-77")).expect("made");
    place.succeed(&format!("{RESUME} --name killed"));
    place.assert_equal_runs("runs/whole", "runs/killed");
    assert!(!place.checkpoints("runs/killed").iter().any(|name| name.starts_with('.')));
}
