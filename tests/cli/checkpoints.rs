//! Checkpoints that are missing, damaged or of another model are refused, never half believed.

use super::{Place, TINY};

/// Ways to read a checkpoint, given the run's name.
const READERS: [&str; 3] =
    ["eval a --device cpu", "sample a --device cpu", "train vae --resume --name a --device cpu"];

#[test]
fn damage_is_found() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let last = "runs/a/checkpoints/step-00000012";
    let model = place.read(&format!("{last}/model.safetensors"));
    let path = place.path(&format!("{last}/model.safetensors"));
    let header = u64::from_le_bytes(model[..8].try_into().expect("8 bytes")) as usize;
    let text = String::from_utf8_lossy(&model[..8 + header]).into_owned();
    let at = |part: &str| text.find(part).expect("in the header") + part.len();

    let flip = |byte: usize| {
        let mut bytes = model.clone();
        bytes[byte] ^= 1;
        bytes
    };
    // A digit of a setting: still a header in good order, but another model.
    let floor = flip(at("log_variance_floor\\\":-1"));
    let cases = [
        ("the length of the header", flip(0)),
        ("the header", flip(9)),
        ("a setting", floor),
        ("a name", flip(at("\"decoder.hidden.bia"))),
        ("the first weight", flip(8 + header)),
        ("the last weight", flip(model.len() - 1)),
        ("a cut", model[..model.len() - 4].to_vec()),
        ("a deep cut", model[..20].to_vec()),
        ("nothing", Vec::new()),
        ("more", [model.clone(), vec![0; 4]].concat()),
    ];
    for (what, bytes) in cases {
        std::fs::write(&path, bytes).expect("written");
        for reader in READERS {
            let message = place.fail(reader, 5);
            assert!(message.contains("model.safetensors"), "{what}, {reader}: {message}");
        }
    }
    std::fs::write(&path, &model).expect("written");
    place.succeed(READERS[0]);

    let path = place.path(&format!("{last}/state.safetensors"));
    let mut state = place.read(&format!("{last}/state.safetensors"));
    let end = state.len() - 1;
    state[end] ^= 1;
    std::fs::write(&path, state).expect("written");
    let message = place.fail(READERS[2], 5);
    assert!(message.contains("state.safetensors"), "{message}");
    // What the message advises works.
    std::fs::remove_dir_all(place.path(last)).expect("removed");
    place.succeed(READERS[2]);
}

#[test]
fn another_models_weights_are_refused() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b --set model.method=wake-sleep --set save_every=1"));
    // Weights and state that belong to different settings.
    let state = "checkpoints/step-00000012/state.safetensors";
    let [from, to] = ["b", "a"].map(|run| place.path(&format!("runs/{run}/{state}")));
    std::fs::copy(from, to).expect("copied");
    let message = place.fail("train vae --resume --name a --device cpu", 3);
    assert!(message.contains("other settings"), "{message}");
}

#[test]
fn missing_checkpoints() {
    let place = Place::new();
    let message = place.fail("eval nowhere --device cpu", 5);
    assert!(message.contains("nowhere") && message.contains("train"), "{message}");
    assert!(place.fail("train vae --resume --name nowhere", 5).contains("runs/nowhere"));
    place.succeed(&format!("{TINY} --name a"));
    std::fs::remove_dir_all(place.path("runs/a/checkpoints")).expect("removed");
    // Half-written ones don't count.
    std::fs::create_dir_all(place.path("runs/a/checkpoints/.writing-1")).expect("made");
    let message = place.fail("train vae --resume --name a --device cpu", 5);
    assert!(message.contains("no complete checkpoint"), "{message}");
}

#[test]
fn the_best_is_kept() {
    let place = Place::new();
    // So high a rate that the bound soon rises.
    let tiny = TINY.replace("--rate 0.01", "--rate 0.1");
    place.succeed(&format!("{tiny} --name a --set keep=1"));
    let text = String::from_utf8(place.read("runs/a/metrics.jsonl")).expect("text");
    let best = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|v| v["split"] == "valid")
        .map(|v| (v["bound"].as_f64().expect("a number"), v["step"].as_u64().expect("a step")))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("evaluations");
    let mut expected = vec![format!("step-{:08}", best.1), "step-00000012".to_string()];
    expected.dedup();
    assert_eq!(place.checkpoints("runs/a"), expected);
    let score = place.succeed("eval a --best --split valid --device cpu");
    assert!(score.starts_with(&format!("valid bound: {:.2} ", best.0)), "{score}, {best:?}");
}
