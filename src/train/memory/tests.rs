//! The meta device's estimates against real steps, and absurd settings.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::*;
use crate::data::DataSet;
use crate::settings::limits::{numbers, weights};
use crate::settings::{Settings, presets};

/// A small model of every kind, and of every variant with different weights.
const SMALL: [(&str, &str); 12] = [
    ("digits", "model.hidden=9"),
    ("digits", "model.likelihood=gaussian"),
    ("digits", "model.method=wake-sleep"),
    ("digits", "model.method=monte-carlo-em"),
    ("digits-pixelcnn", "model.hidden=4"),
    ("digits-rowlstm", "model.learned_states=true"),
    ("digits-diagbilstm", "model.skip=true"),
    ("digits-multiscale", "model.layers=1"),
    ("digits-draw", "model.glimpses=3"),
    ("digits-draw", "model.attention=false"),
    ("digits-draw", "optimizer.average=0.9"),
    ("digits-cluttered", "model.glimpses=2"),
];

fn settings(preset: &str, set: &[&str]) -> Settings {
    let mut settings = Settings::new(&presets::find(preset).unwrap().config());
    set.iter().for_each(|set| settings.set(set).unwrap());
    settings
}

/// The data set of these settings, opened once.
fn images(settings: &Settings) -> DataSet {
    static SETS: Mutex<BTreeMap<String, DataSet>> = Mutex::new(BTreeMap::new());
    let config = settings.config().unwrap();
    let mut sets = SETS.lock().unwrap_or_else(PoisonError::into_inner);
    let open = || config.data.open(&|_| {}).unwrap();
    sets.entry(config.data.name.clone()).or_insert_with(open).clone()
}

fn fitted(preset: &str, set: &[&str]) -> (Config, DataSet) {
    let data = images(&settings(preset, &[]));
    settings(preset, set).fit(data).unwrap()
}

/// Compares names and shapes of weights, and the exact bytes of a step.
#[test]
fn a_meta_device_has_what_the_real_one_has() {
    let device = Device::cpu();
    for (preset, set) in SMALL {
        let (config, data) = fitted(preset, &[set]);
        let rows = 5;
        let step = Step::of(&config, &data.train, rows);
        let need = step.need(&device).unwrap();
        let before = device.live_bytes();
        let built = config.model.build(&device, 1).unwrap();
        let model = built.model();
        let shapes: Vec<(String, Vec<usize>)> = model
            .parameters()
            .into_iter()
            .map(|(name, p)| (name, p.value().shape().to_vec()))
            .collect();
        assert_eq!(weights(&config.model).unwrap(), shapes, "{preset} {set}");
        let mut training = TrainState::new(config.optimizer);
        let mut run = |rows: usize| {
            let most = device.most_bytes(|| {
                let x = Tensor::zeros(&device, &[rows, data.train.dims()]);
                let labels = step.labels.then(|| Tensor::zeros(&device, &[rows]));
                let key = Key::new(0, 0, 0);
                let prepared = model.prepare(&x, labels.as_ref(), key).unwrap();
                let (loss, gradients) = on_one_tape(model, &x, &prepared, key);
                training.update(model, &loss, &gradients);
            });
            most.1 - before
        };
        run(1);
        assert_eq!(need.in_a_step(), run(rows) as u64, "{preset} {set}");
    }
}

#[test]
fn a_meta_device_takes_no_memory() {
    let model = "model.hidden=1000000";
    let (config, data) = fitted("digits", &[model]);
    let need = Step::of(&config, &data.train, 100).need(&Device::cpu()).unwrap();
    // Two weight matrices with 784 rows or columns, four with the latent dimensions, 4 bytes per number.
    assert!(need.weights > 6_200_000_000, "{need:?}");
    assert!(need.optimizer >= need.weights && need.step > need.weights, "{need:?}");
}

