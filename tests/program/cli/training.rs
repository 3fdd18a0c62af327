//! Settings of training: early stopping, scoring the best weights, the weight of the KL divergence, schedules that do not
//! fit, the list of runs.

use serde_json::Value;

use super::Place;

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn summary(place: &Place, run: &str) -> Value {
    object(&String::from_utf8(place.read(&format!("runs/{run}/summary.json"))).expect("text"))
}

/// The learning rate is 0 after the first epoch, so no later evaluation is better.
#[test]
fn a_run_without_patience_left_stops_and_scores_its_best_weights() {
    let place = Place::with_images();
    let run = super::small("vae")
        .replace("--epochs 3", "--epochs 9")
        .replace("schedule=constant", "schedule=step");
    let run =
        format!("{run} --set optimizer.schedule.every=4 --set optimizer.schedule.factor=1e-30");
    place.succeed(&format!("{run} --name whole"));
    assert_eq!(summary(&place, "whole")["steps"], 36);
    let output = place.run(&format!("{run} --patience 2 --score-best --name a"));
    assert!(output.status.success());
    let said = super::stderr(&output);
    assert!(
        said.contains("stopped early at step 12 of 36: 2 evaluations without a better"),
        "{said}"
    );
    let found = summary(&place, "a");
    assert_eq!((&found["steps"], &found["best_step"]), (&Value::from(12), &Value::from(4)));
    let report = String::from_utf8(place.read("runs/a/report.html")).expect("text");
    assert!(report.contains("It stopped early at step 12 of 36"));
    // A finished run stays finished, and a killed run ends in the same way after it is resumed.
    place.succeed("train vae --device cpu --resume --name a");
    assert_eq!(summary(&place, "a")["steps"], 12);
    place.succeed(&format!("{run} --patience 2 --score-best --until 6 --name b"));
    place.succeed("train vae --device cpu --resume --name b");
    let score = |run: &str| summary(&place, run)["valid_bound"].as_f64().expect("a number");
    assert_eq!(score("a"), score("b"));
    assert_eq!(summary(&place, "b")["stopped"], found["stopped"]);

    let runs = object(&place.succeed("runs --json"));
    let names: Vec<_> =
        runs["runs"].as_array().expect("a list").iter().map(|run| &run["path"]).collect();
    assert_eq!(names, ["runs/a", "runs/b", "runs/whole"]);
    assert_eq!(
        (&runs["runs"][0]["best_step"], &runs["runs"][0]["finished"]),
        (&4.into(), &true.into())
    );
    assert!(place.succeed("runs").contains("best valid"));
    assert_eq!(place.succeed("runs --runs elsewhere"), "");
}

/// With a high learning rate the last weights are worse than the best ones, which are scored.
#[test]
fn the_best_weights_are_scored() {
    let place = Place::with_images();
    let run = super::small("vae").replace("--rate 0.01", "--rate 1");
    let run = run.replace("--epochs 3", "--epochs 8");
    place.succeed(&format!("{run} --score-best --name a"));
    let found = summary(&place, "a");
    let number = |key: &str| found[key].as_f64().expect("a number");
    assert_eq!(found["scored_step"], found["best_step"]);
    assert_eq!(number("valid_bound"), number("best_valid_bound"));
    let scored =
        object(&place.succeed("eval a --best --split valid --device cpu --threads 2 --json"));
    assert_eq!(scored["means"]["bound"].as_f64(), Some(number("valid_bound")));
}

