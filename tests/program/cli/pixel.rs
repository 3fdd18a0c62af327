//! Pixel models: every kind is trained, resumed exactly, scored, sampled, completed and explained.

use pixelloom::images::sheet::{BACKGROUND, SEPARATOR, scale};
use serde_json::Value;

use super::{Place, names};

const KINDS: [&str; 4] = ["pixelcnn", "rowlstm", "diagbilstm", "multiscale"];

/// A small run of a kind with 4 batches per epoch.
fn tiny(kind: &str) -> String {
    format!(
        "train {kind} --device cpu --layers 1 --hidden 4 --set model.head=4 --batch 16 --epochs 1 \
         --log-every 2 --eval-every 1 --rate 0.01 --set data.limit=64 \
         --set optimizer.schedule=constant"
    )
}

/// The number after ": " in a line.
fn figure(line: &str) -> f64 {
    line.split(": ").nth(1).and_then(|s| s.split(' ').next()?.parse().ok()).expect("a number")
}

/// The bytes of a grey PNG, rows and columns.
fn picture(place: &Place, file: &str) -> (Vec<u8>, usize, usize) {
    let picture = pixelloom::data::picture::read(&place.path(file)).expect("a picture");
    assert_eq!(picture.channels, 1, "{file}");
    (picture.bytes, picture.height, picture.width)
}

/// Pixels along a side of a sheet with this number of 28 x 28 tiles.
fn side(tiles: usize) -> usize {
    tiles * 28 * scale(28, 28) + (tiles - 1) * SEPARATOR
}

/// Pixel (row, column) of tile (i, j) of a sheet.
fn pixel(sheet: &(Vec<u8>, usize, usize), tile: (usize, usize), at: (usize, usize)) -> u8 {
    let place =
        |tile: usize, at: usize| tile * (28 * scale(28, 28) + SEPARATOR) + at * scale(28, 28);
    sheet.0[place(tile.0, at.0) * sheet.2 + place(tile.1, at.1)]
}

#[test]
fn every_kind_writes_a_run() {
    let place = Place::new();
    for kind in KINDS {
        let said = place.succeed(&format!("{} --name {kind}", tiny(kind)));
        let name = if kind == "multiscale" { "bound" } else { "nll" };
        assert!(said.starts_with(&format!("test {name}: ")), "{said}");
        let nats = figure(&said);
        let bits = nats / (784.0 * std::f64::consts::LN_2);
        let what = "digits (embedded MNIST subset), test split, 1,000 images, dynamic binarization";
        let end = format!(" nats, {bits:.3} bits/dim ({what}, cpu)\n");
        assert!(said.ends_with(&end), "{said} does not end with {end}");
        assert!(nats > 100.0 && nats < 700.0, "{kind}: {nats}");

        let run = format!("runs/{kind}");
        let summary = place.read(&format!("{run}/summary.json"));
        let summary: Value = serde_json::from_slice(&summary).expect("JSON");
        assert_eq!((&summary["model"], &summary["score"]), (&kind.into(), &name.into()));
        for split in ["train", "valid", "best_valid", "test"] {
            assert!(summary[format!("{split}_{name}")].is_number(), "{summary}");
        }
        let written = summary["test_bits_per_dim"].as_f64().expect("a number");
        assert!((written - bits).abs() < 1e-4);
        let line = place.metrics(&run).pop().expect("lines");
        assert!(
            line.contains("\"split\":\"test\"") && line.contains("\"bits_per_dim\":"),
            "{line}"
        );
        let samples = names(&place.path(&format!("{run}/samples")));
        assert_eq!(samples, ["completions.png", "step-00000004.png"]);
        let sheet = picture(&place, &format!("{run}/samples/completions.png"));
        assert_eq!((sheet.1, sheet.2), (side(8), side(8)), "8 images, 6 completions of each");
        let report = String::from_utf8(place.read(&format!("{run}/report.html"))).expect("text");
        let text = format!("Last test {name}: {nats:.2} nats/image, {bits:.3} bits/dim (digits");
        assert!(report.contains(&text), "{kind}: no {text:?} in the report");
    }
    // A page with bounds and nlls calls them scores.
    place.succeed("report pixelcnn multiscale --compare c.html");
    let page = String::from_utf8(place.read("c.html")).expect("text");
    assert!(page.contains("valid score") && page.contains("pixelcnn, valid nll"));
}