#[test]
fn what_fits_is_not_refused_and_what_does_not_is_with_the_numbers() {
    let (config, data) = fitted("digits", &[]);
    let (step, cpu) = (Step::of(&config, &data.train, 1000), Device::cpu());
    let need = step.need(&cpu).unwrap();
    assert_eq!(need.bytes(), need.in_a_step());
    let room = |bytes| Some(Available { bytes, whose: "on this machine" });
    assert_eq!(step.check_in(room(need.bytes()), &cpu).unwrap(), need);
    let Err(Error::Config(message)) = step.check_in(room(need.bytes() - 1), &cpu) else {
        panic!("taken")
    };
    for part in
        ["training needs about", "one step of 1000 images", "choose --batch 99", "model.hidden"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let Err(Error::Config(message)) = step.check_in(room(need.weights), &cpu) else {
        panic!("taken")
    };
    assert!(
        message.contains("no batch is small enough: choose a smaller model.hidden"),
        "{message}"
    );
}

/// A step of one image takes less memory than the copies of weights and moments that a checkpoint is written from.
#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let (config, data) = fitted("digits", &["model.hidden=2000"]);
    let (step, cpu) = (Step::of(&config, &data.train, 1), Device::cpu());
    let need = step.need(&cpu).unwrap();
    let lasting = need.weights + need.optimizer;
    assert!(need.step < lasting && need.bytes() == 2 * lasting, "{need:?}");
    let room = |bytes| Some(Available { bytes, whose: "on this machine" });
    assert_eq!(step.check_in(room(need.bytes()), &cpu).unwrap(), need);
    let Err(Error::Config(message)) = step.check_in(room(need.bytes() - 1), &cpu) else {
        panic!("taken")
    };
    assert!(message.contains(&format!("a checkpoint {}", size(lasting))), "{message}");
    assert!(message.contains("choose a smaller model.hidden"), "{message}");
}

#[test]
fn sizes_for_a_reader() {
    for (bytes, text) in
        [(0, "0.0 kB"), (99_999, "100.0 kB"), (1_250_000, "1.2 MB"), (12_340_000_000, "12.3 GB")]
    {
        assert_eq!(size(bytes), text);
    }
}

/// The keys of a kind's integer settings.
fn keys(preset: &str) -> Vec<String> {
    let config = presets::find(preset).unwrap().config();
    let table = serde_json::to_value(&config).unwrap();
    let mut keys = Vec::new();
    numbers(&table, "", &mut keys);
    keys.into_iter().map(|key| key[1..].replace('/', ".")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Any sizes lead to a memory estimate or to an error that names a setting; nothing overflows, nothing is
    /// allocated.
    #[test]
    fn absurd_settings_are_refused_or_estimated(
        preset in prop::sample::select(vec![
            "digits", "digits-pixelcnn", "digits-rowlstm", "digits-diagbilstm", "digits-multiscale",
            "digits-draw", "digits-cluttered",
        ]),
        which in prop::collection::vec((any::<prop::sample::Index>(), 0..64_u32, -1..2_i64), 1..4),
    ) {
        let keys = keys(preset);
        let mut settings = settings(preset, &[]);
        let data = images(&settings);
        let mut given = Vec::new();
        for (index, bits, more) in which {
            let key = index.get(&keys);
            let value = (1_i64.checked_shl(bits).unwrap_or(0)).saturating_add(more);
            given.push(format!("{key}={value}"));
            if let Err(error) = settings.set(given.last().unwrap()) {
                prop_assert!(matches!(error, Error::Config(_)), "{:?}: {}", given, error);
                return Ok(());
            }
        }
        let (config, data) = match settings.fit(data) {
            Ok(fitting) => fitting,
            Err(error) => {
                let message = error.to_string();
                prop_assert!(matches!(error, Error::Config(_)), "{:?}: {}", given, message);
                let names = ["model.", "batch", "epochs", "settings", "image", "weights", "marginal", "_every", "keep", "steps", "optimizer."];
                prop_assert!(names.iter().any(|name| message.contains(name)), "{:?}: {}", given, message);
                return Ok(());
            }
        };
        // A tape of a million glimpses takes long on any device.
        let glimpses = match &config.model {
            ModelConfig::Draw(draw) => draw.glimpses,
            ModelConfig::Classifier(classifier) => classifier.glimpses,
            _ => 1,
        };
        if glimpses <= 2000 {
            let rows = config.batch.min(data.train.count);
            let need = Step::of(&config, &data.train, rows).need(&Device::cpu());
            prop_assert!(need.is_ok_and(|need| need.bytes() > 0), "{:?}", given);
        }
    }
}
