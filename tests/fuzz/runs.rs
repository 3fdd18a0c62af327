//! Fuzz targets for runs: checkpoints, settings, metrics, and the input of a report.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use pixelloom::data::Binarization;
use pixelloom::model_file::{Content, HostTensor};
use pixelloom::models::AnyModel;
use pixelloom::nn::TrainState;
use pixelloom::output::Output;
use pixelloom::report;
use pixelloom::run::checkpoint::{self, Checkpoint, Position, State, TrainedOn};
use pixelloom::run::metrics;
use pixelloom::settings::{Config, Settings, presets};
use pixelloom::{Device, Error};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::mutate::{extreme, mutate, pick};
use crate::targets::{Findings, Target, as_it_is, folder};

/// Bytes of a tree node with its own name, which a number in a text may become.
const TREE: usize = 64;

pub const TARGETS: [Target; 6] = [
    Target {
        name: "weights",
        text: false,
        short: 5_000,
        seed: |rng| damaged(rng, &saved().0),
        finish: as_it_is,
        read: |bytes, findings| {
            // The tensors, and a few copies of the header.
            let most = bytes.len() + TREE / 2 * header(bytes);
            let dir = Path::new("run");
            findings.reads(most, "run/model.safetensors", || {
                let path = dir.join("model.safetensors");
                let content = Content::parse(bytes, &path)?;
                let checkpoint = Checkpoint::of(content, path)?;
                checkpoint.card()?;
                checkpoint.load_into(model().model())
            });
        },
    },
    Target {
        name: "state",
        text: false,
        short: 5_000,
        seed: |rng| damaged(rng, &saved().1),
        finish: as_it_is,
        read: |bytes, findings| {
            let most = bytes.len() + TREE / 2 * header(bytes);
            let dir = Path::new("run");
            findings.reads(most, "run/state.safetensors", || {
                let content = Content::parse(bytes, &dir.join("state.safetensors"))?;
                let mut training = TrainState::new(tiny().optimizer);
                State::of(content, dir)?.restore(model().model(), &mut training)
            });
        },
    },
    Target {
        name: "settings",
        text: true,
        short: 4_000,
        seed: |rng| {
            let presets: Vec<_> = presets::all().collect();
            let text = pick(rng, &presets).config().to_toml();
            let lines: Vec<&str> = text.lines().collect();
            let from = rng.random_range(0..lines.len());
            let whole = rng.random_range(0..2) == 0;
            if whole { text.into_bytes() } else { lines[from..].join("\n").into_bytes() }
        },
        finish: as_it_is,
        read: |bytes, findings| {
            let text = String::from_utf8_lossy(bytes);
            // The keys of all presets are collected to name the closest one.
            let most = bytes.len() * TREE + (1 << 20);
            // Errors about a setting name the setting; errors about an unreadable file name the file.
            findings.reads(most, "", || {
                Settings::parsed(None, &text, Path::new("my.toml"), "digits")?.config()
            });
            findings.reads(most, "", || {
                let mut settings = Settings::new(&presets::find("digits")?.config());
                settings.set(text.lines().next().unwrap_or(""))?;
                settings.config()
            });
            findings.reads(most, "", || {
                let fault = |e: toml::de::Error| Error::Checkpoint(e.message().replace('\n', " "));
                let config = toml::from_str::<Config>(&text).map_err(fault)?;
                config.check()?;
                config.model.check()
            });
        },
    },
    Target {
        name: "metrics-tail",
        text: true,
        short: 20_000,
        seed: lines,
        finish: as_it_is,
        read: |bytes, findings| {
            let step = 8;
            let position = Position { step, evaluated: step, ..Position::default() };
            let path = Path::new("metrics.jsonl");
            let rewound = |bytes: &[u8]| metrics::rewound(bytes, &position, path);
            findings.reads(bytes.len(), "metrics.jsonl", || rewound(bytes));
            // The kept part is kept again unchanged.
            if let Ok(kept) = rewound(bytes) {
                findings.equal("rewound twice", rewound(&bytes[..kept.bytes]).ok(), Some(kept));
            }
        },
    },
    Target {
        name: "metrics-lines",
        text: true,
        short: 20_000,
        seed: lines,
        finish: as_it_is,
        read: |bytes, findings| {
            let path = Path::new("metrics.jsonl");
            findings.reads(TREE * bytes.len(), "metrics.jsonl", || report::lines_of(bytes, path));
        },
    },
    Target {
        name: "report",
        text: true,
        short: 1_000,
        seed: run,
        finish: as_it_is,
        read: reported,
    },
];

fn tiny() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let text = "[model]\nhidden = 2\nlatent = 1\nheight = 2\nwidth = 3";
        let settings = Settings::parsed(None, text, Path::new(""), "digits");
        settings.and_then(|s| s.config()).expect("settings")
    })
}

fn model() -> AnyModel {
    tiny().model.build(&Device::cpu(), 1).expect("a model")
}

