//! `folder:PATH` with typical images: class folders, JPEG, 16 bits, grey stored as colour, alpha, different sizes, stray
//! files.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pixelloom::data::{DataSet, ImageOptions, Images, Split, open_with, picture};
use pixelloom::{Error, Result};
use png::ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
use tempfile::TempDir;

use super::samples::{png, png_with, says, shared};

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

/// A grey image of 2 x 3 whose first pixel is `n`.
fn grey(n: u8) -> Vec<u8> {
    png(2, 3, Grayscale, 8, &[n, 1, 2, 3, 4, 5])
}

/// A colour image of 2 x 3 whose first value is `n`.
fn colour(n: u8) -> Vec<u8> {
    png(2, 3, Rgb, 8, &[&[n][..], &[9; 17]].concat())
}

fn jpeg(width: u32, height: u32, color: ExtendedColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 100).write_image(bytes, width, height, color).unwrap();
    file
}

/// The data set in `dir`, and the messages that `tell` received.
fn read_with(dir: &Path, size: Option<usize>) -> (Result<DataSet>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let tell = |line: &str| told.borrow_mut().push(line.to_string());
    let name = format!("folder:{}", dir.display());
    let options = ImageOptions { size, ..ImageOptions::default() };
    let set = open_with(&name, None, options, Path::new("nowhere"), &tell);
    let place = dir.display().to_string();
    (set, told.into_inner().into_iter().map(|line| line.replace(&place, "DIR")).collect())
}

/// The messages, without the one that there are few images.
fn but_few(told: &[String]) -> Vec<&str> {
    told.iter().map(String::as_str).filter(|line| !line.contains(": with only ")).collect()
}

#[track_caller]
fn read(dir: &Path) -> (DataSet, Vec<String>) {
    let (set, told) = read_with(dir, None);
    (set.unwrap(), told)
}

#[track_caller]
fn refused(dir: &Path, parts: &[&str]) {
    match read_with(dir, None).0 {
        Err(Error::Data(message)) => {
            for part in parts {
                assert!(message.contains(part), "expected \"{part}\" in: {message}");
            }
            assert!(!message.contains('\n'), "more than one line: {message}");
        }
        other => panic!("expected a data error with {parts:?}, got {other:?}"),
    }
}

fn firsts(images: &Images) -> Vec<u8> {
    (0..images.count).map(|i| images.image(i)[0]).collect()
}

#[test]
fn class_folders_become_labels() {
    let dir = TempDir::new().unwrap();
    for (class, from) in [("b", 50), ("a", 100), ("c c", 150)] {
        for n in 0..20 {
            put(dir.path(), &format!("train/{class}/{n:02}.png"), &grey(from + n));
        }
        put(dir.path(), &format!("test/{class}/x.png"), &grey(from + 20));
    }
    // A class with test images only.
    put(dir.path(), "test/d/x.png", &grey(200));
    let (set, told) = read(dir.path());
    assert_eq!(set.classes, ["a", "b", "c c", "d"]);
    assert_eq!(firsts(&set.test), [120, 70, 170, 200]);
    assert_eq!(set.test.labels, Some(vec![0, 1, 2, 3]));
    assert_eq!(set.train.count + set.valid.count, 60);
    assert!((2..=12).contains(&set.valid.count), "{}", set.valid.count);
    for images in [&set.train, &set.valid] {
        let labels = images.labels.as_ref().unwrap();
        assert!(labels.is_sorted());
        for (first, label) in firsts(images).into_iter().zip(labels) {
            assert_eq!(
                usize::from(*label),
                [100, 50, 150]
                    .iter()
                    .position(|from| (*from..*from + 20).contains(&first))
                    .unwrap()
            );
        }
    }
    let line = "DIR has no folder valid: a tenth of the images of train, chosen by their names, is the valid split";
    assert_eq!(told, [line]);
    // A new image does not move the others.
    let before = firsts(&set.valid);
    put(dir.path(), "train/a/new.png", &grey(99));
    let after: Vec<u8> =
        firsts(&read(dir.path()).0.valid).into_iter().filter(|n| *n != 99).collect();
    assert_eq!(after, before);

    // The same without folders of splits.
    let flat = TempDir::new().unwrap();
    for n in 0..30 {
        put(flat.path(), &format!("{}/{n}.jpg.png", ["x", "y"][usize::from(n) % 2]), &grey(n));
    }
    let (set, told) = read(flat.path());
    assert_eq!(told, [""; 0]);
    assert_eq!((set.classes.len(), set.train.count + set.valid.count + set.test.count), (2, 30));
    for images in [&set.train, &set.valid, &set.test] {
        let labels: Vec<u8> = firsts(images).into_iter().map(|n| n % 2).collect();
        assert_eq!(images.labels, Some(labels));
    }
}

