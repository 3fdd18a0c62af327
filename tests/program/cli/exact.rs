//! Every kind of model can be stopped after any step, also in the middle of an epoch, and resumed in another process
//! with another number of threads, and ends with the same bytes.

use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use super::{Place, small};

/// Warm-up, a schedule over the whole run, and moving averages.
const COSINE: &str = "--optimizer adam --set optimizer.schedule=cosine --set optimizer.warmup=3 \
                      --set optimizer.average=0.9";
/// A rate that falls in steps, and gradient clipping.
const STEPS: &str = "--optimizer rmsprop --set optimizer.schedule=step --set optimizer.schedule.every=5 \
                     --set optimizer.schedule.factor=0.5 --set optimizer.clip=1";
const PLAIN: &str = "--optimizer sgd --set optimizer.warmup=7 --set optimizer.average=0.999";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("copied");
        }
    }
}

/// A run of 12 steps, and resumed runs that do the rest after some of them.
fn rests_equal_the_whole(kind: &str, flags: &str) {
    let place = Place::with_images();
    let run = match kind {
        // Choose images with labels.
        "classifier" => "train classifier --data digits --set data.limit=80 --batch 20 --epochs 3 \
                         --device cpu --threads 2 --hidden 4 --glimpses 2 --set model.read=3 \
                         --rate 0.01 --log-every 2 --eval-every 1 --set save_every=1"
            .to_string(),
        kind => small(kind),
    };
    place.succeed(&format!("{run} {flags} --set keep=100 --name whole"));
    let command = run.split_whitespace().nth(1).expect("a kind");
    for (step, threads) in [(0, 1), (1, 3), (6, 1), (11, 3)] {
        let name = format!("from-{step}");
        copy(&place.path("runs/whole"), &place.path(&format!("runs/{name}")));
        for checkpoint in place.checkpoints(&format!("runs/{name}")) {
            if checkpoint > format!("step-{step:08}") {
                let path = place.path(&format!("runs/{name}/checkpoints/{checkpoint}"));
                std::fs::remove_dir_all(path).expect("removed");
            }
        }
        place.succeed(&format!(
            "train {command} --resume --device cpu --threads {threads} --name {name}"
        ));
        place.assert_equal_runs("runs/whole", &format!("runs/{name}"));
        assert_eq!(place.checkpoints("runs/whole"), place.checkpoints(&format!("runs/{name}")));
    }
}

#[test]
fn vae() {
    rests_equal_the_whole("vae", COSINE);
    rests_equal_the_whole("vae", &format!("{STEPS} --set model.method.estimator=a"));
    rests_equal_the_whole("vae", &format!("{PLAIN} --set model.method=wake-sleep"));
    let mcem = "--set model.method=monte-carlo-em --set model.method.updates=3";
    rests_equal_the_whole("vae", &format!("{COSINE} {mcem}"));
}

#[test]
fn pixelcnn() {
    rests_equal_the_whole("pixelcnn", COSINE);
    rests_equal_the_whole("pixelcnn", &format!("{COSINE} --set model.dropout=0.3"));
}

#[test]
fn rowlstm() {
    rests_equal_the_whole("rowlstm", STEPS);
}

#[test]
fn diagbilstm() {
    rests_equal_the_whole("diagbilstm", PLAIN);
}

#[test]
fn multiscale() {
    rests_equal_the_whole("multiscale", COSINE);
}

#[test]
fn draw() {
    rests_equal_the_whole("draw", COSINE);
    rests_equal_the_whole("plain", STEPS);
}

#[test]
fn classifier() {
    rests_equal_the_whole("classifier", PLAIN);
}

/// Evaluations and readers of a checkpoint use the averages; training continues with the raw weights.
#[test]
fn averages_are_what_is_scored() {
    let place = Place::with_images();
    place.succeed(&format!("{} --name none", small("vae")));
    place.succeed(&format!("{} --set optimizer.average=0 --name zero", small("vae")));
    place.succeed(&format!("{} --set optimizer.average=0.99 --name a", small("vae")));
    let file = |run: &str, name: &str| {
        let last = place.checkpoints(&format!("runs/{run}")).pop().expect("a checkpoint");
        place.read(&format!("runs/{run}/checkpoints/{last}/{name}.safetensors"))
    };
    assert!(file("none", "model") == file("zero", "model"));
    let (weights, state, plain) = (file("a", "model"), file("a", "state"), file("none", "model"));
    let [weights, state, plain] =
        [&weights, &state, &plain].map(|bytes| SafeTensors::deserialize(bytes).expect("whole"));
    for (name, average) in weights.iter() {
        let raw = state.tensor(&format!("raw.{name}")).expect("beside it");
        let trained = plain.tensor(name).expect("the same names");
        assert!(raw.data() == trained.data(), "{name}: averaging changes training");
        assert!(raw.data() != average.data(), "{name} is no average");
    }
    let lines = place.metrics("runs/a");
    let of = |split: &str| {
        let line = lines.iter().rev().find(|line| line.contains(&format!("\"split\":\"{split}\"")));
        let line: Value = serde_json::from_str(line.expect("a line")).expect("JSON");
        line["bound"].as_f64().expect("a number")
    };
    for split in ["valid", "test"] {
        let said = place.succeed(&format!("eval a --split {split} --device cpu"));
        assert!(said.starts_with(&format!("{split} bound: {:.2} nats", of(split))), "{said}");
    }
}
