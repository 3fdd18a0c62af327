//! Samples in any number: the same image for any count, pages, single files and archives; temperature; latent variables
//! of images and rows between two of them.

use std::fs;
use std::process::Stdio;

use super::{Place, names};

/// The arrays of an archive, by name: the shape as it is written, and the bytes. Entries are stored, so an array begins
/// behind its magic.
fn arrays(bytes: &[u8]) -> Vec<(String, String, Vec<u8>)> {
    let at = |mark: &[u8], from: usize| {
        let found = bytes[from..].windows(mark.len()).position(|part| part == mark);
        found.map(|place| from + place)
    };
    let (mut all, mut from) = (Vec::new(), 0);
    while let Some(entry) = at(b"PK\x03\x04", from) {
        let name = usize::from(u16::from_le_bytes([bytes[entry + 26], bytes[entry + 27]]));
        let name = String::from_utf8(bytes[entry + 30..entry + 30 + name].to_vec()).expect("text");
        let header = at(b"\x93NUMPY", entry).expect("an array") + 10;
        let length = usize::from(u16::from_le_bytes([bytes[header - 2], bytes[header - 1]]));
        let data = header + length;
        let end = at(b"PK\x07\x08", data).expect("its end");
        let shape = String::from_utf8(bytes[header..data].to_vec()).expect("text");
        all.push((name, shape.trim().to_string(), bytes[data..end].to_vec()));
        from = end;
    }
    all
}

pub fn pixels(place: &Place, file: &str) -> Vec<u8> {
    let mut all = arrays(&place.read(file));
    assert_eq!(all.len(), 1);
    all.remove(0).2
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    bytes.chunks_exact(4).map(number).collect()
}

/// Runs of one epoch on tiny images, one of each kind of sampler.
fn tiny_runs(place: &Place) {
    for kind in ["vae", "draw", "pixelcnn", "multiscale"] {
        let own = if kind == "multiscale" {
            "--set model.factors=[2] --set model.condition=2"
        } else {
            ""
        };
        let run = super::small(kind).replace("--epochs 3", "--epochs 1");
        place.succeed(&format!("{run} {own} --name {kind}"));
    }
}

#[test]
fn an_image_of_a_seed_does_not_depend_on_the_others() {
    let place = Place::with_images();
    tiny_runs(&place);
    for kind in ["vae", "draw", "pixelcnn", "multiscale"] {
        let images = |count: usize, more: &str| {
            let out = format!("--npz {count}.npz --device cpu");
            place.succeed(&format!("sample {kind} --count {count} {out} {more}"));
            pixels(&place, &format!("{count}.npz"))
        };
        let all = images(230, "");
        assert_eq!(all.len(), 230 * 36, "{kind}");
        for count in [1, 7, 100, 130] {
            assert!(
                images(count, "--threads 3")[..] == all[..count * 36],
                "{kind}, {count} images"
            );
        }
        assert!(images(7, "--seed 2")[..] != all[..7 * 36], "{kind}");
        if kind != "vae" {
            assert!(images(9, "--film f.gif")[..] == all[..9 * 36], "{kind}, with a film");
        }
        assert!(images(8, "--nearest n.png")[..] == all[..8 * 36], "{kind}, with neighbours");
    }
}

/// The same images as pages, as single files and as an array.
#[test]
fn many_images_are_pages_files_or_an_array() {
    let place = Place::with_images();
    let run = super::small("vae").replace("--epochs 3", "--epochs 1");
    place.succeed(&format!("{run} --name a"));
    let command = "sample a --count 2100 --out p.png --each each --npz all.npz --device cpu";
    let said = place.succeed(command);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["p-1.png", "p-2.png", "p-3.png", "each", "all.npz"]
    );
    let all = arrays(&place.read("all.npz"));
    let shape = "{'descr': '|u1', 'fortran_order': False, 'shape': (2100, 6, 6, 1), }";
    assert_eq!((all[0].0.as_str(), all[0].1.as_str()), ("arr_0.npy", shape));
    let files = names(&place.path("each"));
    assert_eq!(
        (files.len(), files[0].as_str(), files[2099].as_str()),
        (2100, "00000.png", "02099.png")
    );
    for i in [0, 1, 999, 1000, 2099] {
        let file = fs::File::open(place.path(&format!("each/{i:05}.png"))).expect("there");
        let mut reader =
            png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut bytes).expect("an image");
        assert!(bytes == all[0].2[i * 36..(i + 1) * 36], "image {i}");
    }
    // The program's own files are replaced and other files are not, and no sheet is written.
    fs::write(place.path("each/00007.png"), "my own").expect("written");
    let message = place.fail("sample a --count 10 --each each --device cpu", 3);
    assert!(message.contains("each/00007.png exists and is a text file"), "{message}");
    assert_eq!(fs::read(place.path("each/00007.png")).expect("read"), b"my own");
    place.succeed("sample a --count 7 --each each --device cpu");
    assert!(!place.path("samples.png").exists());
    for (arguments, part) in [
        ("--each all.npz", "is no folder"),
        ("--each runs/a/samples", "inside the run"),
        ("--npz all.zip", ".npz"),
        ("--count 1001 --out /dev/stdout", "2 pages"),
        ("--count 1001 --nearest n.png", "1000 images at most"),
    ] {
        let message = place.fail(&format!("sample a --device cpu {arguments}"), 3);
        assert!(message.contains(part), "{arguments}: {message}");
        assert_eq!(message.lines().count(), 1, "nothing comes before the refusal: {message}");
    }
    // An archive goes to a pipe as well.
    let command = place.command("sample a --count 3 --npz /dev/stdout --device cpu").output();
    assert!(arrays(&command.expect("it runs").stdout)[0].2 == all[0].2[..3 * 36]);
}