/// The files of a checkpoint: weights, state.
fn saved() -> &'static (Content, Content) {
    static SAVED: OnceLock<(Content, Content)> = OnceLock::new();
    SAVED.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let model = model();
        let data = TrainedOn {
            name: "digits".into(),
            binarization: Binarization::Dynamic,
            options: Default::default(),
            fingerprint: None,
        };
        let mut training = TrainState::new(tiny().optimizer);
        for (name, param) in model.model().parameters() {
            training.optimizer.states.insert(name, vec![param.value(), param.value()]);
        }
        let position = Position { step: 8, best: Some((4, 1.5)), ..Position::default() };
        let at =
            checkpoint::save(dir.path(), tiny(), &data, &[], model.model(), &training, &position);
        let at = at.expect("saved");
        let file = |name: &str| Content::read(&at.join(name)).expect("read");
        (file("model.safetensors"), file("state.safetensors"))
    })
}

/// A tensor file whose metadata and tensors may be wrong although the checksum is right.
fn damaged(rng: &mut StdRng, content: &Content) -> Vec<u8> {
    let mut content = content.clone();
    if rng.random() {
        let keys: Vec<String> = content.texts.keys().cloned().collect();
        let mut text = content.texts[pick(rng, &keys)].clone().into_bytes();
        mutate(rng, &mut text, true);
        let key = pick(rng, &keys).clone();
        content.texts.insert(key, String::from_utf8_lossy(&text).into_owned());
    }
    if rng.random_range(0..4) == 0 {
        let names: Vec<String> = content.tensors.keys().cloned().collect();
        let tensor = content.tensors[pick(rng, &names)].clone();
        match rng.random_range(0..3) {
            0 => drop(content.tensors.remove(pick(rng, &names))),
            1 => drop(content.tensors.insert(pick(rng, &names).clone(), tensor)),
            _ => {
                let many = rng.random_range(0..200);
                let small = HostTensor { shape: vec![1], data: vec![0.0] };
                let more = (0..many).map(|i| (format!("t{i}"), small.clone()));
                content.tensors.extend(more.collect::<BTreeMap<_, _>>());
            }
        }
    }
    let mut bytes = content.to_bytes();
    if rng.random_range(0..8) == 0 {
        let length = extreme(rng, bytes.len());
        bytes[..8].copy_from_slice(&length.to_le_bytes());
    }
    bytes
}

/// Bytes of the header of a tensor file.
fn header(bytes: &[u8]) -> usize {
    let length = bytes.get(..8).map_or(0, |b| u64::from_le_bytes(b.try_into().expect("8 bytes")));
    usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len()))
}

/// Lines of metrics as training writes them.
fn lines(rng: &mut StdRng) -> Vec<u8> {
    let mut text = String::new();
    for step in 1..rng.random_range(2..16) {
        let images = 60 * step;
        let loss = rng.random_range(-50.0..800.0f64);
        text += &format!(
            "{{\"kind\":\"train\",\"step\":{step},\"epoch\":1,\"images\":{images},\"loss\":{loss},\
             \"rate\":0.01,\"seconds\":0.5,\"images_per_second\":1000}}\n"
        );
        if step % 4 != 0 {
            continue;
        }
        let split = *pick(rng, &["valid", "train", "test"]);
        let figures = *pick(
            rng,
            &[
                "\"bound\":98.5,\"reconstruction\":90.0,\"kl\":8.5,\"kl_per_glimpse\":[1.5,7.0]",
                "\"nll\":80.5,\"bits_per_dim\":0.157",
                "\"nll\":0.13,\"error_percent\":4.18",
            ],
        );
        text += &format!(
            "{{\"kind\":\"eval\",\"split\":\"{split}\",\"what\":\"digits, {split} split, 9 images, \
             dynamic binarization\",\"step\":{step},\"images\":{images},{figures},\"seconds\":1}}\n"
        );
        text += &format!(
            "{{\"kind\":\"marginal\",\"split\":\"{split}\",\"what\":\"digits\",\"step\":{step},\
             \"images\":{images},\"log_p\":-90.5}}\n"
        );
    }
    text.into_bytes()
}

/// Separator between the files of a run in one input.
const NEXT: u8 = 0x1e;

/// Metrics, summary and timings of a run.
fn run(rng: &mut StdRng) -> Vec<u8> {
    let summary = "{\"preset\":\"digits\",\"score\":\"bound\",\"parameters\":900,\"epochs\":3,\
                   \"seconds\":12.5,\"device\":\"CPU\",\"threads\":2,\"test_bound\":98.25,\
                   \"what\":\"digits, test split\",\"command\":\"pixelloom train vae\"}";
    let timing = "{\"images_per_second\":1000}\n";
    let next = [NEXT];
    [&lines(rng)[..], &next, summary.as_bytes(), &next, timing.as_bytes()].concat()
}

/// Writes the files of a run, and its report.
fn reported(bytes: &[u8], findings: &mut Findings) {
    let dir = folder().join("run");
    if !dir.is_dir() {
        std::fs::create_dir(&dir).expect("made");
        std::fs::write(dir.join("config.toml"), tiny().to_toml()).expect("written");
    }
    let mut parts = bytes.split(|&b| b == NEXT);
    for name in ["metrics.jsonl", "summary.json", "timing.jsonl"] {
        let part = parts.next().unwrap_or(b"{}");
        std::fs::write(dir.join(name), part).expect("written");
    }
    // In addition to the lines, the page and its plots, which have at most a few thousand points.
    let most = TREE * bytes.len() + (4 << 20);
    findings.reads(most, "json", || report::write(&dir));
    findings.reads(most, "json", || {
        report::compare(&[&dir, &dir], &Output::in_run(dir.join("c.html")), true)
    });
}
