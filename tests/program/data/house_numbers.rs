//! The full Street View House Numbers: the archive that `make_samples.py` wrote, stored images, and all errors in
//! archives and their content.

use std::io::Read;
use std::path::{Path, PathBuf};

use pixelloom::data::digit_struct::{self, Bounds};
use pixelloom::data::picture::{self, Picture};
use pixelloom::data::scene::{Scene, SceneKind};
use pixelloom::data::{EVALUATION_SEED, open, outline, resize, svhn, svhn_archive};
use pixelloom::{Error, Result};
use proptest::prelude::*;
use tempfile::TempDir;

use super::samples::{self, says};
use crate::peak::peak;

const IMAGE: usize = 64 * 64 * 3;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/data/svhn").join(name)
}

/// Names and contents of the sample archive's files.
fn contents() -> Vec<(String, Vec<u8>)> {
    let file = flate2::read::GzDecoder::new(std::fs::File::open(sample("train.tar.gz")).unwrap());
    let mut archive = tar::Archive::new(file);
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    files.filter(|(name, _)| !name.ends_with('/')).collect()
}

fn digit_struct() -> Vec<u8> {
    contents().into_iter().find(|(name, _)| name.ends_with("digitStruct.mat")).unwrap().1
}

/// A folder with the sample archive.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(sample("train.tar.gz"), dir.path().join("train.tar.gz")).unwrap();
    dir
}

/// The sample archive with its files changed.
fn prepared(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Result<Vec<u8>> {
    let mut files = contents();
    change(&mut files);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    of_bytes(&samples::gz(&archive.into_inner().unwrap()))
}

fn of_bytes(archive: &[u8]) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.x");
    std::fs::write(&path, archive).unwrap();
    // The message starts with the full path of the file.
    svhn_archive::prepare(&path, 6)
        .map_err(|e| Error::Data(e.to_string().replace(&format!("{}/", dir.path().display()), "")))
}

#[test]
fn digit_struct_as_hdf5_writes_it() {
    let pictures = digit_struct::parse(digit_struct(), "file.x").unwrap();
    assert_eq!(pictures.len(), 6);
    for (i, (name, bounds)) in pictures.iter().enumerate() {
        let (n, last) = (i + 1, i % 3);
        // Digit d is at (4 + 9 d, 3 + 2 d) and has the size (8 + n, 12 + d).
        let [mut right, mut bottom] = [4 + 9 * last + 8 + n, 3 + 2 * last + 12 + last];
        if n == 6 {
            [right, bottom] = [22 + 42, 7 + 90];
        }
        let [right, bottom] = [right as f64, bottom as f64];
        assert_eq!(*name, format!("{n}.png"));
        assert_eq!(*bounds, Bounds { left: 4.0, top: 3.0, right, bottom });
    }
}

/// Compared with pillow, which rounds between its two passes.
#[test]
fn numbers_are_cut_out_and_resized() {
    let images = svhn_archive::prepare(&sample("train.tar.gz"), 6).unwrap();
    let expected = picture::read(&sample("prepared.png")).unwrap();
    assert_eq!((images.len(), expected.bytes.len()), (6 * IMAGE, 6 * IMAGE));
    for (e, (a, b)) in images.iter().zip(&expected.bytes).enumerate() {
        assert!(a.abs_diff(*b) <= 1, "image {} value {}: {a} != {b}", e / IMAGE, e % IMAGE);
    }
    let same = images.iter().zip(&expected.bytes).filter(|(a, b)| a == b).count();
    assert!(same > images.len() / 2, "only {same} are equal");
}

#[test]
fn resizing_by_hand() {
    let grey = Picture::new(2, 2, 1, vec![0, 100, 200, 40]);
    let same = resize::resized(&grey, (0.0, 2.0), (0.0, 2.0), 2, 2);
    assert_eq!(same, [0, 100, 200, 40]);
    // The centre of the single new pixel is the centre of the picture, so the triangle weights the old pixels equally.
    assert_eq!(resize::resized(&grey, (0.0, 2.0), (0.0, 2.0), 1, 1), [85]);
    // A quarter of the way between neighbours; at the edge only one neighbour.
    let wide = resize::resized(&grey, (0.0, 1.0), (0.0, 2.0), 1, 4);
    assert_eq!(wide[..2], [0, 25]);
    let colours = Picture::new(1, 1, 4, vec![9, 8, 7, 0]);
    assert_eq!(resize::resized(&colours, (0.0, 1.0), (0.2, 0.6), 1, 2), [9, 8, 7, 0, 9, 8, 7, 0]);
}