#[test]
fn val_means_valid_and_missing_splits_are_taken_from_train() {
    let dir = TempDir::new().unwrap();
    (0..40).for_each(|n| put(dir.path(), &format!("Train/{n}.png"), &grey(n)));
    put(dir.path(), "val/a.png", &grey(100));
    let (set, told) = read(dir.path());
    assert_eq!(firsts(&set.valid), [100]);
    assert!(set.test.count > 0 && set.train.count + set.test.count == 40);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("DIR has no folder test: a tenth of the images of train"),
        "{told:?}"
    );
    put(dir.path(), "valid/a.png", &grey(100));
    refused(dir.path(), &["has both", "/val and ", "/valid; keep one"]);
    let none = TempDir::new().unwrap();
    put(none.path(), "test/a.png", &grey(0));
    refused(none.path(), &["has no folder \"train\""]);
}

#[test]
fn what_is_ignored_is_counted_and_named() {
    let dir = TempDir::new().unwrap();
    for n in 0..12 {
        put(dir.path(), &format!("train/{}/{n:03}.png", ["a", "b"][usize::from(n) % 2]), &grey(n));
    }
    put(dir.path(), "test/a/0.png", &grey(20));
    put(dir.path(), "valid/a/0.png", &grey(21));
    assert_eq!(read(dir.path()).1, [""; 0]);
    put(dir.path(), "README.txt", b"");
    let line = "DIR: ignored 1 entry: README.txt";
    assert_eq!(read(dir.path()).1, [line]);
    put(dir.path(), "train/a/Thumbs.db", b"");
    put(dir.path(), "train/stray.jpg", b"no image");
    put(dir.path(), "train/empty/notes.txt", b"");
    put(dir.path(), "train/b/.DS_Store", b"");
    put(dir.path(), "train/b/._000.png", b"");
    put(dir.path(), "__MACOSX/._x.png", b"");
    let (set, told) = read(dir.path());
    assert_eq!(set.train.count, 12);
    let line =
        "DIR: ignored 5 entries: README.txt, __MACOSX (a directory), train/a/Thumbs.db, 2 more";
    assert_eq!(told, [line]);
}

#[test]
fn jpegs_are_read_beside_pngs_and_alone() {
    let smooth: Vec<u8> = (0..16 * 24).map(|i| (i % 24 * 8 + i / 24) as u8).collect();
    let file = jpeg(24, 16, ExtendedColorType::L8, &smooth);
    let read_back = picture::parse(&file, "x").unwrap();
    assert_eq!((read_back.height, read_back.width, read_back.channels), (16, 24, 1));
    for (a, b) in read_back.bytes.iter().zip(&smooth) {
        assert!(a.abs_diff(*b) <= 2, "{a} {b}");
    }
    let colours: Vec<u8> = (0..16 * 24).flat_map(|i| [200, (i / 24 * 10) as u8, 30]).collect();
    let red = picture::parse(&jpeg(24, 16, ExtendedColorType::Rgb8, &colours), "x").unwrap();
    assert_eq!(red.channels, 3);
    assert!(red.bytes[0].abs_diff(200) <= 4, "{:?}", &red.bytes[..3]);

    let dir = TempDir::new().unwrap();
    put(dir.path(), "a.jpg", &file);
    put(dir.path(), "b.JPEG", &file);
    put(dir.path(), "c.png", &png(16, 24, Grayscale, 8, &smooth));
    // The format is recognised by the content, not by the name.
    put(dir.path(), "d.png", &file);
    let (set, _) = read(dir.path());
    assert_eq!(set.train.count + set.valid.count + set.test.count, 4);
    assert_eq!((set.train.height, set.train.width, set.train.channels), (16, 24, 1));
}

