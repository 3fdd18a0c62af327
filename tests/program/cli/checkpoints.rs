//! Checkpoints that are missing, damaged or of another model are rejected and never partly used.

use std::path::{Path, PathBuf};

use pixelloom::run::{Checkpoint, checkpoint};
use pixelloom::{Device, Error, Tensor};

use super::comforts::object;
use super::{Place, TINY, small, stderr};

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
    // Another digit in a setting: the header is still valid but describes another model.
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
    assert!(message.contains("--resume=auto"), "{message}");
    place.succeed(&READERS[2].replace("--resume", "--resume=auto"));
}

/// A checkpoint is rejected, and its file named, whichever byte changes and wherever a file is truncated.
#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let place = Place::with_images();
    let tiny = small("vae").replace("--hidden 4 --latent 2", "--hidden 2 --latent 1");
    place.succeed(&format!("{tiny} --name a --epochs 1").replace("--epochs 3", ""));
    let dir = place.path("runs/a/checkpoints/step-00000004");
    checkpoint::open(&dir).map(drop).expect("it is whole");
    for file in ["model.safetensors", "state.safetensors"] {
        let path = dir.join(file);
        let whole = std::fs::read(&path).expect("read");
        assert!(whole.len() < 20_000, "{file}: {} bytes are many", whole.len());
        let refused = |what: &dyn std::fmt::Display, bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            let Err(error) = checkpoint::open(&dir) else { panic!("{file}, {what}: believed") };
            let Error::Checkpoint(message) = &error else { panic!("{file}, {what}: {error}") };
            assert!(message.contains(file) && error.exit_code() == 5, "{what}: {message}");
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            // Flips the lowest bit, turns spaces into line breaks, flips the highest bit, flips all bits.
            for change in [0x01, b' ' ^ b'\n', 0x80, 0xff] {
                bytes[at] = whole[at] ^ change;
                refused(&format!("byte {at} ^ {change}"), &bytes);
            }
            refused(&format!("cut at {at}"), &whole[..at]);
        }
        std::fs::remove_file(&path).expect("removed");
        let Err(Error::Checkpoint(message)) = checkpoint::open(&dir) else { panic!("{file}") };
        assert!(message.contains(file), "{message}");
        std::fs::write(&path, &whole).expect("written");
    }
    checkpoint::open(&dir).map(drop).expect("it is whole again");
    // Two intact files that do not belong together.
    let other = place.path("runs/a/checkpoints/step-00000003/state.safetensors");
    std::fs::copy(other, dir.join("state.safetensors")).expect("copied");
    let Err(Error::Checkpoint(message)) = checkpoint::open(&dir) else { panic!("mixed") };
    assert!(message.contains("of step 4") && message.contains("of step 3"), "{message}");
}

