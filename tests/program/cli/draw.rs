//! DRAW and its classifier: training, exact resumption, scores, samples and pictures of glimpses.

use serde_json::Value;

use super::{Place, names};

/// Glimpses of the small runs.
const GLIMPSES: usize = 3;

/// A small run with 10 batches per epoch.
fn tiny(kind: &str) -> String {
    let common = "--device cpu --hidden 6 --glimpses 3 --batch 20 --epochs 2 --log-every 5 \
                  --eval-every 1 --rate 0.01 --set data.limit=200 --set optimizer.schedule=constant";
    match kind {
        "draw" => format!("train draw --latent 2 --set model.read=3 --set model.write=4 {common}"),
        "plain" => format!("train draw --latent 2 --set model.attention=false {common}"),
        _ => format!("train classifier --data digits --set model.read=4 {common}"),
    }
}

const WHAT: &str = "digits (embedded MNIST subset), test split, 1,000 images, dynamic binarization";

/// The number after ": " in a line.
fn figure(line: &str) -> f64 {
    line.split(": ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number")
}

fn summary(place: &Place, run: &str) -> Value {
    serde_json::from_slice(&place.read(&format!("runs/{run}/summary.json"))).expect("JSON")
}

fn text(place: &Place, file: &str) -> String {
    String::from_utf8(place.read(file)).expect("text")
}

/// Rows, columns and channels of a picture.
fn size(place: &Place, file: &str) -> (usize, usize, usize) {
    let picture = pixelloom::data::picture::read(&place.path(file)).expect("a picture");
    (picture.height, picture.width, picture.channels)
}

/// A sheet of 28 x 28 images enlarged to 112 x 112.
fn sheet(rows: usize, columns: usize) -> (usize, usize, usize) {
    (114 * rows - 2, 114 * columns - 2, 3)
}

/// Frames of a film.
fn frames(place: &Place, file: &str) -> usize {
    let file = std::fs::File::open(place.path(file)).expect("a film");
    let mut decoder = gif::DecodeOptions::new().read_info(file).expect("a GIF");
    std::iter::from_fn(|| decoder.next_frame_info().expect("a frame").map(|_| ())).count()
}

#[test]
fn draw_writes_a_run() {
    let place = Place::new();
    for kind in ["draw", "plain"] {
        let said = place.succeed(&format!("{} --name {kind}", tiny(kind)));
        assert!(
            said.starts_with("test bound: ") && said.ends_with(&format!(" nats ({WHAT}, cpu)\n"))
        );
        let bound = figure(&said);
        assert!(bound > 100.0 && bound < 543.43, "{kind}, a little better than chance: {bound}");
        let summary = summary(&place, kind);
        assert_eq!((&summary["model"], &summary["score"]), (&"draw".into(), &"bound".into()));
        let run = format!("runs/{kind}");
        let line = place.metrics(&run).pop().expect("lines");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let kl = line["kl_per_glimpse"].as_array().expect("an array");
        let sum: f64 = kl.iter().map(|kl| kl.as_f64().expect("a number")).sum();
        assert_eq!((kl.len(), line["split"].as_str()), (GLIMPSES, Some("test")));
        assert!((sum - line["kl"].as_f64().expect("a number")).abs() < 1e-4, "{line}");
        assert!(line.get("kl.1").is_none(), "{line}");

        assert_eq!(
            names(&place.path(&format!("{run}/samples"))),
            [
                "film.gif",
                "film.png",
                "kl.svg",
                "nearest.png",
                "reading.gif",
                "reading.png",
                "reconstructions.png",
                "step-00000010.png",
                "step-00000020.png"
            ]
        );
        let file = |name: &str| format!("{run}/samples/{name}");
        assert_eq!(size(&place, &file("film.png")), sheet(9, GLIMPSES));
        assert_eq!(size(&place, &file("reading.png")), sheet(2 * 4, GLIMPSES));
        assert_eq!(size(&place, &file("nearest.png")), sheet(4, 10), "20 pairs, 5 in a row");
        for film in ["film.gif", "reading.gif"] {
            assert_eq!(frames(&place, &file(film)), GLIMPSES + 1);
        }
        let plot = text(&place, &file("kl.svg"));
        assert!(plot.contains(&format!("{WHAT}, cpu")) && plot.contains("glimpse"), "{plot}");
        let report = text(&place, &format!("{run}/report.html"));
        let last = format!("Last test bound: {bound:.2} nats/image (digits");
        assert!(report.contains(&last) && report.contains("<h2>Glimpses</h2>"), "{kind}");
        assert_eq!(report.matches("data:image/gif;base64,").count(), 2);
    }
    // Attention is drawn in colour; without it, strips are grey.
    let coloured = |run: &str| {
        let path = place.path(&format!("runs/{run}/samples/film.png"));
        let picture = pixelloom::data::picture::read(&path).expect("a picture");
        picture.bytes.chunks(3).any(|c| c[0] != c[1])
    };
    assert!(coloured("draw") && !coloured("plain"));
}

