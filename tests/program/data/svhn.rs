//! The formats of the Street View House Numbers: files that other programs wrote (`make_samples.py` defines their
//! values), and all errors in them.

use std::path::{Path, PathBuf};

use pixelloom::data::{open, svhn_cropped};
use proptest::prelude::*;

use super::samples::{self, Mat, says};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/data/svhn").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(sample(name)).unwrap()
}

#[test]
fn cropped_digits_as_scipy_writes_them() {
    let images = svhn_cropped::parse(&read("train_32x32.mat"), "file.x").unwrap();
    assert_eq!((images.count, images.height, images.width, images.channels), (5, 32, 32, 3));
    assert_eq!(images.labels.as_deref(), Some(&[1, 9, 0, 2, 5][..]));
    for (e, &value) in images.pixels.iter().enumerate() {
        let (image, row, column, channel) = (e / 3072, e / 96 % 32, e / 3 % 32, e % 3);
        let expected = (7 * row + 3 * column + 50 * channel + 11 * image) % 256;
        assert_eq!(usize::from(value), expected, "{image} {row} {column} {channel}");
    }
}

#[test]
fn cropped_digits_that_are_not() {
    let mat = Mat { big_endian: false };
    let file = |dims: &[u32], labels: &[u8]| {
        let size = dims.iter().product::<u32>() as usize;
        let y = mat.array(9, "y", &[labels.len() as u32, 1], labels);
        let file = mat.file(&[mat.array(9, "X", dims, &vec![7; size]), mat.compressed(&y)]);
        svhn_cropped::parse(&file, "file.x")
    };
    assert_eq!(file(&[32, 32, 3, 2], &[10, 1]).unwrap().labels.unwrap(), [0, 1]);
    assert_eq!(file(&[32, 32, 3], &[3]).unwrap().count, 1);
    says(file(&[32, 32, 3, 2], &[0, 1]), "label 0 is 0, expected 1 to 10");
    says(file(&[32, 32, 3, 2], &[1, 11]), "label 1 is 11");
    says(file(&[32, 32, 3, 2], &[1]), "array \"y\" is [1, 1], expected [2, 1]");
    says(file(&[32, 32, 1, 2], &[1, 1]), "array \"X\" is [32, 32, 1, 2], expected [32, 32, 3, N]");
    says(file(&[3, 32, 32, 2], &[1, 1]), "expected [32, 32, 3, N]");
    says(file(&[32, 32, 3, 0], &[]), "contains no images");
    let no_labels = mat.file(&[mat.array(9, "X", &[32, 32, 3, 1], &[7; 3072])]);
    says(svhn_cropped::parse(&no_labels, "file.x"), "contains no array \"y\"");
    says(svhn_cropped::parse(&read("train.tar.gz"), "file.x"), "is not a MATLAB 5 file");
    let good = read("train_32x32.mat");
    says(svhn_cropped::parse(&good[..good.len() - 1], "file.x"), "are left");
    let mut damaged = good.clone();
    damaged[600] ^= 16;
    says(svhn_cropped::parse(&damaged, "file.x"), "compressed data");

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("svhn_cropped")).unwrap();
    std::fs::write(dir.path().join("svhn_cropped/test_32x32.mat"), good).unwrap();
    let message = open("svhn-cropped", None, dir.path()).unwrap_err().to_string();
    assert!(message.contains("contains 5 images, but SVHN (cropped) has 26,032"), "{message}");
    assert!(message.ends_with("svhn-cropped"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_cropped_digits_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let _ = svhn_cropped::parse(&samples::mutated(read("train_32x32.mat"), &edits, (!keep).then_some(cut)), "x");
    }
}
