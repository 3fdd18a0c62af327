//! The report of a pixel model.

use std::fs;

use serde_json::json;

use super::interactive::blocks;
use super::{VALID, assert_well_formed, report_of};

/// A pixel model's scores are called nll and have bits per dimension; the paper's result on the same data is a line in
/// the plot.
#[test]
fn a_pixel_models_report_has_bits_and_the_papers_result() {
    let with = |config: &str| {
        report_of(|dir| {
            let metrics = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
            let bits = "\"bits_per_dim\":0.2415,\"nll\":131.25";
            let metrics = metrics.replace("\"bound\":131.25", bits).replace("\"bound\"", "\"nll\"");
            let metrics = metrics.replace("\"reconstruction\"", "\"r\"").replace("\"kl\"", "\"k\"");
            fs::write(dir.join("metrics.jsonl"), metrics).unwrap();
            let summary = json!({"score": "nll", "test_nll": 131.25, "test_bits_per_dim": 0.2415});
            fs::write(dir.join("summary.json"), summary.to_string()).unwrap();
            fs::write(dir.join("config.toml"), config).unwrap();
        })
    };
    let config = |kind: &str, layers: usize, data: &str, levels: usize| {
        format!(
            "[data]\nname = \"{data}\"\n[model]\nkind = \"{kind}\"\nlayers = {layers}\nlevels = {levels}\n"
        )
    };
    let page = with(&config("diagbilstm", 7, "binarized-mnist", 2));
    assert_well_formed(&page);
    let squeezed = page.replace('\n', "");
    for part in [
        "Last test nll: 131.25 nats/image, 0.241 bits/dim (digits",
        "<td>131.25</td><td>0.241</td>",
        "valid nll",
        ">Diagonal BiLSTM of 7 layers in the paper: 79.20</text>",
    ] {
        assert!(squeezed.contains(part), "the report lacks {part:?}");
    }
    assert!(!page.contains("bound"), "an nll is none");
    for (kind, layers, data, levels, line) in [
        (
            "diagbilstm",
            1,
            "binarized-mnist",
            2,
            "Diagonal BiLSTM of 1 layer in the paper, 80.75 nats",
        ),
        ("rowlstm", 3, "binarized-mnist", 2, "Row LSTM in the paper, from memory, 80.54 nats"),
        ("pixelcnn", 15, "cifar10", 256, "PixelCNN in the paper (3.14 bits/dim), 6686.15 nats"),
        (
            "rowlstm",
            12,
            "folder:data/imagenet32",
            256,
            "Row LSTM in the paper (3.86 bits/dim), 8219.28 nats",
        ),
        (
            "rowlstm",
            4,
            "folder:data/imagenet64",
            256,
            "Row LSTM in the paper (3.63 bits/dim), 30918.13 nats",
        ),
    ] {
        assert!(with(&config(kind, layers, data, levels)).contains(line), "{line}");
    }
    for (kind, layers, data, levels) in [
        ("diagbilstm", 2, "binarized-mnist", 2),
        ("pixelcnn", 7, "digits", 2),
        ("multiscale", 7, "binarized-mnist", 2),
        ("pixelcnn", 15, "cifar10", 16),
        ("pixelcnn", 15, "cifar10-batch1", 256),
        ("pixelcnn", 12, "folder:data/imagenet32", 256),
        ("rowlstm", 12, "folder:own", 256),
    ] {
        assert!(
            !with(&config(kind, layers, data, levels)).contains("in the paper"),
            "{kind} {data}"
        );
    }
}

/// Papers compare models of colour images in bits/dim: scores and training loss have a plot in that unit.
#[test]
fn a_model_of_colour_images_has_a_curve_of_bits_per_dimension() {
    let page = |levels: usize| {
        report_of(|dir| {
            let metrics: String = [(1_000, 5.0, 4.9), (9_000, 4.0, 3.9)]
                .iter()
                .map(|(images, valid, loss)| {
                    let train = json!({"kind": "train", "step": images / 10, "images": images,
                        "loss": 2000.0 * loss});
                    let eval = json!({"kind": "eval", "split": "valid", "what": VALID, "step": images / 10,
                        "images": images, "nll": 2000.0 * valid, "bits_per_dim": valid});
                    format!("{train}\n{eval}\n")
                })
                .collect();
            fs::write(dir.join("metrics.jsonl"), metrics).unwrap();
            fs::write(dir.join("summary.json"), json!({"score": "nll"}).to_string()).unwrap();
            let config = "[data]\nname = \"cifar10\"\n[model]\nkind = \"rowlstm\"\n";
            fs::write(dir.join("config.toml"), format!("{config}levels = {levels}\n")).unwrap();
        })
    };
    let colour = page(256);
    assert_well_formed(&colour);
    assert!(colour.contains(VALID) && colour.contains("<h2>Bits per dimension</h2>"));
    let (_, plots) = blocks(&colour);
    let plot = plots.iter().find(|plot| plot["y_label"] == "bits/dim").expect("a plot in bits/dim");
    assert_eq!(plot["reference"], json!(["Row LSTM in the paper (3.07 bits/dim)", 3.07]));
    let lines: Vec<_> = plot["series"].as_array().unwrap().iter().collect();
    let line = |name: &str| &lines.iter().find(|line| line["name"] == name).unwrap()["points"];
    assert_eq!(*line("valid"), json!([[1_000.0, 5.0], [9_000.0, 4.0]]));
    assert_eq!(*line("training loss"), json!([[1_000.0, 4.9], [9_000.0, 3.9]]));
    assert!(!page(2).contains("Bits per dimension"), "binary images are compared in nats");
}
