//! The real sets, if available: published checksums, means, counts.

use pixelloom::data::{Binarization, Images, amat, bits, open};

use super::digits::hex;
use super::samples;

fn mean(parts: &[&Images]) -> f64 {
    let sum: u64 = parts.iter().flat_map(|p| p.pixels.iter()).map(|&v| u64::from(v)).sum();
    let values: usize = parts.iter().map(|p| p.pixels.len()).sum();
    sum as f64 / values as f64 / f64::from(parts[0].max)
}

#[track_caller]
fn near(got: f64, expected: f64, tolerance: f64) {
    let error = (got - expected).abs();
    assert!(error <= tolerance, "{got}, expected {expected}");
}

#[test]
fn mnist() {
    let Some(dir) = samples::shared("mnist") else { return };
    let set = open("mnist", None, &dir).unwrap();
    assert_eq!(set.binarization, Binarization::Dynamic);
    assert_eq!([set.train.count, set.valid.count, set.test.count], [50_000, 10_000, 10_000]);
    near(mean(&[&set.train, &set.valid]), 0.13066, 5e-6);
    let mut counts = [0; 10];
    for labels in [&set.train.labels, &set.valid.labels] {
        labels.as_ref().unwrap().iter().for_each(|&label| counts[usize::from(label)] += 1);
    }
    assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
}

/// The largest log-likelihood of bits under the grey levels of any image in which every bit is possible.
fn best(bits: &[u8], grey: &Images) -> f32 {
    let log = |p: f32| if p > 0.0 { p.ln() } else { f32::NEG_INFINITY };
    let table: Vec<[f32; 2]> =
        (0..=255).map(|v| f32::from(v as u8) / 255.0).map(|p| [log(1.0 - p), log(p)]).collect();
    let likelihood = |i: usize| -> f32 {
        let levels = grey.image(i).iter();
        levels.zip(bits).map(|(&v, &bit)| table[usize::from(v)][usize::from(bit)]).sum()
    };
    (0..grey.count).map(likelihood).fold(f32::NEG_INFINITY, f32::max)
}

/// Both sets hold out the same images, so that a model can be fine-tuned on the other set. The test repeats the
/// matching for some images of the fixed file.
#[test]
fn mnist_and_binarized_mnist_hold_out_the_same_images() {
    let Some(dir) = samples::shared("mnist") else { return };
    let grey = open("mnist", None, &dir).unwrap();
    let fixed = open("binarized-mnist", None, &dir).unwrap();
    for (bits, own, other) in
        [(&fixed.valid, &grey.valid, &grey.train), (&fixed.train, &grey.train, &grey.valid)]
    {
        for image in (0..bits.count).step_by(bits.count / 20) {
            let (here, there) = (best(bits.image(image), own), best(bits.image(image), other));
            assert!(here.is_finite() && here > there, "image {image}: {here} here, {there} there");
        }
    }
}

#[test]
fn binarized_mnist() {
    let Some(dir) = samples::shared("binarized_mnist") else { return };
    let set = open("binarized-mnist", None, &dir).unwrap();
    assert_eq!(set.binarization, Binarization::Fixed);
    let amats = tempfile::tempdir().unwrap();
    let folder = amats.path().join("binarized_mnist");
    std::fs::create_dir(&folder).unwrap();
    for (images, split, count, expected, sha256) in [
        (
            &set.train,
            "train",
            50_000,
            0.13056227,
            "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
        ),
        (
            &set.valid,
            "valid",
            10_000,
            0.13112704,
            "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
        ),
        (
            &set.test,
            "test",
            10_000,
            0.13251224,
            "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
        ),
    ] {
        assert_eq!((images.count, images.max), (count, 1));
        near(mean(&[images]), expected, 5e-9);
        let text = samples::amat(&images.pixels);
        assert_eq!(hex(&text), sha256, "{split}");
        assert!(amat::parse(&text, split).unwrap().pixels == images.pixels, "{split}");
        std::fs::write(folder.join(format!("binarized_mnist_{split}.amat")), text).unwrap();
    }
    let read = open("binarized-mnist", Some(Binarization::Fixed), amats.path()).unwrap();
    assert!(read.test.pixels == set.test.pixels && read.train.pixels == set.train.pixels);
    let packed = std::fs::read(dir.join("binarized_mnist/valid.bits")).unwrap();
    assert!(bits::parse(&packed, "valid").unwrap().pixels == set.valid.pixels);
}

#[test]
fn frey_face() {
    let Some(dir) = samples::shared("frey_face") else { return };
    let set = open("frey", None, &dir).unwrap();
    assert_eq!(set.binarization, Binarization::Grey);
    let parts = [&set.train, &set.valid, &set.test];
    assert_eq!(parts.map(|p| p.count), [1565, 200, 200]);
    assert_eq!((set.train.height, set.train.width, set.train.channels), (28, 20, 1));
    let values = || parts.into_iter().flat_map(|p| p.pixels.iter().copied());
    assert_eq!((values().min(), values().max()), (Some(8), Some(238)));
    // The same images as in the file, each once, in another order that does not depend on a run's seed.
    let file = std::fs::read(dir.join("freyface/frey_rawface.mat")).unwrap();
    let mut original: Vec<&[u8]> = file[184..].chunks(560).collect();
    let mut read: Vec<&[u8]> =
        parts.into_iter().flat_map(|p| (0..p.count).map(|i| p.image(i))).collect();
    assert!(original != read, "not shuffled");
    original.sort();
    read.sort();
    assert!(original == read, "other images");
    assert_eq!(
        hex(&set.test.pixels),
        "a31ff011062e7a1768da62bb78b119fd4bc7454b25a576f4a7e57694a8a19f9e"
    );
}