/// The loss weights the KL divergence, scores do not, and a resumed run continues with the weight of its step.
#[test]
fn the_kl_divergence_has_a_weight() {
    let place = Place::with_images();
    for kind in ["vae", "draw"] {
        let run = super::small(kind).replace("--epochs 3", "--epochs 2");
        let losses = |name: &str| -> Vec<f64> {
            let text =
                String::from_utf8(place.read(&format!("runs/{name}/metrics.jsonl"))).expect("text");
            let lines = text.lines().map(object).filter(|line| line["kind"] == "train");
            lines.map(|line| line["loss"].as_f64().expect("a loss")).collect()
        };
        place.succeed(&format!("{run} --name {kind}-1"));
        place.succeed(&format!("{run} --beta 1 --name {kind}-same"));
        assert_eq!(losses(&format!("{kind}-1")), losses(&format!("{kind}-same")));
        place.succeed(&format!("{run} --beta 0 --name {kind}-0"));
        place.succeed(&format!("{run} --kl-warmup 6 --name {kind}-warm"));
        place.succeed(&format!("{run} --kl-warmup 6 --until 3 --name {kind}-cut"));
        place.succeed(&format!("train {kind} --device cpu --threads 2 --resume --name {kind}-cut"));
        place.assert_equal_runs(&format!("runs/{kind}-warm"), &format!("runs/{kind}-cut"));
        let [one, zero, warm] = ["1", "0", "warm"].map(|name| losses(&format!("{kind}-{name}")));
        assert!(zero[0] < warm[0] && warm[0] < one[0], "{kind}: {zero:?} {warm:?} {one:?}");
        let sum =
            object(&place.succeed(&format!("eval {kind}-0 --device cpu --json")))["means"].clone();
        let of = |key: &str| sum[key].as_f64().expect("a number");
        assert!((of("bound") - of("reconstruction") - of("kl")).abs() < 1e-3, "{sum}");
    }
    for (arguments, part) in [
        ("vae --beta=-1", "model.beta = -1"),
        ("vae --beta 2 --set model.method=wake-sleep", "leave them out"),
        ("pixelcnn --beta 2", "does not apply to pixelcnn"),
    ] {
        let message = place.fail(&format!("train {arguments}"), 3);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn schedules_that_do_not_fit_are_pointed_out() {
    let place = Place::with_images();
    let run = super::small("vae").replace("--set optimizer.schedule=constant", "");
    let cosine = "--set optimizer.schedule.kind=cosine --set optimizer.schedule.total";
    for (more, warned) in [
        (
            format!("{cosine}=10"),
            "optimizer.schedule.total = 10: the rate is 0 from step 10 of 12 on",
        ),
        (format!("{cosine}=99"), "optimizer.schedule.total = 99: the run ends at step 12"),
        ("--set optimizer.warmup=500".into(), "optimizer.warmup = 500: the run has 12 steps"),
        ("--kl-warmup 12".into(), "model.kl_warmup = 12: the run has 12 steps"),
        (format!("{cosine}=0 --set optimizer.warmup=3"), ""),
    ] {
        let output = place.run(&format!("{run} {more} --dry-run -q"));
        let said = super::stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.is_empty(), warned.is_empty(), "{more}: {said}");
        assert!(said.contains(warned), "{more}: {said}");
    }
}

/// Quiet commands print results only; a card is one line unless the user wants more.
#[test]
fn what_is_said_follows_quiet_and_verbose() {
    let place = Place::new();
    let lines = |more: &str| {
        let output = place.run(&format!("sample vae --count 1 --device cpu --threads 1 {more}"));
        assert!(output.status.success());
        super::stderr(&output).lines().map(String::from).collect::<Vec<_>>()
    };
    let usual = lines("");
    assert_eq!(usual.len(), 2, "{usual:?}");
    assert!(usual[0].starts_with("pretrained/vae: vae, ") && usual[1].starts_with("device: cpu"));
    assert_eq!(lines("-q"), [""; 0]);
    assert!(lines("-v").len() > 6);
    let mut command = place.command("sample vae --count 1 --out e.png");
    command.env("PIXELLOOM_DEVICE", "cpu").env("PIXELLOOM_THREADS", "3");
    let output = command.output().expect("it runs");
    assert!(super::stderr(&output).contains("device: cpu, 3 threads (asked for)"));
    let mut command = place.command("data mnist");
    let output = command.env("PIXELLOOM_DATA_DIR", "nowhere").output().expect("it runs");
    assert!(super::stderr(&output).contains("nowhere"), "{}", super::stderr(&output));
}
