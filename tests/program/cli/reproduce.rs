//! `reproduce`: weights record the trainings that produced them, and those trainings can be repeated.

use serde_json::Value;

use super::comforts::object;
use super::{Place, TINY, small, stderr};

/// A chain of three stages, of which the second was stopped early: the run `c` and its exported file.
fn chain() -> Place {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b --init a --seed 5 --until 5"));
    place.succeed(&format!("{TINY} --name c --init b --seed 6"));
    place.succeed("export c --half --out c.safetensors --device cpu");
    place
}

fn stages(given: &Value) -> Vec<(u64, String)> {
    let stages = given["stages"].as_array().expect("stages");
    let stage = |stage: &Value| {
        (stage["steps"].as_u64().unwrap(), stage["weights"].as_str().unwrap().to_string())
    };
    stages.iter().map(stage).collect()
}

#[test]
fn a_chain_is_printed_and_repeated_to_the_same_weights() {
    let place = chain();
    let printed = place.succeed("reproduce c.safetensors --device cpu");
    let commands: Vec<&str> = printed.lines().filter(|l| l.starts_with("pixelloom ")).collect();
    assert_eq!(commands.len(), 4, "{printed}");
    assert!(commands[0].ends_with("--name c-again-1 --device cpu"), "{printed}");
    assert!(commands[1].contains("--init runs/c-again-1") && commands[1].contains("--until 5"));
    assert!(commands[2].contains("--init runs/c-again-2") && !commands[2].contains("--until"));
    // --run runs the printed commands and resumes an interrupted stage.
    place.succeed(&commands[0]["pixelloom ".len()..].replace("--device", "--until 3 --device"));
    let given = object(&place, "reproduce c.safetensors --device cpu --run --json");
    assert_eq!(given["largest_difference"], 0.0, "{given}");
    let figures = given["figures"].as_array().expect("figures");
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0]["original"], figures[0]["again"]);
    // The second time, nothing is left to train.
    let again = place.run("reproduce c.safetensors --device cpu --run");
    assert!(again.status.success() && !stderr(&again).contains("pixelloom train"));
}

#[test]
fn differences_from_the_original_are_reported() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed("export a --out a.safetensors --device cpu");
    // Plain loops round differently.
    let text = place.succeed("reproduce a.safetensors --device reference --run");
    assert!(text.contains("differ from the original by"), "{text}");
    // A run with the stage's name has other settings.
    place.succeed(&format!("{TINY} --name b-again-1 --seed 9"));
    std::fs::rename(place.path("a.safetensors"), place.path("b.safetensors")).unwrap();
    let refused = place.run("reproduce b.safetensors --device cpu --run");
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        stderr(&refused).contains("runs/b-again-1 is a run with other settings"),
        "{}",
        stderr(&refused)
    );
    // The images were changed.
    let place = Place::with_images();
    place.succeed(&format!("{} --name a", small("vae")));
    place.succeed("export a --out a.safetensors --device cpu");
    place.put_images("images", 6);
    let same = place.run("reproduce a.safetensors --device cpu --run");
    assert!(same.status.success() && !stderr(&same).contains("other images"), "{}", stderr(&same));
    std::fs::copy(place.path("images/00.png"), place.path("images/99.png")).unwrap();
    std::fs::rename(place.path("a.safetensors"), place.path("b.safetensors")).unwrap();
    let other = place.run("reproduce b.safetensors --device cpu --run");
    assert!(stderr(&other).contains("contains other images"), "{}", stderr(&other));
}

#[test]
fn a_card_lists_the_stages_before_its_own_and_each_names_its_weights() {
    let place = chain();
    let of_file = stages(&object(&place, "reproduce c.safetensors --json --device cpu"));
    let of_run = stages(&object(&place, "reproduce c --json --device cpu"));
    assert_eq!(of_file[..2], of_run[..2]);
    assert_eq!(of_file.iter().map(|(steps, _)| *steps).collect::<Vec<_>>(), [12, 5, 12]);
    for (run, (_, weights)) in ["a", "b"].iter().zip(&of_file) {
        let own = stages(&object(&place, &format!("reproduce {run} --json --device cpu")));
        assert_eq!(&own.last().unwrap().1, weights, "{run}");
    }
    let shown = place.run("eval -v c.safetensors --device cpu");
    let card = stderr(&shown);
    assert!(
        card.contains("stage 1   12 steps on ") && card.contains("stage 2   5 steps"),
        "{card}"
    );
    // A checkpoint outside its run has no settings, so a chain that continues from it cannot be repeated.
    let newest = place.path("runs/a/checkpoints/step-00000012");
    std::fs::rename(newest, place.path("alone")).unwrap();
    place.succeed(&format!("{TINY} --name d --init alone"));
    let refused = place.run("reproduce d");
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        stderr(&refused).contains("the settings of a stage are unknown"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn a_run_that_stops_at_a_step_is_resumed_to_the_bytes_of_an_uninterrupted_one() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name whole"));
    let stopped = place.run(&format!("{TINY} --name parts --until 7"));
    assert!(stopped.status.success(), "{}", stderr(&stopped));
    assert!(!place.path("runs/parts/summary.json").exists());
    place.succeed("train vae --name parts --resume --device cpu");
    let weights = |run: &str| {
        std::fs::read(
            place.path(&format!("runs/{run}/checkpoints/step-00000012/model.safetensors")),
        )
        .unwrap()
    };
    assert!(weights("whole") == weights("parts"));
}

#[test]
fn the_test_split_is_scored_only_on_request() {
    let place = Place::with_images();
    let train = format!("--json {} --preset binarized-mnist", small("vae"));
    let without = object(&place, &format!("{train} --name a"));
    assert!(without["test_bound"].is_null() && without["split"] == "valid", "{without}");
    let metrics = std::fs::read_to_string(place.path("runs/a/metrics.jsonl")).unwrap();
    assert!(!metrics.contains("\"split\":\"test\"") && metrics.contains("\"split\":\"valid\""));
    let asked = object(&place, &format!("{train} --name b --score-test"));
    assert!(asked["test_bound"].is_number() && asked["split"] == "test", "{asked}");
}
