//! The bundled models, and the checkpoints for fine-tuning in `benches/checkpoints`, have the scores on their cards.

use std::path::Path;

use pixelloom::Device;
use pixelloom::data;
use pixelloom::run::Checkpoint;
use pixelloom::run::pretrained::PRETRAINED;
use pixelloom::settings::{Settings, presets, view};
use pixelloom::train::evaluate;

/// Instruction sets add in different orders, so the last bits of a score differ.
const NATS: f64 = 0.005;

/// All models with their names. A package does not contain those of `benches/checkpoints`.
fn models() -> Vec<(String, Checkpoint)> {
    let inside = PRETRAINED.iter().map(|model| (model.name.to_string(), model.open().unwrap()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/checkpoints");
    if !folder.is_dir() {
        println!("skipped: no {}", folder.display());
    }
    let beside = std::fs::read_dir(folder).into_iter().flatten().map(|entry| {
        let path = entry.unwrap().path();
        (path.display().to_string(), Checkpoint::open(&path).unwrap())
    });
    inside.chain(beside).collect()
}

/// Measures again each score of a card on the data set `wanted`.
fn scores_are_those_of_the_cards(wanted: &str, dir: &Path) {
    for (name, checkpoint) in models() {
        let card = checkpoint.card().unwrap().unwrap();
        // The fixed binarization has no labels.
        if wanted == "binarized-mnist" && checkpoint.model.classes().is_some() {
            continue;
        }
        let figure = card.figures.iter().find(|figure| figure.data == wanted);
        let figure = figure.unwrap_or_else(|| panic!("{name}: no figure of {wanted}"));
        let mode = (wanted == checkpoint.data.name).then_some(checkpoint.data.binarization);
        let data = view(&checkpoint.model, data::open(wanted, mode, dir).unwrap()).unwrap();
        let found = evaluate::figure(&checkpoint, &data, &Device::cpu(), &|_, _| {}).unwrap();
        assert_eq!((&found.what, &found.name), (&figure.what, &figure.name), "{name}");
        let apart = (found.nats - figure.nats).abs();
        assert!(apart < NATS, "{name}: {} on the card, {} found", figure.nats, found.nats);
    }
}

#[test]
fn on_the_embedded_digits() {
    scores_are_those_of_the_cards("digits", Path::new("data"));
}

/// `cargo test --release --test program -- --ignored pretrained`: all 10,000 test images, takes a few minutes.
#[test]
#[ignore = "takes minutes"]
fn on_the_whole_test_split_of_binarized_mnist() {
    let shared = std::env::var("PIXELLOOM_SHARED").unwrap_or("../shared".into());
    let dir = Path::new(&shared).join("data");
    if !dir.join("binarized_mnist").is_dir() {
        println!("skipped: no {}", dir.join("binarized_mnist").display());
        return;
    }
    scores_are_those_of_the_cards("binarized-mnist", &dir);
}

/// A score on another data set than that of the last training needs a note on the card: the weights may have been
/// trained on images that this set holds out.
#[test]
fn a_card_notes_when_the_weights_come_from_several_data_sets() {
    for (name, checkpoint) in models() {
        let card = checkpoint.card().unwrap().unwrap();
        let settings: toml::Table = card.settings.parse().unwrap();
        let trained = settings["data"]["name"].as_str().unwrap();
        let elsewhere = card.figures.iter().any(|f| f.data != trained && f.data != "digits");
        assert!(!elsewhere || card.note.is_some(), "{name} says nothing of its other data");
        if let Some(note) = &card.note {
            assert!(card.to_string().contains(note), "{name}");
        }
    }
}

#[test]
fn a_card_describes_the_weights() {
    for (name, checkpoint) in models() {
        let card = checkpoint.card().unwrap().unwrap();
        let built = checkpoint.load(&Device::cpu()).unwrap();
        assert_eq!(card.model, checkpoint.model.kind(), "{name}");
        assert_eq!(card.parameters, built.model().parameter_count(), "{name}");
        assert_eq!(card.steps, checkpoint.step, "{name}");
        assert!(card.data.contains(&checkpoint.data.name), "{}", card.data);
        // The command's settings are those of the weights.
        let words = card.command.split_once(" --preset ").unwrap().1;
        let (preset, rest) = words.split_once(' ').unwrap_or((words, ""));
        let mut settings = Settings::new(&presets::find(preset).unwrap().config());
        let rest = rest.split(" --name ").next().unwrap().replace("--init ", "--set init=");
        assert_eq!(rest.contains("init="), words.contains(" --name "), "{}", card.command);
        let assignments = rest.split("--set ").map(str::trim).filter(|word| !word.is_empty());
        assignments.for_each(|assignment| settings.set(assignment).unwrap());
        let trained = settings.config().unwrap();
        assert_eq!(trained.model, checkpoint.model, "{name}");
        assert_eq!(trained.data.name, checkpoint.data.name);
        let shown = card.to_string();
        for part in [&card.command, &card.figures[0].text, &card.data, "parameters"] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }
}

/// Keeps clones and downloads small.
#[test]
fn all_are_smaller_than_eight_megabytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run/pretrained");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let sizes: Vec<u64> = files.map(|file| file.metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), PRETRAINED.len(), "each file is a model");
    assert!(sizes.iter().sum::<u64>() < 8_000_000, "{sizes:?}");
}