/// One process with 20 steps against two with 10 steps each and other numbers of threads.
#[test]
fn parts_equal_the_whole() {
    let place = Place::new();
    for kind in ["draw", "plain", "classifier"] {
        place.succeed(&format!("{} --name {kind}-whole --threads 2", tiny(kind)));
        let first = tiny(kind).replace("--epochs 2", "--epochs 1");
        place.succeed(&format!("{first} --name {kind}-parts --threads 1"));
        let command = if kind == "classifier" { kind } else { "draw" };
        let resume = format!("train {command} --resume --device cpu --epochs 2 --threads 3");
        place.succeed(&format!("{resume} --name {kind}-parts"));
        place.assert_equal_runs(&format!("runs/{kind}-whole"), &format!("runs/{kind}-parts"));
    }
}

#[test]
fn draw_is_scored_and_draws() {
    let place = Place::new();
    let said = place.succeed(&format!("{} --name a", tiny("draw")));
    let score = place.succeed("eval a --device cpu --iwae 8 --per-image a.csv");
    let lines: Vec<&str> = score.lines().collect();
    assert_eq!(lines[0], said.trim_end(), "the same figure as at the end");
    let starts =
        ["test bound", "test reconstruction", "test kl", "test kl per glimpse", "test IWAE-8"];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && line.ends_with(&format!(" ({WHAT}, cpu)")), "{line}");
    }
    assert_eq!(lines.len(), 5);
    let kl = lines[3].split(": ").nth(1).and_then(|s| s.split(" nats").next()).expect("numbers");
    let kl: f64 = kl.split(' ').map(|kl| kl.parse::<f64>().expect("a number")).sum();
    assert!((kl - figure(lines[2])).abs() < 0.03, "{score}");
    assert!(figure(lines[4]) < figure(lines[0]), "more samples, a tighter bound: {score}");
    let csv = text(&place, "a.csv");
    let head = "image,bound,reconstruction,kl,kl.1,kl.2,kl.3,iwae";
    assert_eq!((csv.lines().nth(1), csv.lines().count()), (Some(head), 1002));

    place.succeed("sample a --count 7 --out s.png --device cpu");
    let films = "--film f.gif --strip t.png --nearest n.png --out f.png";
    let written = place.succeed(&format!("sample a --count 7 {films} --device cpu"));
    assert_eq!(written.lines().collect::<Vec<_>>(), ["f.png", "f.gif", "t.png", "n.png"]);
    assert!(place.read("s.png") == place.read("f.png"), "a film changes nothing");
    assert_eq!(frames(&place, "f.gif"), GLIMPSES + 1);
    assert_eq!(size(&place, "t.png"), sheet(7, GLIMPSES));
    assert_eq!(size(&place, "n.png"), sheet(2, 10), "7 pairs");
    place.succeed("sample a --reconstruct --count 13 --out r.png --device cpu");

    place.succeed("explain glimpses a --count 3 --out g.png --film g.gif --device cpu");
    assert_eq!(size(&place, "g.png"), sheet(6, GLIMPSES));
    assert_eq!(frames(&place, "g.gif"), GLIMPSES + 1);
    let image: Vec<f32> = (0..784).map(|i| (i % 28) as f32 / 27.0).collect();
    super::pixel::write_png(&place, "own.png", &image, 28);
    place.succeed("explain glimpses a --image own.png --out o.png --device cpu");
    assert_eq!(size(&place, "o.png"), sheet(2, GLIMPSES));
    let own = pixelloom::data::picture::read(&place.path("o.png")).expect("a picture");
    let at = |row: usize, column: usize| own.bytes[3 * (row * own.width + column)];
    assert_eq!([at(60, 4 * 12), at(60, 4 * 15)], [0, 255], "cut at half intensity");
}

