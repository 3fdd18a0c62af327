//! Data sets that are missing or damaged, pictures that do not fit.

use png::ColorType::{Grayscale, Rgb};

use super::super::TINY;
use super::{Place, Transcript, said};

/// A picture of one colour.
fn picture(place: &Place, file: &str, height: u32, width: u32, color: png::ColorType, value: u8) {
    let path = place.path(file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let file = std::fs::File::create(path).expect("a file");
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let count = height as usize * width as usize * color.samples();
    let bytes: Vec<u8> = (0..count).map(|i| value + 40 * (i % color.samples()) as u8).collect();
    encoder.write_header().expect("written").write_image_data(&bytes).expect("written");
}

#[test]
fn data_sets() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    let sets = [
        "mnist",
        "binarized-mnist",
        "frey",
        "cifar10",
        "svhn",
        "svhn-small",
        "svhn-cropped",
        "two-mnist",
    ];
    for set in sets {
        transcript.fails(&format!("data {set}"), 4);
    }
    transcript.fails("train vae --data frey --data-dir elsewhere --device cpu", 4);
    for (file, bytes) in [
        ("bad/mnist/t10k-labels-idx1-ubyte", &b"\0\0\x08\x03"[..]),
        ("bad/binarized_mnist/train.bits", b"bits"),
        ("bad/freyface/frey_rawface.mat", b"no MATLAB"),
        ("bad/cifar10/test_batch.bin", b"short"),
        ("bad/svhn/train.tar.gz", b"none"),
        ("bad/svhn/test.tar.gz", b"none"),
        ("bad/svhn_cropped/test_32x32.mat", b""),
    ] {
        let path = place.path(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
    for set in ["mnist", "binarized-mnist", "frey", "cifar10", "svhn-small", "svhn-cropped"] {
        transcript.fails(&format!("data {set} --data-dir bad"), 4);
    }
    said!(transcript);
}

#[test]
fn folders_of_pictures() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    transcript.fails("data folder:nowhere", 4);
    std::fs::write(place.path("file"), "text").expect("written");
    transcript.fails("data folder:file", 4);
    picture(&place, "two/a.png", 4, 4, Grayscale, 0);
    picture(&place, "two/b.png", 4, 4, Grayscale, 0);
    transcript.fails("data folder:two", 4);
    picture(&place, "splits/train/a.png", 4, 4, Grayscale, 0);
    transcript.fails("data folder:splits", 4);
    std::fs::create_dir_all(place.path("splits/valid")).expect("made");
    std::fs::create_dir_all(place.path("splits/test")).expect("made");
    transcript.fails("data folder:splits", 4);
    picture(&place, "splits/stray.png", 4, 4, Grayscale, 0);
    transcript.fails("data folder:splits", 4);
    for (split, size) in [("train", 4), ("valid", 4), ("test", 5)] {
        picture(&place, &format!("sizes/{split}/a.png"), size, size, Grayscale, 0);
    }
    transcript.fails("data folder:sizes", 4);
    std::fs::write(place.path("sizes/test/a.png"), "no picture").expect("written");
    transcript.fails("data folder:sizes", 4);
    let good = place.read("sizes/train/a.png");
    std::fs::write(place.path("sizes/test/a.png"), &good[..30]).expect("written");
    transcript.fails("data folder:sizes", 4);
    transcript.fails("data folder:sizes --binarization fixed", 3);
    transcript.fails("data folder:splits --size 0", 3);
    transcript.fails("data digits --size 8", 3);
    transcript.fails("data digits --transpose", 3);
    transcript.fails("data idx:splits", 4);
    transcript.fails("data idx:nowhere/at/all", 4);
    said!(transcript);
}

/// Masks, images and rectangles of `complete` and `explain`.
#[test]
fn pictures_that_do_not_fit_a_model() {
    let place = Place::new();
    let mut transcript = Transcript::new(&place);
    place.succeed(
        "train pixelcnn --device cpu --hidden 4 --layers 1 --set model.head=4 --batch 20 --epochs 1 \
         --set data.limit=20 --name p",
    );
    picture(&place, "small.png", 27, 28, Grayscale, 0);
    picture(&place, "colour.png", 28, 28, Rgb, 0);
    picture(&place, "white.png", 28, 28, Grayscale, 255);
    std::fs::write(place.path("text.png"), "no picture").expect("written");
    for (flags, code) in [
        ("--mask small.png", 4),
        ("--mask white.png", 4),
        ("--mask missing.png", 4),
        ("--mask text.png", 4),
        ("--image small.png", 4),
        ("--image colour.png", 4),
        ("--image missing.png", 4),
        ("--rect 20,0,10,28", 3),
        ("--rect 0,0,0,28", 3),
        ("--rect 18446744073709551615,0,2,28", 3),
        ("--film f.gif --count 1000", 3),
        ("--data mnist", 4),
        ("--data two-digits", 3),
        ("--binarization grey", 3),
    ] {
        transcript.fails(&format!("complete p {flags} --device cpu"), code);
    }
    for (command, code) in [
        ("eval p --iwae 3", 3),
        ("eval p --marginal", 3),
        ("sample p --manifold", 3),
        ("sample p --reconstruct", 3),
        ("sample p --strip s.png", 3),
        ("sample p --film f.gif --count 1000", 3),
        ("explain receptive-field p --row 28", 3),
        ("explain receptive-field p --channel 1", 3),
        ("explain glimpses p", 3),
        ("explain glimpses p --count 5000", 3),
        ("eval p --data nothing", 3),
        ("eval p --binarization nothing", 3),
    ] {
        transcript.fails(&format!("{command} --device cpu"), code);
    }
    place.succeed(&format!(
        "{} --name v --epochs 1",
        TINY.replace("--epochs 3", "").replace("--latent 2", "--latent 3")
    ));
    for command in
        ["complete v", "sample v --manifold", "sample v --film f.gif", "explain receptive-field v"]
    {
        transcript.fails(&format!("{command} --device cpu"), 3);
    }
    said!(transcript);
}