#[test]
fn damaged_jpegs() {
    let good = jpeg(24, 16, ExtendedColorType::L8, &[7; 24 * 16]);
    let parse = |bytes: &[u8]| picture::parse(bytes, "file.x");
    assert!(parse(&good).is_ok());
    for end in [3, 10, 30, good.len() / 2, good.len() - 2, good.len() - 1] {
        says(parse(&good[..end]), "JPEG data is cut short");
    }
    let frame = good.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let sized = |height: u16, width: u16| {
        let mut bytes = good.clone();
        bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        bytes
    };
    assert!(parse(&sized(16, 24)).is_ok());
    says(parse(&sized(10_001, 1)), "is 10001 x 1 (height x width); at most 10000 x 10000");
    says(parse(&sized(9999, 9999)), "declares 99980001 bytes, more than a file of");
    let mut bytes = good.clone();
    bytes[2] = 0;
    says(parse(&bytes), "neither a PNG file");
    bytes = good.clone();
    bytes[20] = 0;
    says(parse(&bytes), "no marker at byte 20");
    bytes = good.clone();
    bytes[frame + 4] = 13; // Bits of a number.
    says(parse(&bytes), "JPEG data is damaged");
}

/// An EXIF header with an orientation, as cameras write it.
#[test]
fn a_camera_says_how_it_was_held() {
    let smooth: Vec<u8> = (0..16 * 24).map(|i| (i % 24 * 10) as u8).collect();
    let plain = jpeg(24, 16, ExtendedColorType::L8, &smooth);
    let exif = [
        &b"Exif\0\0MM\0*\0\0\0\x08"[..],
        &[0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&plain[..2], &[0xff, 0xe1], &length, &exif, &plain[2..]].concat();
    let [before, after] = [plain, turned].map(|file| picture::parse(&file, "x").unwrap());
    assert_eq!((after.height, after.width), (24, 16));
    // A quarter turn clockwise: what was on the left is at the top.
    for (y, x) in [(0, 0), (5, 3), (23, 15)] {
        assert_eq!(after.bytes[y * 16 + x], before.bytes[(15 - x) * 24 + y]);
    }
}

#[test]
fn grey_is_recognised_however_it_is_stored() {
    let rgb: Vec<u8> = (0..6).flat_map(|n| [n * 40; 3]).collect();
    let palette = png(2, 3, Indexed, 8, &[0; 6]);
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        put(dir.path(), name, &png(2, 3, Rgb, 8, &rgb));
    }
    let (set, told) = read(dir.path());
    assert_eq!((set.train.channels, but_few(&told).len()), (1, 0));
    assert_eq!(set.train.image(0), [0, 40, 80, 120, 160, 200]);
    // Also next to grey images, and if a palette has colours that no pixel uses.
    put(dir.path(), "b.png", &grey(1));
    assert_eq!(read(dir.path()).0.train.channels, 1);
    // One image with colours makes all of them colour images, even if it is not the first.
    for name in ["a.png", "b.png", "c.png"] {
        put(dir.path(), name, &png(2, 3, Rgb, 8, &rgb));
        put(dir.path(), "d.png", &palette);
        let (set, told) = read(dir.path());
        assert_eq!(set.train.channels, 3);
        assert_eq!(but_few(&told), ["DIR: 3 of the 4 images are grey and are read as colour"]);
        put(dir.path(), "d.png", &grey(1));
        put(dir.path(), name, &colour(1));
        let (set, told) = read(dir.path());
        assert_eq!((set.train.channels, but_few(&told).len()), (3, 1));
        put(dir.path(), name, &png(2, 3, Rgb, 8, &rgb));
    }
}

#[test]
fn constant_alpha_is_dropped_and_real_alpha_refused() {
    let dir = TempDir::new().unwrap();
    let grey_alpha: Vec<u8> = (0..6).flat_map(|n| [n * 10, 255]).collect();
    let colour_alpha: Vec<u8> = (0..6).flat_map(|n| [n * 10, n * 10, n * 10, 128]).collect();
    put(dir.path(), "a.png", &png(2, 3, Grayscale, 8, &[0, 10, 20, 30, 40, 50]));
    put(dir.path(), "b.png", &png(2, 3, GrayscaleAlpha, 8, &grey_alpha));
    put(dir.path(), "c.png", &png(2, 3, Rgba, 8, &colour_alpha));
    let (set, _) = read(dir.path());
    for images in [&set.train, &set.valid, &set.test] {
        assert_eq!((images.channels, images.image(0)), (1, &[0, 10, 20, 30, 40, 50][..]));
    }
    let refusal = "has an alpha channel or a transparent colour";
    let mut real = grey_alpha.clone();
    real[1] = 254;
    put(dir.path(), "b.png", &png(2, 3, GrayscaleAlpha, 8, &real));
    refused(dir.path(), &["b.png", refusal, "flatten it onto a background"]);
    put(dir.path(), "b.png", &png_with(2, 3, Grayscale, 8, &[0, 1, 2, 3, 4, 5], Some(&[0, 1])));
    refused(dir.path(), &["b.png", refusal]);
}