/// One process against two with other numbers of threads.
#[test]
fn parts_equal_the_whole() {
    let place = Place::new();
    for kind in ["pixelcnn", "diagbilstm", "multiscale"] {
        let two = tiny(kind).replace("--epochs 1", "--epochs 2");
        place.succeed(&format!("{two} --name {kind}-whole --threads 2"));
        place.succeed(&format!("{} --name {kind}-parts --threads 1", tiny(kind)));
        let resume = format!("train {kind} --resume --device cpu --epochs 2 --threads 3");
        place.succeed(&format!("{resume} --name {kind}-parts"));
        place.assert_equal_runs(&format!("runs/{kind}-whole"), &format!("runs/{kind}-parts"));
    }
}

#[test]
fn weights_are_as_documented() {
    let place = Place::new();
    place.succeed(&format!("{} --name a", tiny("pixelcnn")));
    let bytes = place.read("runs/a/checkpoints/step-00000004/model.safetensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut found: Vec<(String, Vec<usize>)> =
        file.tensors().iter().map(|(name, t)| (name.to_string(), t.shape().to_vec())).collect();
    found.sort();
    let expected: [(&str, &[usize]); 14] = [
        ("first.bias", &[8]),
        ("first.weight", &[8, 1, 7, 7]),
        ("head.0.bias", &[4]),
        ("head.0.weight", &[4, 8, 1, 1]),
        ("head.1.bias", &[4]),
        ("head.1.weight", &[4, 4, 1, 1]),
        ("head.2.bias", &[1]),
        ("head.2.weight", &[1, 4, 1, 1]),
        ("layers.0.conv.bias", &[4]),
        ("layers.0.conv.weight", &[4, 4, 7, 7]),
        ("layers.0.down.bias", &[4]),
        ("layers.0.down.weight", &[4, 8, 1, 1]),
        ("layers.0.up.bias", &[8]),
        ("layers.0.up.weight", &[8, 4, 1, 1]),
    ];
    let expected: Vec<(String, Vec<usize>)> =
        expected.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect();
    assert_eq!(found, expected);
    // (out, in, row, column): mask A hides the pixel itself, mask B only later ones.
    for (name, side, first_hidden) in [("first", 7, 24), ("layers.0.conv", 7, 25)] {
        let tensor = file.tensor(&format!("{name}.weight")).expect("there");
        let values: Vec<f32> = tensor
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect();
        for kernel in values.chunks(side * side) {
            assert!(kernel[first_hidden..].iter().all(|&w| w == 0.0), "{name}: {kernel:?}");
            assert!(kernel[..first_hidden].iter().all(|&w| w != 0.0), "{name}: {kernel:?}");
        }
    }
}

#[test]
fn a_model_is_scored_and_draws() {
    let place = Place::new();
    let said = place.succeed(&format!("{} --name a", tiny("diagbilstm")));
    let score = place.succeed("eval a --device cpu --per-image a.csv");
    assert_eq!(score, said, "the same figure as at the end");
    let csv = String::from_utf8(place.read("a.csv")).expect("text");
    let mut rows = csv.lines().skip(1);
    assert_eq!(rows.next(), Some("image,nll"));
    let nlls: Vec<f64> =
        rows.map(|row| row.split(',').nth(1).expect("nll").parse().expect("a number")).collect();
    assert_eq!(nlls.len(), 1000);
    assert!((nlls.iter().sum::<f64>() / 1000.0 - figure(&score)).abs() <= 0.005);

    place.succeed("sample a --count 12 --out s.png --device cpu");
    let sheet = picture(&place, "s.png");
    assert_eq!((sheet.1, sheet.2), (side(2), side(10)));
    place.succeed("sample a --count 12 --film f.gif --out f.png --device cpu");
    assert!(place.read("s.png") == place.read("f.png"), "a film changes nothing");
    let frames = film(&place, "f.gif");
    assert!(frames.len() > 20 && frames.len() <= 120, "{} frames", frames.len());
    assert_eq!(frames.last().expect("frames"), &sheet.0, "it ends with the sheet");
    assert!(frames.windows(2).all(|w| w[0] != w[1]), "something happens in every frame");
}

/// The frames of a film of grey sheets, as bytes.
fn film(place: &Place, file: &str) -> Vec<Vec<u8>> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let file = std::fs::File::open(place.path(file)).expect("a film");
    let mut decoder = options.read_info(std::io::BufReader::new(file)).expect("a GIF");
    let mut frames = Vec::new();
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        frames.push(frame.buffer.chunks(4).map(|c| c[0]).collect());
    }
    frames
}

