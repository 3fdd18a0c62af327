//! A run is resumed only on its own images and with its own weights; scores on other images than those of the training
//! come with a warning.

use std::path::Path;

use pixelloom::run::{Checkpoint, checkpoint};
use pixelloom::{Device, Tensor};

use super::{Place, TINY, small, stderr};

const RESUME: &str = "train vae --resume --device cpu --name a";

fn write_image(path: &Path, number: u32) {
    let file = std::fs::File::create(path).expect("made");
    let mut encoder = png::Encoder::new(file, 6, 6);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("written");
    let bytes: Vec<u8> = (0..36).map(|j| (number * 31 + j * 7) as u8).collect();
    writer.write_image_data(&bytes).expect("written");
}

/// Trains two of three epochs on the folder `images`.
fn begun() -> Place {
    let place = Place::with_images();
    place.succeed(&format!("{} --name a", small("vae").replace("--epochs 3", "--epochs 2")));
    place
}

#[test]
fn a_run_is_not_resumed_on_other_images() {
    let place = begun();
    let image = |name: &str| place.path(&format!("images/{name}.png"));
    let rename = |from: &str, to: &str| std::fs::rename(image(from), image(to)).expect("renamed");
    let swap = || {
        rename("07", "kept");
        rename("21", "07");
        rename("kept", "21");
    };
    let original = place.read("images/05.png");
    let before = place.metrics("runs/a");
    let refused = |what: &str| {
        let message = place.fail(&format!("{RESUME} --epochs 3"), 4);
        for part in [
            "runs/a/checkpoints/step-00000008 was trained on other images: train ",
            "; folder:images contains train ",
            "restore the images, or start a new run from its weights: ",
        ] {
            assert!(message.contains(part), "{what}: {part} is not in {message}");
        }
        assert!(message.ends_with("pixelloom train vae --init runs/a --name NEW"), "{message}");
        // Both fingerprints show counts and eight digits for each split.
        assert_eq!(message.matches(" (").count(), 6, "{message}");
        assert_eq!(place.metrics("runs/a"), before, "{what}: something was written");
    };
    (40..51).for_each(|i| write_image(&image(&i.to_string()), i));
    refused("11 are added");
    (40..51).for_each(|i| std::fs::remove_file(image(&i.to_string())).expect("removed"));
    std::fs::remove_file(image("05")).expect("removed");
    refused("one is removed");
    write_image(&image("05"), 5);
    refused("one is changed");
    std::fs::write(image("05"), &original).expect("written");
    swap();
    refused("two change places");
    swap();
    place.succeed(&format!("{RESUME} --epochs 3"));
    place.succeed(&format!("{} --name whole", small("vae")));
    place.assert_equal_runs("runs/whole", "runs/a");
}

/// All weights of a run's last checkpoint.
fn weights(place: &Place, run: &str) -> Vec<(String, Vec<u32>)> {
    let last = place.checkpoints(run).pop().expect("a checkpoint");
    let checkpoint = Checkpoint::open(&place.path(&format!("{run}/checkpoints/{last}")));
    let model = checkpoint.expect("whole").load(&Device::cpu()).expect("a model");
    let bits = |t: Tensor| t.to_vec().expect("read").into_iter().map(f32::to_bits).collect();
    let parameters = model.model().parameters();
    parameters.into_iter().map(|(name, of)| (name, bits(of.value()))).collect()
}

#[test]
fn the_folder_of_the_images_may_move() {
    let place = begun();
    place.succeed(&format!("{} --name whole", small("vae")));
    std::fs::rename(place.path("images"), place.path("pictures")).expect("moved");
    assert!(place.fail(&format!("{RESUME} --epochs 3"), 4).contains("images"));
    let absolute = place.path("pictures").display().to_string();
    // Limit and binarization are still those of the run.
    place.succeed(&format!("{RESUME} --epochs 3 --data folder:{absolute}"));
    assert!(weights(&place, "runs/whole") == weights(&place, "runs/a"));
    place.succeed(&format!("{RESUME} --data folder:pictures"));
    // Another kind of set is refused.
    let message = place.fail(&format!("{RESUME} --data digits"), 3);
    assert!(message.contains("data.name: "), "{message}");
}

