//! `idx:PATH`: files in the format of MNIST, with any number of images and all usual names.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use pixelloom::data::{Binarization, DataSet, ImageOptions, open_with};
use pixelloom::{Error, Result};
use tempfile::TempDir;

use super::samples::{gz, idx};

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

/// `count` images of 2 x 3; the first pixel of each is its number.
fn images(count: u8) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count).flat_map(|n| [n, 1, 2, 3, 4, 5]).collect();
    idx(0x0803, &[count.into(), 2, 3], &pixels)
}

fn labels(labels: &[u8]) -> Vec<u8> {
    idx(0x0801, &[labels.len() as u32], labels)
}

fn read_with(path: &Path, transpose: bool) -> (Result<DataSet>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let tell = |line: &str| told.borrow_mut().push(line.to_string());
    let options = ImageOptions { transpose, size: None };
    let set = open_with(&format!("idx:{}", path.display()), None, options, Path::new("x"), &tell);
    let place = path.display().to_string();
    (set, told.into_inner().into_iter().map(|line| line.replace(&place, "PATH")).collect())
}

#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    match read_with(path, false).0 {
        Err(Error::Data(message)) => {
            for part in parts {
                assert!(message.contains(part), "expected \"{part}\" in: {message}");
            }
            assert!(!message.contains('\n'), "more than one line: {message}");
        }
        other => panic!("expected a data error with {parts:?}, got {other:?}"),
    }
}

#[test]
fn any_counts_under_usual_names_in_usual_folders() {
    let dash =
        |part: &str| [format!("{part}-images-idx3-ubyte"), format!("{part}-labels-idx1-ubyte")];
    let dot =
        |part: &str| [format!("{part}-images.idx3-ubyte"), format!("{part}-labels.idx1-ubyte")];
    let cases = [
        ("", dash("train"), dash("t10k")),
        ("", dot("train"), dot("t10k")),
        ("MNIST/raw/", dash("train"), dash("t10k")),
        ("gzip/", dash("emnist-letters-train"), dash("emnist-letters-test")),
    ];
    for (folder, train, test) in cases {
        for packed in [false, true] {
            let dir = TempDir::new().unwrap();
            let write = |name: &str, bytes: Vec<u8>| match packed {
                true => put(dir.path(), &format!("{folder}{name}.gz"), &gz(&bytes)),
                false => put(dir.path(), &format!("{folder}{name}"), &bytes),
            };
            let of: Vec<u8> = (0..30).map(|n| n % 4 + 1).collect();
            write(&train[0], images(30));
            write(&train[1], labels(&of));
            write(&test[0], images(3));
            write(&test[1], labels(&[4, 2, 3]));
            let (set, told) = read_with(dir.path(), false);
            let set = set.unwrap();
            assert_eq!((set.train.count + set.valid.count, set.test.count), (30, 3));
            assert!(set.valid.count > 0);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("PATH has no valid images: a tenth"), "{told:?}");
            assert_eq!(set.test.labels, Some(vec![4, 2, 3]));
            assert_eq!(set.classes, ["0", "1", "2", "3", "4"]);
            for part in [&set.train, &set.valid] {
                let numbers = (0..part.count).map(|i| part.image(i)[0]);
                assert_eq!(part.labels, Some(numbers.map(|n| n % 4 + 1).collect()));
            }
            assert_eq!((set.train.height, set.train.width), (2, 3));
            assert_eq!(set.binarization, Binarization::Grey);
            let turned = read_with(dir.path(), true).0.unwrap();
            assert_eq!((turned.test.height, turned.test.width), (3, 2));
            assert_eq!(turned.test.image(2), [2, 3, 1, 4, 2, 5]);
        }
    }
}

#[test]
fn a_single_file_without_labels_becomes_three_splits() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "images.idx3-ubyte", &images(200));
    let (set, told) = read_with(dir.path(), false);
    let set = set.unwrap();
    assert_eq!(set.train.count + set.valid.count + set.test.count, 200);
    assert!(set.valid.count > 10 && set.test.count > 10 && set.train.labels.is_none());
    assert_eq!(told.len(), 2, "{told:?}");
    // All three splits have files, so nothing is taken.
    for (name, count) in [("train-images.idx3", 9), ("val-images.idx3", 2), ("test-images.idx3", 3)]
    {
        put(dir.path(), &format!("own/{name}"), &images(count));
    }
    let (set, told) = read_with(&dir.path().join("own"), false);
    let set = set.unwrap();
    assert_eq!([set.train.count, set.valid.count, set.test.count], [9, 2, 3]);
    assert_eq!(told, [""; 0]);
}

#[test]
fn several_sets_in_a_folder_are_told_apart() {
    let dir = TempDir::new().unwrap();
    for (set, count) in [("letters", 5), ("digits", 7)] {
        for part in ["train", "test"] {
            put(dir.path(), &format!("emnist-{set}-{part}-images-idx3-ubyte"), &images(count));
        }
    }
    refused(dir.path(), &["several data sets", "emnist-digits-train", "/NAME"]);
    let set = read_with(&dir.path().join("emnist-letters"), false).0.unwrap();
    assert_eq!(set.test.count, 5);
    refused(&dir.path().join("emnist-balanced"), &["contains no IDX images"]);
    // A plain file and its compressed version are the same set.
    put(dir.path(), "emnist-letters-test-images-idx3-ubyte.gz", &gz(&images(5)));
    assert!(read_with(&dir.path().join("emnist-letters"), false).0.is_ok());
    let two = TempDir::new().unwrap();
    for folder in ["MNIST/raw", "KMNIST/raw"] {
        put(two.path(), &format!("{folder}/train-images-idx3-ubyte"), &images(5));
    }
    refused(two.path(), &["contains IDX files in", "KMNIST", "name one of them"]);
}

#[test]
fn what_does_not_fit() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    refused(&path.join("a/b"), &["no such folder"]);
    refused(path, &["contains no IDX images"]);
    put(path, "train-images-idx3-ubyte", &images(9));
    put(path, "train-labels-idx1-ubyte", &labels(&[1; 8]));
    refused(path, &["train-labels-idx1-ubyte", "contains 8 labels for 9 images"]);
    put(path, "train-labels-idx1-ubyte", &labels(&[1; 9]));
    put(path, "t10k-images-idx3-ubyte", &idx(0x0803, &[1, 3, 2], &[0; 6]));
    refused(path, &["its test images are 3 x 2, its training images 2 x 3"]);
    put(path, "t10k-images-idx3-ubyte", &images(9)[..20]);
    refused(path, &["t10k-images-idx3-ubyte", "declares"]);
    put(path, "t10k-images-idx3-ubyte", &images(2));
    put(path, "valid-labels-idx1-ubyte", &labels(&[1]));
    refused(path, &["valid-labels-idx1-ubyte", "there are no valid images"]);
    fs::remove_file(path.join("valid-labels-idx1-ubyte")).unwrap();
    let name = format!("idx:{}", path.display());
    let error = |name: &str, mode, options| {
        open_with(name, mode, options, path, &|_| ()).unwrap_err().to_string()
    };
    let usual = ImageOptions::default();
    assert!(
        error(&name, Some(Binarization::Fixed), usual)
            .contains("does not support fixed binarization")
    );
    let turned = ImageOptions { transpose: true, size: None };
    assert!(error("digits", None, turned).contains("leave out --transpose"));
    assert!(error("idx:", None, usual).contains("idx:PATH"));
}