/// A run may start from the weights of another and takes over its sizes; it can be resumed like any run.
#[test]
fn a_run_starts_from_the_weights_of_another() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let begin = "train vae --device cpu --init a --optimizer sgd --set optimizer.schedule=constant --batch 60 \
                 --eval-every 1 --log-every 2 --set data.limit=200 --set keep=9";
    for (name, epochs) in [("parts", 1), ("whole", 2)] {
        place.succeed(&format!("{begin} --epochs {epochs} --name {name}"));
    }
    let weights = |below: &str| {
        let model = Checkpoint::open(&place.path(&format!("runs/{below}"))).expect("it is whole");
        let model = model.load(&Device::cpu()).expect("it is a model");
        let parameters = model.model().parameters();
        let bits =
            |tensor: Tensor| tensor.to_vec().expect("read").into_iter().map(f32::to_bits).collect();
        parameters.into_iter().map(|(name, of)| (name, bits(of.value()))).collect::<Vec<_>>()
    };
    let last: Vec<(String, Vec<u32>)> = weights("a/checkpoints/step-00000012");
    assert!(weights("whole/checkpoints/step-00000000") == last, "it begins with other weights");
    assert!(weights("whole/checkpoints/step-00000008") != last, "it learns nothing");
    // A resumed run no longer needs the initial weights.
    std::fs::remove_dir_all(place.path("runs/a")).expect("removed");
    place.succeed("train vae --resume --device cpu --epochs 2 --name parts");
    place.assert_equal_runs("runs/whole", "runs/parts");
    let shown = place.succeed("config show diagbilstm --init diagbilstm --layers 5");
    let shown = shown.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for line in [
        "init = \"diagbilstm\" # --init",
        "hidden = 16 # --init",
        "layers = 5 # --layers",
        "name = \"digits\" # preset digits-diagbilstm",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[test]
fn resume_auto_uses_the_newest_intact_checkpoint() {
    let place = Place::with_images();
    let small = format!("{} --set keep=3", small("vae"));
    place.succeed(&format!("{small} --name whole"));
    place.succeed(&format!("{small} --name a"));
    let at = |below: &str| place.path(&format!("runs/a/checkpoints/{below}"));
    // The newest lacks a file, the previous one has a wrong byte.
    std::fs::remove_file(at("step-00000012/state.safetensors")).expect("removed");
    let path = at("step-00000011/model.safetensors");
    let mut bytes = std::fs::read(&path).expect("read");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let plain = "train vae --resume --device cpu --name a";
    for newest in [plain, &plain.replace("--resume", "--resume=newest")] {
        let message = place.fail(newest, 5);
        let named = "step-00000012/state.safetensors cannot be read";
        assert!(message.contains(named) && message.contains("--resume=auto"), "{message}");
    }
    place.fail(&plain.replace("--resume", "--resume auto"), 2);
    let auto = plain.replace("--resume", "--resume=auto");
    let output = place.run(&auto);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "step-00000012/state.safetensors cannot be read",
        "step-00000011/model.safetensors is damaged",
        "resuming from runs/a/checkpoints/step-00000010",
        "step-00000012.damaged",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let steps = |run: &str| {
        let mut names = place.checkpoints(run);
        names.retain(|name| !name.ends_with(".damaged"));
        names
    };
    assert_eq!(steps("runs/a"), steps("runs/whole"));
    for name in ["step-00000012.damaged", "step-00000011.damaged"] {
        std::fs::remove_dir_all(at(name)).expect("it was kept");
    }
    place.assert_equal_runs("runs/whole", "runs/a");
    // Without an intact checkpoint, the run cannot be resumed.
    for name in place.checkpoints("runs/a") {
        std::fs::remove_file(at(&format!("{name}/model.safetensors"))).expect("removed");
    }
    let message = place.fail(&auto, 5);
    assert!(
        message.contains("all earlier checkpoints") && message.contains("--force"),
        "{message}"
    );
}

#[test]
fn weights_of_another_model_are_rejected() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    place.succeed(&format!("{TINY} --name b --set model.method=wake-sleep --set save_every=1"));
    // Weights and state that belong to different settings.
    let state = "checkpoints/step-00000012/state.safetensors";
    let [from, to] = ["b", "a"].map(|run| place.path(&format!("runs/{run}/{state}")));
    std::fs::copy(from, to).expect("copied");
    let message = place.fail("train vae --resume --name a --device cpu", 5);
    assert!(message.contains("does not belong to state.safetensors"), "{message}");
}

#[test]
fn missing_checkpoints() {
    let place = Place::new();
    let message = place.fail("eval nowhere --device cpu", 5);
    assert!(message.contains("nowhere") && message.contains("train"), "{message}");
    assert!(place.fail("train vae --resume --name nowhere", 5).contains("runs/nowhere"));
    place.succeed(&format!("{TINY} --name a"));
    std::fs::remove_dir_all(place.path("runs/a/checkpoints")).expect("removed");
    // Partly written checkpoints do not count.
    std::fs::create_dir_all(place.path("runs/a/checkpoints/.writing-1")).expect("made");
    let message = place.fail("train vae --resume --name a --device cpu", 5);
    assert!(message.contains("no complete checkpoint"), "{message}");
}