/// Whether the pixel (row, column) is to be filled in.
type Hidden<'a> = &'a dyn Fn(usize, usize) -> bool;

#[test]
fn images_are_completed() {
    let place = Place::new();
    for kind in ["pixelcnn", "multiscale"] {
        place.succeed(&format!("{} --name {kind}", tiny(kind)));
    }
    // White pixels are given; two bars are to be filled in.
    let hidden = |r: usize, c: usize| (10..12).contains(&r) || (20..28).contains(&c);
    let mask: Vec<f32> = (0..784).map(|i| if hidden(i / 28, i % 28) { 0.0 } else { 1.0 }).collect();
    write_png(&place, "mask.png", &mask, 28);
    let cases: [(&str, Hidden); 3] = [
        ("", &|r, _| r >= 14),
        ("--rect 3,5,20,7", &|r, c| (3..23).contains(&r) && (5..12).contains(&c)),
        ("--mask mask.png", &hidden),
    ];
    for kind in ["pixelcnn", "multiscale"] {
        for (flags, hidden) in &cases {
            let out = "--out c.png --film c.gif --device cpu";
            place.succeed(&format!("complete {kind} {flags} --count 3 --samples 2 {out}"));
            let sheet = picture(&place, "c.png");
            assert_eq!((sheet.1, sheet.2), (side(3), side(4)), "given, 2 completions, original");
            let mut differ = 0;
            for image in 0..3 {
                for (r, c) in (0..784).map(|i| (i / 28, i % 28)) {
                    let [given, one, two, original] =
                        [0, 1, 2, 3].map(|j| pixel(&sheet, (image, j), (r, c)));
                    assert!(original == 0 || original == 255, "{original}");
                    if hidden(r, c) {
                        assert_eq!(given, BACKGROUND, "{flags}: ({r}, {c})");
                        differ += usize::from(one != two) + usize::from(one != original);
                    } else {
                        assert_eq!([given, one, two], [original; 3], "{flags}: ({r}, {c})");
                    }
                }
            }
            assert!(differ > 50, "{kind} {flags}: the hidden pixels are drawn, not copied");
            let frames = film(&place, "c.gif");
            assert!(frames.len() > 5 && frames.len() <= 120, "{} frames", frames.len());
            assert_eq!(frames.last().expect("frames"), &sheet.0);
        }
    }
    // The user's own image, as the model sees it, is in the right column of the sheet.
    let image: Vec<f32> = (0..784).map(|i| (i % 28) as f32 / 27.0).collect();
    write_png(&place, "own.png", &image, 28);
    place.succeed("complete pixelcnn --image own.png --samples 1 --out o.png --device cpu");
    let sheet = picture(&place, "o.png");
    assert_eq!((sheet.1, sheet.2), (side(1), side(3)));
    assert_eq!([13, 14].map(|c| pixel(&sheet, (0, 2), (5, c))), [0, 255], "cut at half intensity");
}

/// A grey PNG of a square image in [0, 1].
pub fn write_png(place: &Place, name: &str, image: &[f32], side: usize) {
    let bytes: Vec<u8> = image.iter().map(|x| (255.0 * x).round() as u8).collect();
    let file = std::fs::File::create(place.path(name)).expect("made");
    let mut encoder = png::Encoder::new(file, side as u32, (image.len() / side) as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&bytes).expect("written");
}

