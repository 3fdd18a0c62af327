//! The paper's results that a run may be drawn beside: of its kind, on its very data.
//!
//! Pixel Recurrent Neural Networks, tables 4, 5 and 6; DRAW, tables 1 and 2. On dynamically binarized MNIST
//! there is none: those figures cannot be compared. The AEVB paper prints no figure for its curves.

use std::f64::consts::LN_2;

use super::read::Run;

/// Nats on the test split of fixed binarized MNIST: kind, layers if the paper names them, result. Those
/// without layers are quoted from memory, and the label says so.
const MNIST: [(&str, Option<i64>, f64); 4] = [
    ("pixelcnn", None, 81.30),
    ("rowlstm", None, 80.54),
    ("diagbilstm", Some(1), 80.75),
    ("diagbilstm", Some(7), 79.20),
];

/// Bits a number on the test split of CIFAR-10, by kind; 3.14 is a result, no circle.
#[allow(clippy::approx_constant)]
const CIFAR: [(&str, f64); 3] = [("pixelcnn", 3.14), ("rowlstm", 3.07), ("diagbilstm", 3.00)];

/// Numbers of a CIFAR-10 image.
const CIFAR_DIMS: f64 = 3072.0;

/// Nats on the test split of fixed binarized MNIST, upper bounds: with attention, and without, from memory.
const DRAW: [f64; 2] = [80.97, 87.40];

/// Bits a number on the images that stand for the test split of ImageNet, by the folder of the presets;
/// kind and numbers of an image.
const IMAGENET: [(&str, f64, f64); 2] =
    [("folder:data/imagenet32", 3.86, 3072.0), ("folder:data/imagenet64", 3.63, 12_288.0)];

/// Errors on cluttered translated MNIST, in percent of the test images, by glimpses, from memory.
const CLUTTERED: [(i64, f64); 2] = [(4, 4.18), (8, 3.36)];

/// What all the runs have in common of `reference`.
pub fn shared(runs: &[Run], reference: fn(&Run) -> Option<(String, f64)>) -> Option<(String, f64)> {
    let first = reference(runs.first()?)?;
    runs.iter().all(|run| reference(run).as_ref() == Some(&first)).then_some(first)
}

/// A label and percent of the images, if the paper has an error to put beside the run.
pub fn error(run: &Run) -> Option<(String, f64)> {
    let settings: toml::Table = run.config.parse().ok()?;
    let (model, data) = (settings.get("model")?, settings.get("data")?);
    let glimpses = model.get("glimpses")?.as_integer()?;
    let fits = model.get("kind")?.as_str()? == "classifier"
        && data.get("name")?.as_str()? == "cluttered-mnist";
    let (_, percent) = CLUTTERED.iter().find(|row| fits && row.0 == glimpses)?;
    Some((format!("{glimpses} glimpses in the paper, from memory"), *percent))
}

/// A label and nats an image, if the paper has a result to put beside the run.
pub fn score(run: &Run) -> Option<(String, f64)> {
    let settings: toml::Table = run.config.parse().ok()?;
    let (model, data) = (settings.get("model")?, settings.get("data")?);
    let kind = model.get("kind")?.as_str()?;
    let layers = model.get("layers").and_then(|layers| layers.as_integer());
    let name = |kind: &str| match kind {
        "pixelcnn" => "PixelCNN",
        "rowlstm" => "Row LSTM",
        _ => "Diagonal BiLSTM",
    };
    match data.get("name")?.as_str()? {
        "binarized-mnist" if kind == "draw" => Some(match model.get("attention")?.as_bool()? {
            true => ("DRAW in the paper".into(), DRAW[0]),
            false => ("DRAW without attention in the paper, from memory".into(), DRAW[1]),
        }),
        "binarized-mnist" => {
            let of = |row: &&(&str, Option<i64>, f64)| {
                row.0 == kind && (row.1.is_none() || row.1 == layers)
            };
            let (_, layers, nats) = MNIST.iter().find(of)?;
            let which = match layers {
                None => " in the paper, from memory".into(),
                Some(1) => " of 1 layer in the paper".into(),
                Some(n) => format!(" of {n} layers in the paper"),
            };
            Some((format!("{}{which}", name(kind)), *nats))
        }
        "cifar10" if model.get("levels").and_then(|levels| levels.as_integer()) == Some(256) => {
            let (_, bits) = CIFAR.iter().find(|row| row.0 == kind)?;
            let label = format!("{} in the paper ({bits:.2} bits/dim)", name(kind));
            Some((label, bits * CIFAR_DIMS * LN_2))
        }
        name if kind == "rowlstm" => {
            let (_, bits, dims) = IMAGENET.iter().find(|row| row.0 == name)?;
            let label = format!("Row LSTM in the paper ({bits:.2} bits/dim)");
            Some((label, bits * dims * LN_2))
        }
        _ => None,
    }
}