/// At a very low temperature, latent variables are 0 and every pixel has its most likely level.
#[test]
fn a_low_temperature_makes_images_alike() {
    let place = Place::with_images();
    tiny_runs(&place);
    for kind in ["vae", "draw", "pixelcnn", "multiscale"] {
        let different = |temperature: &str| {
            place.succeed(&format!(
                "sample {kind} --count 20 --temperature {temperature} --npz t.npz --device cpu --force"
            ));
            let all = pixels(&place, "t.npz");
            let first = all[..36].iter().cycle();
            all.iter().zip(first).filter(|(a, b)| a.abs_diff(**b) > 2).count()
        };
        let (cold, usual) = (different("0.01"), different("1"));
        assert!(
            4 * cold < 3 * usual,
            "{kind}: {cold} and {usual} values differ from the first image's"
        );
    }
    for text in ["0", "-1", "NaN", "1e9", "x"] {
        place.fail(&format!("sample vae --temperature={text}"), 2);
    }
}

#[test]
fn latent_variables_are_written_and_measured() {
    let place = Place::new();
    place.succeed("encode vae --out l.npz --device cpu");
    let all = arrays(&place.read("l.npz"));
    let of = |i: usize| (all[i].0.as_str(), all[i].1.contains("(1000, 2)"));
    assert_eq!((of(0), of(1)), (("mean.npy", true), ("log_variance.npy", true)));
    // The labels of the embedded digits cycle from 0 to 9.
    assert_eq!(
        (all[2].0.as_str(), &all[2].2[..11]),
        ("labels.npy", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0][..])
    );
    let (mean, log_variance) = (floats(&all[0].2), floats(&all[1].2));
    let object: serde_json::Value =
        serde_json::from_str(&place.succeed("eval vae --device cpu --json")).expect("JSON");
    let mut sum = 0.0;
    for d in 0..2 {
        let kl = |i: usize| {
            let (m, lv) = (f64::from(mean[2 * i + d]), f64::from(log_variance[2 * i + d]));
            0.5 * (m * m + lv.exp() - 1.0 - lv)
        };
        let kl = (0..1000).map(kl).sum::<f64>() / 1000.0;
        let given = object["kl_per_latent"][d].as_f64().expect("a number");
        assert!((kl - given).abs() < 1e-9, "{kl} is not {given}");
        sum += given;
    }
    let kl = object["means"]["kl"].as_f64().expect("a number");
    assert!((sum - kl).abs() < 1e-3 * kl, "{sum} is not {kl}");
    assert_eq!(object["active_units"], 2);
    assert!(place.fail("encode draw", 3).contains("encode needs a model with one latent variable"));

    let said = place.succeed("sample vae --between 3,17 --count 5 --out row.png --device cpu");
    assert_eq!(said.trim(), "row.png");
    for (ends, code, part) in [
        ("3", 2, "two images"),
        ("3,1000", 3, "there is no test image 1000; digits has 1000"),
        ("3,none.png", 4, "none.png"),
    ] {
        let message = place.fail(&format!("sample vae --between {ends} --device cpu"), code);
        assert!(message.contains(part), "{message}");
    }
    assert!(place.fail("sample pixelcnn --between 1,2", 3).contains("--between needs a model"));
}

/// `eval --per-image FILE | head -1` writes the whole file.
#[test]
fn a_reader_that_leaves_costs_no_file() {
    let place = Place::new();
    let mut command = place.command("eval vae --per-image f.csv --device cpu");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    assert_eq!(String::from_utf8(place.read("f.csv")).expect("text").lines().count(), 1002);
}