#[test]
fn receptive_fields_are_shown() {
    let place = Place::new();
    for (kind, seen) in [("pixelcnn", "57 of the 406"), ("diagbilstm", "405 of the 406")] {
        let said = place.succeed(&format!(
            "explain receptive-field --model {kind} --layers 2 --out {kind}.png --device cpu"
        ));
        assert!(said.contains(&format!("{seen} pixels before it are seen")), "{said}");
        let picture = pixelloom::data::picture::read(&place.path(&format!("{kind}.png")));
        let picture = picture.expect("a picture");
        assert_eq!((picture.height, picture.width, picture.channels), (312, 280, 3));
    }
    let said = place.succeed(
        "explain receptive-field --model rowlstm --layers 1 --size 6x8 --channels 3 --channel 2 \
         --row 5 --column 1 --out c.png --device cpu",
    );
    assert!(said.starts_with("row 5, column 1, channel 2: "), "{said}");
    place.succeed(&format!("{} --name a", tiny("rowlstm")));
    let said = place.succeed("explain receptive-field a --row 3 --column 20 --device cpu");
    assert!(said.contains("of the 104 pixels before it") && !said.contains("fault"), "{said}");
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    let train = |flags: &str| place.fail(&format!("train {flags} --device cpu"), 3);
    for (flags, parts) in [
        ("pixelcnn --preset digits", ["preset digits is a vae", "write vae in place of pixelcnn"]),
        (
            "vae --preset digits-rowlstm",
            ["digits-rowlstm is a rowlstm", "write rowlstm in place of vae"],
        ),
        ("pixelcnn --latent 3", ["model.latent", "does not apply"]),
        ("vae --layers 3", ["model.layers", "does not apply"]),
        ("pixelcnn --set model.stage=1", ["model.stage", "does not apply"]),
        ("pixelcnn --set model.kind=rowlstm", ["model.kind", "preset of that kind"]),
        ("pixelcnn --binarization grey", ["grey levels", "--binarization dynamic"]),
        ("rowlstm --set model.levels=16", ["dynamic binarization has 2 levels", "= 16"]),
        ("rowlstm --set model.levels=300", ["model.levels = 300", "between 2 and 256"]),
        ("multiscale --set model.factors=[3]", ["model.height = 28", "multiple of 3"]),
        ("multiscale --set model.stage=2", ["model.stage = 2", "between 0 and 1"]),
        ("pixelcnn --set marginal=5", ["marginal = 5", "pixelcnn"]),
        ("pixelcnn --layers 0", ["model.layers = 0", "between 1"]),
        ("diagbilstm --hidden 16000 --batch 64", ["batch = 64", "model.hidden"]),
    ] {
        let message = train(flags);
        for part in parts {
            assert!(message.contains(part), "{flags}: {part} is not in {message}");
        }
    }
    assert!(!place.path("runs").exists());
    let limit = "--epochs 1 --set data.limit=64";
    place.succeed(&format!("train vae --name v --hidden 4 {limit} --device cpu"));
    place.succeed(&format!("{} --name p", tiny("pixelcnn")));
    write_png(&place, "small.png", &[0.0; 36], 6);
    write_png(&place, "white.png", &[1.0; 784], 28);
    for (command, code, parts) in [
        ("complete v", 3, ["complete needs", "pixelcnn, rowlstm"]),
        ("sample v --film f.gif", 3, ["--film needs", "this one is a vae"]),
        ("explain receptive-field v", 3, ["receptive-field needs", "vae"]),
        ("eval p --iwae 5", 3, ["--iwae needs", "vae"]),
        ("eval p --marginal", 3, ["--marginal needs", "vae"]),
        ("sample p --manifold", 3, ["--manifold needs", "vae"]),
        ("sample p --reconstruct", 3, ["--reconstruct needs", "vae"]),
        ("sample p --count 101 --film f.gif", 3, ["film of 101 images", "100"]),
        ("complete p --rect 20,0,9,28", 3, ["9 x 28", "28 x 28"]),
        ("complete p --rect 1,1,0,1", 3, ["0 x 1", "28 x 28"]),
        ("complete p --rect 1,2,3", 2, ["--rect", "14,0,14,28"]),
        ("complete p --mask small.png", 4, ["small.png", "28 x 28"]),
        ("complete p --mask white.png", 4, ["white.png", "nothing to fill"]),
        ("complete p --image small.png", 4, ["small.png", "28 x 28"]),
        ("complete p --data frey --data-dir nowhere", 4, ["frey", "datasets.sh"]),
        ("eval p --binarization grey", 3, ["grey levels", "--binarization"]),
        ("explain receptive-field p --row 28", 3, ["row 28", "28 x 28"]),
        ("explain receptive-field", 2, ["--model", "RUN"]),
        ("explain receptive-field --model vae", 3, ["--model vae", "not a pixel model"]),
        (
            "train vae --resume --name p",
            3,
            ["runs/p is a pixelcnn", "write pixelcnn in place of vae"],
        ),
    ] {
        let output = place.run(&format!("{command} --device cpu"));
        let message = super::stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{command}: {message}");
        for part in parts {
            assert!(message.contains(part), "{command}: {part} is not in {message}");
        }
    }
}