#[test]
fn a_classifier_has_an_error() {
    let place = Place::new();
    let said = place
        .succeed(&format!("{} --epochs 30 --name c", tiny("classifier").replace("--epochs 2", "")));
    assert!(
        said.starts_with("test error: ") && said.ends_with(&format!(" % ({WHAT}, cpu)\n")),
        "{said}"
    );
    let error = figure(&said);
    assert!(error > 0.0 && error < 85.0, "better than chance: {error}");
    let summary = summary(&place, "c");
    assert_eq!(summary["score"], "error");
    assert!((summary["test_error_percent"].as_f64().expect("a number") - error).abs() < 0.005);
    for split in ["train", "valid", "best_valid", "test"] {
        assert!(summary[format!("{split}_nll")].as_f64().is_some_and(|nll| nll < 3.0), "{summary}");
    }
    let line = place.metrics("runs/c").pop().expect("lines");
    assert!(line.contains("\"error_percent\":") && !line.contains("\"error\":"), "{line}");
    assert_eq!(names(&place.path("runs/c/samples")), ["reading.gif", "reading.png"]);
    assert_eq!(size(&place, "runs/c/samples/reading.png"), sheet(10, GLIMPSES));
    let report = text(&place, "runs/c/report.html");
    let last = format!("Last test error: {error:.2} %, nll: ");
    assert!(report.contains(&last) && report.contains("<h2>Error</h2>"));
    assert!(!report.contains("Glimpses</h2>"), "it tells a decoder nothing");

    let score = place.succeed("eval c --device cpu --per-image c.csv");
    let lines: Vec<&str> = score.lines().collect();
    assert_eq!((lines[0], lines.len()), (said.trim_end(), 2));
    assert!(lines[1].starts_with("test nll: ") && lines[1].contains(" nats ("), "{score}");
    let csv = text(&place, "c.csv");
    assert_eq!(csv.lines().nth(1), Some("image,nll,error"));
    let wrong = csv.lines().filter(|line| line.ends_with(",1")).count();
    assert!((wrong as f64 / 10.0 - error).abs() < 0.005, "{wrong} of 1000");
    place.succeed("eval c --best --split valid --device cpu");

    let said = place.succeed("explain glimpses c --count 5 --out g.png --film g.gif --device cpu");
    let verdicts: Vec<&str> = said.lines().take(5).collect();
    assert!(verdicts.iter().all(|line| line.starts_with("digits test image ")), "{said}");
    assert!(
        verdicts.iter().all(|line| line.contains(", right") || line.contains(", wrong: it is "))
    );
    assert_eq!(size(&place, "g.png"), sheet(5, GLIMPSES));
    let sheet = pixelloom::data::picture::read(&place.path("g.png")).expect("a picture");
    for (i, line) in verdicts.iter().enumerate() {
        let corner = 3 * (114 * i * sheet.width);
        let red = sheet.bytes[corner] > 200 && sheet.bytes[corner + 1] < 60;
        assert_eq!(red, line.contains("wrong"), "image {i}: {line}");
    }
    place.succeed(&format!("{} --name d", tiny("classifier")));
    place.succeed("report c d --compare both.html");
    let page = text(&place, "both.html");
    for part in ["<th scope=\"col\">test error</th>", &format!("<td>{error:.2} %</td>"), "c, valid"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    place.succeed("train vae --name v --hidden 4 --epochs 1 --set data.limit=64 --device cpu");
    for kind in ["draw", "classifier"] {
        place.succeed(&format!("{} --name {kind}", tiny(kind)));
    }
    std::fs::create_dir(place.path("own")).expect("made");
    let image: Vec<f32> = (0..784).map(|i| (i % 28) as f32 / 27.0).collect();
    for name in ["own/a.png", "own/b.png", "own/c.png"] {
        super::pixel::write_png(&place, name, &image, 28);
    }
    for (command, code, parts) in [
        ("train classifier --data folder:own", 3, ["folder:own have none", "--data"]),
        ("train classifier --data digits --set model.classes=9", 3, ["model.classes = 9", "=10"]),
        ("train draw --set model.write=0", 3, ["model.write = 0", "between 1"]),
        ("train draw --layers 2", 3, ["model.layers", "does not apply"]),
        ("train vae --glimpses 2", 3, ["model.glimpses", "does not apply"]),
        ("train draw --set marginal=5", 3, ["marginal = 5", "draw"]),
        ("train draw --preset digits-cluttered", 3, ["is a classifier", "write classifier"]),
        ("eval classifier --iwae 5", 3, ["--iwae needs", "(vae, draw), this one is a classifier"]),
        ("eval draw --marginal", 3, ["--marginal needs", "this one is a draw"]),
        ("eval classifier --data folder:own", 3, ["labels", "folder:own"]),
        ("sample classifier", 3, ["draws no images", "train draw"]),
        ("sample classifier --film f.gif", 3, ["--film needs", "draw"]),
        ("sample v --strip s.png", 3, ["--strip needs", "this one is a vae"]),
        ("sample classifier --reconstruct", 3, ["--reconstruct needs", "(vae, draw)"]),
        ("sample draw --manifold", 3, ["--manifold needs", "vae"]),
        ("sample draw --count 101 --film f.gif", 3, ["101 images", "100"]),
        ("complete draw", 3, ["complete needs", "this one is a draw"]),
        ("explain glimpses v", 3, ["explain glimpses needs", "this one is a vae"]),
        ("explain glimpses draw --count 101", 3, ["101 images", "100"]),
        ("explain receptive-field draw", 3, ["receptive-field needs", "this one is a draw"]),
        ("explain receptive-field --model draw", 3, ["--model draw", "not a pixel model"]),
    ] {
        let message = place.fail(&format!("{command} --device cpu"), code);
        for part in parts {
            assert!(message.contains(part), "{command}: {part} is not in {message}");
        }
    }
    // The class of the user's own image is unknown.
    let said =
        place.succeed("explain glimpses classifier --image own/a.png --out o.png --device cpu");
    assert!(said.starts_with("own/a.png: class ") && !said.contains("wrong"), "{said}");
}
