//! A run that stops and goes on in another process equals one that did not stop: bytes of weights and
//! optimiser state, lines of metrics.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Place, TINY};

const RESUME: &str = "train vae --resume --device cpu";

/// Three processes of one epoch each, with other numbers of threads, against one of three.
fn parts_equal_the_whole(flags: &str) {
    let place = Place::new();
    // A part ends with a line of metrics, so a line is due there in the whole run too.
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
    // What trains it again stays on record, in a shell's words.
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
    // Settings are the run's; only its length may change.
    let message = place.fail(&format!("{RESUME} --name b --rate 0.1"), 3);
    assert!(message.contains("other settings") && message.contains("--init runs/b"), "{message}");
    let message = place.fail(&format!("{RESUME} --name b --epochs 2"), 3);
    assert!(message.contains("more --epochs"), "{message}");
}

/// Long enough to be stopped on the way.
const LONG: &str = "train vae --device cpu --hidden 16 --latent 3 --batch 100 --epochs 4 \
                    --log-every 7 --eval-every 1 --set save_every=10 --set optimizer.schedule=constant";

/// A crash between the two renames of a checkpoint that replaces another of its step.
#[test]
fn a_checkpoint_put_aside_is_gone_on_from() {
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
        assert!(message.contains("another process trains in runs/a"), "{message}");
    }
    // A killed process leaves the file, not the lock.
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(place.path("runs/a/lock").is_file());
    place.succeed(&format!("{TINY} --name a --force"));
}

#[cfg(unix)]
fn start(place: &Place, arguments: &str) -> Child {
    let mut command = place.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits until a run has `lines` lines of metrics.
#[cfg(unix)]
fn wait_for(place: &Place, run: &str, lines: usize) {
    let start = Instant::now();
    let path = place.path(&format!("{run}/metrics.jsonl"));
    while std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < lines {
        assert!(start.elapsed() < Duration::from_secs(60), "no {lines} lines in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
fn kill(child: &Child, signal: &str) {
    let status =
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[cfg(unix)]
#[test]
fn signals_save_and_the_rest_is_the_same() {
    let place = Place::new();
    place.succeed(&format!("{LONG} --name whole"));
    for (signal, code, lines) in [("-INT", 130, 3), ("-TERM", 143, 14)] {
        let run = format!("stopped{signal}");
        let child = start(&place, &format!("{LONG} --name {run}"));
        wait_for(&place, &format!("runs/{run}"), lines);
        kill(&child, signal);
        let output = child.wait_with_output().expect("it ends");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("is saved") && text.contains("--resume"), "{text}");
        assert!(!place.path(&format!("runs/{run}/summary.json")).exists(), "stopped on the way");
        place.succeed(&format!("{RESUME} --name {run}"));
        place.assert_equal_runs("runs/whole", &format!("runs/{run}"));
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint() {
    let place = Place::new();
    place.succeed(&format!("{LONG} --name whole"));
    let mut child = start(&place, &format!("{LONG} --name killed"));
    wait_for(&place, "runs/killed", 12);
    child.kill().expect("killed");
    child.wait().expect("ended");
    // What a crash leaves: half a line, half a checkpoint.
    let path = place.path("runs/killed/metrics.jsonl");
    let mut text = std::fs::read_to_string(&path).expect("text");
    text += "{\"kind\":\"train\",\"st";
    std::fs::write(&path, text).expect("written");
    std::fs::create_dir(place.path("runs/killed/checkpoints/.writing-77")).expect("made");
    place.succeed(&format!("{RESUME} --name killed"));
    place.assert_equal_runs("runs/whole", "runs/killed");
    assert!(!place.checkpoints("runs/killed").iter().any(|name| name.starts_with('.')));
}
