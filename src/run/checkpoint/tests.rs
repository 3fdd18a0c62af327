//! Checkpoints of small models, and their state after a crash.

use std::fs;

use super::*;
use crate::models::vae::VaeConfig;

fn model(hidden: usize, likelihood: crate::models::vae::Likelihood) -> ModelConfig {
    let config = VaeConfig { height: 3, width: 2, hidden, likelihood, ..VaeConfig::mnist(2) };
    ModelConfig::Vae(config)
}

/// Writes the weights of `model` to a file that declares the model kind `kind`.
fn write(dir: &Path, model: &ModelConfig, kind: &str) {
    let built = model.build(&Device::cpu(), 1).unwrap();
    let mut content = Content::default();
    for (name, param) in built.model().parameters() {
        content.tensors.insert(name, host(&param.value()).unwrap());
    }
    let data = TrainedOn {
        name: "digits".into(),
        binarization: Binarization::Dynamic,
        options: Default::default(),
        fingerprint: None,
    };
    content.texts = [
        ("kind", kind.to_string()),
        ("config", json(model).unwrap()),
        ("data", json(&data).unwrap()),
        ("step", "7".to_string()),
    ]
    .map(|(key, text)| (key.to_string(), text))
    .into();
    content.write(&dir.join(MODEL)).unwrap();
}

#[test]
fn only_the_same_model_takes_the_weights() {
    use crate::models::vae::Likelihood::{Bernoulli, Gaussian};
    let dir = tempfile::tempdir().unwrap();
    let bernoulli = model(4, Bernoulli);
    write(dir.path(), &bernoulli, "vae");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!((checkpoint.step, &checkpoint.model), (7, &bernoulli));
    let load = |config: &ModelConfig, seed| {
        let built = config.build(&Device::cpu(), seed).unwrap();
        checkpoint.load_into(built.model()).map(|()| built)
    };
    let values = |model: &AnyModel| -> Vec<Vec<f32>> {
        model.model().parameters().iter().map(|(_, p)| p.value().to_vec().unwrap()).collect()
    };
    let same = load(&bernoulli, 2).unwrap();
    assert_eq!(values(&same), values(&bernoulli.build(&Device::cpu(), 1).unwrap()));
    for (other, part) in [(model(5, Bernoulli), "shape"), (model(4, Gaussian), "is missing")] {
        let Err(Error::Checkpoint(message)) = load(&other, 1) else { panic!("{part}: taken") };
        assert!(message.contains(part) && message.contains(MODEL), "{message}");
    }
    write(dir.path(), &model(4, Gaussian), "vae");
    let more = Checkpoint::open(dir.path()).unwrap();
    let built = bernoulli.build(&Device::cpu(), 1).unwrap();
    let Err(Error::Checkpoint(message)) = more.load_into(built.model()) else { panic!() };
    assert!(message.contains("tensor decoder.log_variance.bias [6] is unknown"), "{message}");
}

#[test]
fn an_impossible_model_is_a_bad_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let good = model(4, crate::models::vae::Likelihood::Bernoulli);
    write(dir.path(), &good, "vae");
    let path = dir.path().join(MODEL);
    for (from, to) in [("\"latent\":2", "\"latent\":0"), ("\"width\":2", "\"width\":1048577")] {
        let mut content = Content::read(&path).unwrap();
        let config = content.texts["config"].replace(from, to);
        assert_ne!(config, content.texts["config"]);
        content.texts.insert("config".into(), config);
        let bad = dir.path().join("bad");
        fs::create_dir_all(&bad).unwrap();
        content.write(&bad.join(MODEL)).unwrap();
        let Err(Error::Checkpoint(message)) = Checkpoint::open(&bad) else { panic!("{to}") };
        assert!(message.contains(MODEL) && message.contains("model."), "{message}");
    }
}

#[test]
fn a_checkpoint_takes_the_name_of_another() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join(name(7));
    let put = |dir: &Path, text: &str| {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("file"), text).unwrap();
    };
    // What an earlier crash can leave: nothing, the checkpoint, the one set aside, or both.
    for before in 0..4 {
        let written = home.path().join(".writing-1");
        put(&written, "new");
        if before & 1 != 0 {
            put(&target, "old");
        }
        if before & 2 != 0 {
            put(&aside(&target), "older");
        }
        exchange(&written, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "new", "{before}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "{before}: no remains");
        fs::remove_dir_all(&target).unwrap();
    }
    // If the new one cannot be renamed, the old one still exists, set aside.
    put(&target, "old");
    assert!(exchange(&home.path().join("missing"), &target).is_err());
    assert_eq!(fs::read_to_string(aside(&target).join("file")).unwrap(), "old");
}

#[test]
fn another_kind_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &model(4, crate::models::vae::Likelihood::Bernoulli), "gan");
    let Err(Error::Checkpoint(message)) = Checkpoint::open(dir.path()) else { panic!() };
    assert!(message.contains("\"gan\""), "{message}");
}

#[test]
fn names_and_steps() {
    assert_eq!(step_of(&name(42)), Some(42));
    assert_eq!(step_of(&name(123_456_789)), Some(123_456_789));
    for other in ["step-42", "step-0000004x", ".writing-1", "step-00000042.tmp"] {
        assert_eq!(step_of(other), None, "{other}");
    }
}

#[test]
fn stored_tiles_are_checked() {
    let read = |tiles: Option<&str>| {
        let mut content = Content::default();
        content.texts.insert("position".into(), json(&Position::default()).unwrap());
        content.texts.extend(tiles.map(|text| (state::TILES.to_string(), text.to_string())));
        State::of(content, Path::new("a")).map(|state| state.tiles)
    };
    assert_eq!(read(None).unwrap(), None);
    let tiles = crate::tiles::Tiles::OTHER.with(2, 99);
    assert_eq!(read(Some(&json(&tiles).unwrap())).unwrap(), Some(tiles));
    let none = json(&tiles.with(2, 0)).unwrap();
    for (text, part) in [
        ("{}", "missing field `large_products`"),
        ("7", "cannot parse the metadata \"tiles\""),
        (&none[..], "a/state.safetensors: product_piece is 0, and must be from 32 to 65536"),
    ] {
        let Err(Error::Checkpoint(message)) = read(Some(text)) else { panic!("{text}: taken") };
        assert!(message.contains(part), "{message}");
    }
}