#[test]
fn the_best_is_kept() {
    let place = Place::new();
    // The rate is so high that the bound soon rises.
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

/// Weights in half precision are used like others, and the card has their scores.
#[test]
fn an_export_of_half_precision() {
    let place = Place::new();
    place.succeed(&format!("{TINY} --name a"));
    let export = "export a --device cpu --out";
    assert!(!place.succeed(&format!("{export} whole.safetensors")).contains("half"));
    let said = place.succeed(&format!("{export} half.safetensors --half"));
    assert!(said.contains(" parameters in half precision\n"), "{said}");
    let [whole, half] =
        ["whole", "half"].map(|name| place.read(&format!("{name}.safetensors")).len());
    assert!(half < whole && whole < 2 * half, "{whole} bytes, {half}");
    // Rounding the weights changes the last digits of the score.
    let figure = |arguments: &str, at: &str| {
        object(&place, &format!("{arguments} --json"))
            .pointer(at)
            .and_then(|nats| nats.as_f64())
            .expect("a figure")
    };
    let on_card = "/card/figures/0/nats";
    let rounded = figure(&format!("{export} again.safetensors --half"), on_card);
    assert_eq!(rounded, figure("eval half.safetensors --device cpu", "/means/bound"));
    assert_ne!(rounded, figure(&format!("{export} other.safetensors"), on_card));
    place.succeed("train vae --device cpu --init half.safetensors --epochs 1 --name b");
}

/// The name of a run or of a bundled model may also be that of a folder, for example of the images.
#[test]
fn folders_of_something_else_hide_no_model() {
    let place = Place::with_images();
    for folder in ["a", "vae"] {
        std::fs::create_dir(place.path(folder)).expect("made");
    }
    place.succeed(&format!("{} --name a", small("vae")));
    place.succeed("eval a --device cpu");
    place.succeed("sample vae --count 1 --device cpu");
    let message = place.fail("eval images --device cpu", 5);
    assert!(message.contains("neither a run nor a checkpoint"), "{message}");
}

/// Reading the images of a folder may take long, so it happens once, and so does what is said about them.
#[test]
fn an_export_opens_its_data_set_once() {
    let place = Place::with_images();
    place.succeed(&format!("{} --name a", small("vae")));
    std::fs::write(place.path("images/notes.txt"), "").expect("written");
    let output = place.run("export a --out a.safetensors --device cpu");
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("ignored 1 entry: notes.txt").count(), 1, "{said}");
}

/// The data of a run may be at another path when it is exported.
#[test]
fn an_export_reads_the_data_where_it_is_told() {
    let shared = std::env::var_os("PIXELLOOM_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if !shared.join("data/freyface").is_dir() {
        println!("skipped: no {}", shared.join("data/freyface").display());
        return;
    }
    let place = Place::new();
    std::fs::create_dir_all(place.path("here")).expect("made");
    let from = shared.join("data/freyface/frey_rawface.mat");
    std::fs::create_dir_all(place.path("here/freyface")).expect("made");
    std::fs::copy(from, place.path("here/freyface/frey_rawface.mat")).expect("copied");
    place.succeed(&format!("{TINY} --preset aevb-frey --data-dir here --name a"));
    std::fs::rename(place.path("here"), place.path("there")).expect("renamed");
    let export = "export a --device cpu --out a.safetensors";
    let said = place.fail(export, 4);
    assert!(said.contains("here/freyface"), "{said}");
    let card = place.succeed(&format!("{export} --data-dir there"));
    assert!(card.contains("frey (Frey face), train split, 200 images"), "{card}");
    assert!(!card.contains("there"), "{card}");
}
