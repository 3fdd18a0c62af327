//! The embedded digits: their content, and how they were chosen.
//!
//! With PIXELLOOM_MAKE_DIGITS set, the last test writes the files of `src/data/digits` from MNIST
//! instead of comparing them with it.

use std::path::Path;
#[cfg(not(debug_assertions))]
use std::time::Instant;

use pixelloom::data::{Images, digits, idx, open, shuffled};
use pixelloom::rng::{Key, stream};
use sha2::{Digest, Sha256};

use super::samples;

/// sha256 of pixels and labels, for train, then test.
const SHA256: &str = "96f98c9b7fa46248863539755417b3b69f00b6f6f55ac9bf5adf6887a9e66773";

/// The files, the number per class, and the step of the key that chose them.
const PARTS: [(&str, usize, u32); 2] = [("train", 500, 0), ("t10k", 100, 1)];

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn content_is_what_was_committed() {
    let (train, test) = (digits::train().unwrap(), digits::test().unwrap());
    let labels = |images: &Images| images.labels.clone().unwrap();
    let all = [&train.pixels[..], &labels(&train), &test.pixels, &labels(&test)].concat();
    assert_eq!(hex(all), SHA256);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/digits");
    let sizes = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().metadata().unwrap().len());
    let size: u64 = sizes.sum();
    assert!(size < 1_000_000, "{size} bytes");
}

#[test]
fn splits_and_prefixes_are_balanced() {
    let set = open("digits", None, Path::new("data")).unwrap();
    assert_eq!([set.train.count, set.valid.count, set.test.count], [4500, 500, 1000]);
    for images in [&set.train, &set.valid, &set.test] {
        assert_eq!((images.height, images.width, images.channels, images.max), (28, 28, 1, 255));
        let labels = images.labels.as_ref().unwrap();
        assert_eq!(labels.len(), images.count);
        assert!(labels.iter().enumerate().all(|(i, &label)| usize::from(label) == i % 10));
    }
}

#[cfg(not(debug_assertions))]
#[test]
fn opens_within_a_tenth_of_a_second() {
    // The fastest of five, because other tests run at the same time.
    let times = (0..5).map(|_| {
        let start = Instant::now();
        open("digits", None, Path::new("data")).unwrap();
        start.elapsed()
    });
    let fastest = times.min().unwrap();
    assert!(fastest.as_millis() < 100, "{fastest:?}");
}

/// From each class, the images whose index has the smallest Philox words, with alternating classes.
fn chosen(images: &Images, labels: &[u8], per_class: usize, step: u32) -> Images {
    let order = shuffled(images.count, Key::new(0, stream::SPLIT, step));
    let of = |class: u8| {
        let members = order.iter().copied().filter(move |&i| labels[i] == class);
        members.take(per_class).collect::<Vec<usize>>()
    };
    let classes: Vec<Vec<usize>> = (0..10).map(of).collect();
    let turns: Vec<usize> =
        (0..per_class).flat_map(|k| classes.iter().map(move |class| class[k])).collect();
    let mut chosen = images.select(&turns);
    chosen.labels = Some(turns.iter().map(|&i| labels[i]).collect());
    chosen
}

#[test]
fn come_from_mnist_by_the_stated_rule() {
    let Some(dir) = samples::shared("come_from_mnist_by_the_stated_rule") else { return };
    let read = |name: String| std::fs::read(dir.join("mnist").join(name)).unwrap();
    for (stem, per_class, step) in PARTS {
        let images = idx::parse_images(&read(format!("{stem}-images-idx3-ubyte.gz")), stem);
        let labels = idx::parse_labels(&read(format!("{stem}-labels-idx1-ubyte.gz")), stem);
        let chosen = chosen(&images.unwrap(), &labels.unwrap(), per_class, step);
        let count = chosen.count as u32;
        let labels = chosen.labels.clone().unwrap();
        if std::env::var_os("PIXELLOOM_MAKE_DIGITS").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/digits");
            let images = samples::idx(0x0803, &[count, 28, 28], &chosen.pixels);
            let labels = samples::idx(0x0801, &[count], &labels);
            for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
                let path = folder.join(format!("{stem}-{kind}-ubyte.gz"));
                std::fs::write(path, samples::gz(&bytes)).unwrap();
            }
        } else {
            let embedded = if stem == "train" { digits::train() } else { digits::test() }.unwrap();
            assert!(embedded.pixels == chosen.pixels, "{stem}: other pixels");
            assert_eq!(embedded.labels.unwrap(), labels, "{stem}");
        }
    }
}