#[test]
fn splits_and_crops() {
    let dir = folder();
    let prepared = svhn_archive::prepare(&sample("train.tar.gz"), 6).unwrap();
    let centre = |k: usize| -> Vec<u8> {
        let value =
            |e: usize| prepared[k * IMAGE + ((5 + e / 162) * 64 + 5 + e / 3 % 54) * 3 + e % 3];
        (0..54 * 54 * 3).map(value).collect()
    };
    let test = svhn::testing(dir.path(), "train", 6, &|_| ()).unwrap();
    assert_eq!((test.count, test.height, test.width, test.channels), (6, 54, 54, 3));
    assert!((0..6).all(|k| test.image(k) == centre(k)));

    let (train, valid) = svhn::learning(dir.path(), &[("train", 6)], 2, &|_| ()).unwrap();
    assert_eq!((train.count, train.height, train.width, valid.count), (4, 54, 54, 2));
    assert_eq!(train.scene, Some(Scene { kind: SceneKind::Crop, height: 64, width: 64 }));
    // Every image is in exactly one split, and the training images keep their order.
    let held: Vec<usize> =
        (0..2).map(|v| (0..6).find(|&k| valid.image(v) == centre(k)).unwrap()).collect();
    assert_ne!(held[0], held[1]);
    let rest: Vec<usize> = (0..6).filter(|k| !held.contains(k)).collect();
    for (t, k) in rest.into_iter().enumerate() {
        assert!(train.image(t) == &prepared[k * IMAGE..][..IMAGE], "{t}");
    }
    assert!(train.view(1, 3, 0) != train.view(1, 3, 1));
    assert_eq!(train.view(1, EVALUATION_SEED, 0).len(), 54 * 54 * 3);

    // Two parts are concatenated.
    std::fs::copy(sample("train.tar.gz"), dir.path().join("extra.tar.gz")).unwrap();
    let parts = [("train", 6), ("extra", 6)];
    let (train, valid) = svhn::learning(dir.path(), &parts, 5, &|_| ()).unwrap();
    assert_eq!((train.count, valid.count), (7, 5));
    let of = |image: &[u8]| (0..6).find(|k| &prepared[k * IMAGE..][..IMAGE] == image).unwrap();
    let mut seen: Vec<usize> = (0..7).map(|t| of(train.image(t))).collect();
    seen.extend((0..5).map(|v| (0..6).find(|&k| valid.image(v) == centre(k)).unwrap()));
    seen.sort();
    assert_eq!(seen, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
}

#[test]
fn prepared_images_are_stored_and_made_again_when_damaged() {
    let dir = folder();
    let (archive, kept) = (dir.path().join("train.tar.gz"), dir.path().join("train-64.bin"));
    let test = || svhn::testing(dir.path(), "train", 6, &|_| ());
    let first = test().unwrap().pixels;
    let good = std::fs::read(&kept).unwrap();
    assert_eq!(good.len(), 32 + 6 * (IMAGE + 4));
    // A stored file is used unchanged, as its first image shows.
    let mut other = good.clone();
    other[32..32 + IMAGE].fill(9);
    let mut crc = flate2::Crc::new();
    crc.update(&other[32..32 + IMAGE]);
    other[32 + IMAGE..36 + IMAGE].copy_from_slice(&crc.sum().to_le_bytes());
    std::fs::write(&kept, &other).unwrap();
    assert!(test().unwrap().image(0).iter().all(|&v| v == 9));

    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let ends = [good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), Vec::new()];
    let wrong = [0, 16, 24, 32, 40_000, good.len() - 1].map(flipped).into_iter().chain(ends);
    for (i, bytes) in wrong.enumerate() {
        std::fs::write(&kept, bytes).unwrap();
        assert!(test().unwrap().pixels == first, "{i}");
        assert!(std::fs::read(&kept).unwrap() == good, "{i} was not made again");
    }
    // Without the archive the stored file is enough, but it cannot be made again.
    std::fs::remove_file(&archive).unwrap();
    assert!(test().unwrap().pixels == first);
    std::fs::write(&kept, flipped(40_000)).unwrap();
    let message = test().unwrap_err().to_string();
    assert!(message.contains("train-64.bin: image 3 is damaged"), "{message}");
    std::fs::remove_file(&kept).unwrap();
    let message = test().unwrap_err().to_string();
    assert!(message.contains("train.tar.gz: no such file"), "{message}");
}

/// As for a folder that is not writable.
#[test]
fn images_that_cannot_be_stored_are_used_anyway() {
    let dir = folder();
    let kept = dir.path().join("train-64.bin");
    std::fs::create_dir(&kept).unwrap();
    let test = svhn::testing(dir.path(), "train", 6, &|_| ()).unwrap();
    assert_eq!((test.count, kept.is_dir()), (6, true));
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 2, "something was left behind");
}