#[test]
fn sixteen_bits_of_which_the_bottom_is_used_bring_a_warning() {
    let dir = TempDir::new().unwrap();
    let deep = |most: u16| {
        let numbers = [0, most / 2, most, 0, 0, most];
        png(2, 3, Grayscale, 16, &numbers.map(u16::to_be_bytes).concat())
    };
    for name in ["a.png", "b.png", "c.png"] {
        put(dir.path(), name, &deep(4095));
    }
    let (set, told) = read(dir.path());
    assert_eq!(set.train.image(0), [0, 7, 15, 0, 0, 15]);
    let warning = "warning: DIR: images of 16 bits hold numbers from 0 to 4095 of 65535 (12 bits), so they are read \
                   as almost black (the upper 8 bits are kept); scale them to the full range first";
    assert_eq!(but_few(&told), [warning]);
    put(dir.path(), "b.png", &deep(65535));
    assert_eq!(but_few(&read(dir.path()).1), [""; 0]);
}

#[test]
fn images_are_cropped_and_resized() {
    let dir = TempDir::new().unwrap();
    // Stripes of 2 columns: outside white, inside 40 and 80.
    let row = [255, 255, 40, 40, 80, 80, 255, 255];
    put(dir.path(), "a.png", &png(4, 8, Grayscale, 8, &row.repeat(4)));
    put(dir.path(), "b.png", &png(8, 4, Grayscale, 8, &row.map(|v| [v; 4]).concat()));
    put(dir.path(), "c.jpg", &jpeg(2, 2, ExtendedColorType::L8, &[9; 4]));
    refused(dir.path(), &["one size", "--size 32 crops and resizes"]);
    let (set, told) = read_with(dir.path(), Some(2));
    let set = set.unwrap();
    assert!(but_few(&told).is_empty(), "{told:?}");
    let all: Vec<_> =
        [&set.train, &set.valid, &set.test].map(|images| images.image(0).to_vec()).into();
    // Of the four old pixels that the triangle reaches, the outer ones have the weight 1/8 and the inner ones 3/8.
    assert!(all.contains(&vec![72, 97, 72, 97]) && all.contains(&vec![72, 72, 97, 97]), "{all:?}");
    assert!(all.contains(&vec![9; 4]), "{all:?}");
    assert_eq!((set.train.height, set.train.width, set.train.channels), (2, 2, 1));
    for (size, what) in [(0, "data.size = 0"), (4097, "between 1 and 4096")] {
        let error = read_with(dir.path(), Some(size)).0.unwrap_err();
        assert!(matches!(&error, Error::Config(m) if m.contains(what)), "{error}");
    }
    let options = ImageOptions { size: Some(8), transpose: false };
    let error = open_with("digits", None, options, Path::new("x"), &|_| ()).unwrap_err();
    assert!(error.to_string().contains("leave out --size"), "{error}");
}

/// A real data set of this kind: about 46 training and 4 test images of each of 26 letters, grey stored as RGB.
#[test]
fn real_letters_in_class_folders() {
    let Some(data) = shared("real_letters_in_class_folders") else { return };
    let letters = data.join("emnist_letters");
    if !letters.is_dir() {
        eprintln!("real_letters_in_class_folders: skipped, no {}", letters.display());
        return;
    }
    let (set, told) = read(&letters);
    assert_eq!((set.train.height, set.train.width, set.train.channels), (28, 28, 1));
    assert_eq!(set.classes, ('A'..='Z').map(String::from).collect::<Vec<_>>());
    assert_eq!(set.train.count + set.valid.count + set.test.count, 1300);
    let tenth = (set.train.count + set.valid.count) / 10;
    assert!(set.valid.count.abs_diff(tenth) < tenth / 2, "{} of {tenth}", set.valid.count);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(set.describe(Split::Train).contains("grey levels (256)"));
    // The images have several classes, and no two splits share an image.
    for images in [&set.train, &set.valid, &set.test] {
        let labels = images.labels.as_ref().unwrap();
        assert!((0..26).all(|class| labels.contains(&class)), "{labels:?}");
    }
    let mut all: Vec<&[u8]> = [&set.train, &set.valid, &set.test]
        .iter()
        .flat_map(|images| (0..images.count).map(|i| images.image(i)))
        .collect();
    all.sort();
    all.dedup();
    assert!(all.len() > 1290, "{}", all.len());
}