#[test]
fn scores_on_other_images_come_with_a_warning() {
    let place = begun();
    place.succeed("export a --device cpu --out a.safetensors");
    let commands = [
        "eval a --device cpu",
        "eval a.safetensors --device cpu",
        "export a --device cpu --out b.safetensors",
    ];
    let said = |command: &str| {
        let output = place.run(command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        stderr(&output)
    };
    for command in commands {
        let text = said(command);
        assert!(!text.contains("other images") && !text.contains("cannot be checked"), "{text}");
    }
    write_image(&place.path("images/40.png"), 40);
    for command in commands {
        let text = said(command);
        let warnings: Vec<&str> =
            text.lines().filter(|line| line.starts_with("warning: ")).collect();
        let [warning] = warnings[..] else { panic!("{command}: {text}") };
        for part in
            ["folder:images contains other images than in training", "may have been trained on"]
        {
            assert!(warning.contains(part), "{part} is not in {warning}");
        }
    }
    // Another set is another set.
    std::fs::rename(place.path("images"), place.path("pictures")).expect("moved");
    assert!(!said("eval a --device cpu --data folder:pictures").contains("other images"));
}

/// The first part of a run and all of its images are the same set, whatever is trained on.
#[test]
fn a_limit_makes_no_other_images() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let output = place.run("eval a --device cpu --split train");
    assert!(output.status.success() && !stderr(&output).contains("other images"));
}

#[test]
fn weights_of_another_checkpoint_are_refused() {
    let place = Place::with_images();
    for seed in [1, 2] {
        place.succeed(&format!("{} --seed {seed} --name run-{seed}", small("vae")));
    }
    let file = |seed| format!("runs/run-{seed}/checkpoints/step-00000012/model.safetensors");
    std::fs::copy(place.path(&file(2)), place.path(&file(1))).expect("copied");
    let message = place.fail("train vae --resume --device cpu --name run-1", 5);
    let part = "does not belong to state.safetensors next to it";
    assert!(message.contains(part) && message.contains("--resume=auto"), "{message}");
    // Its weights alone are whole.
    place.succeed("eval run-1 --device cpu");
}

/// A run of two steps that the program made before it stored settings, fingerprints and checksums in checkpoints:
/// `train vae --preset digits --hidden 1 --latent 1 --optimizer sgd --rate 0.001 --batch 100 --epochs 1 --log-every 1
/// --eval-every 1 --set data.limit=200 --set optimizer.schedule=constant --set keep=1`.
fn old_run() -> Place {
    let place = Place::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/cli/old_run");
    for below in
        ["config.toml", "metrics.jsonl", "step/model.safetensors", "step/state.safetensors"]
    {
        let to = place.path("runs/a").join(below.replace("step/", "checkpoints/step-00000002/"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        std::fs::copy(from.join(below), to).expect("copied");
    }
    std::fs::create_dir(place.path("runs/a/samples")).expect("made");
    place
}

#[test]
fn an_old_run_resumes_with_a_note() {
    let place = old_run();
    let before = place.metrics("runs/a");
    let note = "note: runs/a predates fingerprints of the images";
    let output = place.run(&format!("{RESUME} --epochs 2"));
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with(note)).count(), 1, "{said}");
    // What it had before its checkpoint, then the second epoch.
    let after = place.metrics("runs/a");
    assert_eq!(after[..4], before[..4], "{after:?}");
    assert_eq!(after.len(), 9, "{after:?}");
    // From now on its images are known.
    let last = place.path("runs/a/checkpoints/step-00000004");
    let (weights, _) = checkpoint::open(&last).expect("whole");
    assert!(weights.data.fingerprint.is_some());
    assert!(!stderr(&place.run(RESUME)).contains("note: "));
}

#[test]
fn an_old_run_keeps_its_settings() {
    let place = old_run();
    let message = place.fail(&format!("{RESUME} --epochs 2 --rate 0.5 --batch 50"), 3);
    for part in ["optimizer.rate: 0.001 in the run, 0.5 requested", "batch: 100 in the run, 50"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    // Their only witness is the hash in its checkpoint.
    let config = String::from_utf8(place.read("runs/a/config.toml")).expect("text");
    let changed = config.replace("rate = 0.001", "rate = 0.002");
    assert_ne!(changed, config);
    std::fs::write(place.path("runs/a/config.toml"), changed).expect("written");
    let message = place.fail(&format!("{RESUME} --epochs 2"), 3);
    assert!(message.contains("other settings than those in runs/a/config.toml"), "{message}");
    place.succeed("eval a --device cpu");
}

#[test]
fn an_old_model_is_scored_with_a_note() {
    let place = old_run();
    for source in ["a", "runs/a/checkpoints/step-00000002/model.safetensors"] {
        let output = place.run(&format!("eval {source} --device cpu"));
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.matches("its data cannot be checked").count(), 1, "{said}");
    }
    // What comes with the program needs no note.
    let said = stderr(&place.run("eval vae --device cpu"));
    assert!(!said.contains("cannot be checked"), "{said}");
}