#[test]
fn archives_that_are_wrong() {
    assert!(
        prepared(|_| {}).unwrap() == svhn_archive::prepare(&sample("train.tar.gz"), 6).unwrap()
    );
    says(prepared(|files| drop(files.remove(0))), "contains no 3.png");
    says(prepared(|files| files.push(files[0].clone())), "contains 3.png twice");
    says(prepared(|files| files[0].0 = "train/7.png".into()), "7.png is not one of its 6 pictures");
    says(prepared(|files| files[0].0 = "train/x.png".into()), "x.png is not one of its 6 pictures");
    says(prepared(|files| files[0].1.truncate(60)), "3.png: the PNG data is cut short");
    says(prepared(|files| files.retain(|f| !f.0.ends_with(".mat"))), "contains no digitStruct.mat");
    says(prepared(|files| files[6].1.truncate(9000)), "digitStruct.mat: ");
    let small = samples::png(2, 2, png::ColorType::Rgb, 8, &[0; 12]);
    says(prepared(|files| files[1].1 = small), "the digits of 1.png lie outside the picture");
    // Each letter of a name has 16 bits.
    let renamed = |from: &str, to: &str| {
        let wide = |text: &str| text.bytes().flat_map(|b| [b, 0]).collect::<Vec<u8>>();
        prepared(|files| {
            let (from, bytes) = (wide(from), &mut files[6].1);
            let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
            bytes[at..at + from.len()].copy_from_slice(&wide(to));
        })
    };
    says(renamed("4.png", "5.png"), "digitStruct.mat has 5.png twice");
    says(renamed("4.png", "8.png"), "digitStruct.mat has 8.png, which is not one of the 6");
    says(of_bytes(b"nothing of the kind"), "cannot be unpacked");
    let good = std::fs::read(sample("train.tar.gz")).unwrap();
    says(of_bytes(&good[..good.len() / 2]), "cannot be unpacked");
    says(of_bytes(&samples::gz(&[7; 2000])), "cannot be unpacked");
    let one = svhn_archive::prepare(&sample("train.tar.gz"), 7).unwrap_err().to_string();
    assert!(one.contains("digitStruct.mat has no 7.png"), "{one}");
}

#[test]
fn digit_structs_that_are_wrong() {
    let good = digit_struct();
    says(digit_struct::parse(Vec::new(), "file.x"), "cannot be read as HDF5");
    says(digit_struct::parse(vec![7; 5000], "file.x"), "cannot be read as HDF5");
    says(digit_struct::parse(good[..good.len() / 2].to_vec(), "file.x"), "");
    let replaced = |from: f64, to: f64| {
        let mut bytes = good.clone();
        let at = bytes.windows(8).position(|w| w == from.to_le_bytes()).unwrap();
        bytes[at..at + 8].copy_from_slice(&to.to_le_bytes());
        digit_struct::parse(bytes, "file.x")
    };
    // 12 is the height of a first digit, 9 the width of 1.png's only one.
    says(replaced(12.0, 0.0), "has a digit of size 0");
    says(replaced(9.0, f64::NAN), "has the invalid values");
    says(replaced(9.0, 1e300), "has the invalid values");
    assert!(replaced(9.0, 10.0).is_ok());
}

#[test]
fn sets_say_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    for (name, first) in [("svhn", "train"), ("svhn-small", "train")] {
        for message in
            [open(name, None, dir.path()).unwrap_err(), outline(name, dir.path()).unwrap_err()]
        {
            let message = message.to_string();
            assert!(message.contains(&format!("svhn/{first}.tar.gz: no such file")), "{message}");
            assert!(message.ends_with(&format!(" {name}")), "{message}");
        }
    }
    std::fs::create_dir(dir.path().join("svhn")).unwrap();
    for part in ["train.tar.gz", "test-64.bin"] {
        std::fs::write(dir.path().join("svhn").join(part), b"not looked at").unwrap();
    }
    let small = outline("svhn-small", dir.path()).unwrap();
    assert_eq!((small.counts, small.shape), ([32_402, 1_000, 13_068], [54, 54, 3]));
    let message = outline("svhn", dir.path()).unwrap_err().to_string();
    assert!(message.contains("svhn/extra.tar.gz: no such file"), "{message}");
    std::fs::write(dir.path().join("svhn/extra.tar.gz"), b"not looked at").unwrap();
    assert_eq!(outline("svhn", dir.path()).unwrap().counts, [231_054, 4_701, 13_068]);
    let message = open("svhn-small", None, dir.path()).unwrap_err().to_string();
    assert!(message.contains("test-64.bin: cannot be read"), "{message}");
    assert_eq!(outline("digits", dir.path()).unwrap().counts, [4_500, 500, 1_000]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_digit_structs_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        thread_local!(static GOOD: Vec<u8> = digit_struct());
        let bytes = samples::mutated(GOOD.with(Clone::clone), &edits, (!keep).then_some(cut));
        let (most, _) = peak(|| digit_struct::parse(bytes.clone(), "x"));
        assert!(most < 1 << 22, "{most} bytes");
    }
}
