//! `folder:PATH`, a folder of PNG images: both layouts, every kind of PNG, and all errors. `own_images.rs` tests class
//! folders, JPEG and other sizes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pixelloom::data::{Binarization, DataSet, ImageOptions, Split, open, open_with, picture};
use pixelloom::{Error, Result};
use png::ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
use tempfile::TempDir;

use super::samples::{png, png_with, says};

/// A grey image of 2 x 3 whose first pixel is `n`.
fn grey(n: u8) -> Vec<u8> {
    png(2, 3, Grayscale, 8, &[n, 1, 2, 3, 4, 5])
}

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

fn read(dir: &Path, mode: Option<Binarization>) -> Result<DataSet> {
    open(&format!("folder:{}", dir.display()), mode, Path::new("nowhere"))
}

/// Checks that the error is about data and contains all of `parts` in one line.
#[track_caller]
fn refused(dir: &Path, parts: &[&str]) {
    match read(dir, None) {
        Err(Error::Data(message)) => {
            for part in parts {
                assert!(message.contains(part), "expected \"{part}\" in: {message}");
            }
            assert!(!message.contains('\n'), "more than one line: {message}");
        }
        other => panic!("expected a data error with {parts:?}, got {other:?}"),
    }
}

/// The data set, and the messages that `tell` received.
fn read_with_messages(dir: &Path) -> (Result<DataSet>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let tell = |line: &str| told.borrow_mut().push(line.to_string());
    let name = format!("folder:{}", dir.display());
    let set = open_with(&name, None, ImageOptions::default(), Path::new("nowhere"), &tell);
    (set, told.into_inner())
}

/// The first pixels of a split's images.
fn firsts(set: &DataSet, split: Split) -> Vec<u8> {
    let images = set.split(split);
    (0..images.count).map(|i| images.image(i)[0]).collect()
}

#[test]
fn folders_of_splits_in_the_order_of_names() {
    let dir = TempDir::new().unwrap();
    for (name, n) in [
        ("train/b.png", 2),
        ("train/a.PNG", 1),
        ("train/c.Png", 3),
        ("valid/z.png", 4),
        ("test/y.png", 6),
        ("test/x.png", 5),
    ] {
        put(dir.path(), name, &grey(n));
    }
    // Ignored: other files, other folders, a name without an extension.
    put(dir.path(), "README.txt", b"");
    put(dir.path(), "train/labels.csv", b"");
    put(dir.path(), "train/png", b"");
    put(dir.path(), "train/more/w.png", b"");
    let set = read(dir.path(), None).unwrap();
    let parts = [Split::Train, Split::Valid, Split::Test].map(|split| firsts(&set, split));
    assert_eq!(parts, [vec![1, 2, 3], vec![4], vec![5, 6]]);
    assert_eq!(set.binarization, Binarization::Grey);
    let images = &set.train;
    assert_eq!((images.height, images.width, images.channels, images.max), (2, 3, 1, 255));
    assert_eq!(images.image(1), [2, 1, 2, 3, 4, 5]);
    assert!(images.labels.is_none());
    let name = format!("folder:{}", dir.path().display());
    assert_eq!(set.name, name);
    assert_eq!(
        set.describe(Split::Test),
        format!("{name}, test split, 2 images, grey levels (256)")
    );
}

/// The split (0 train, 1 valid, 2 test) of each image of a flat folder; first pixels identify the images.
fn splits(set: &DataSet) -> BTreeMap<u8, usize> {
    let parts = [Split::Train, Split::Valid, Split::Test].into_iter().enumerate();
    parts.flat_map(|(k, split)| firsts(set, split).into_iter().map(move |n| (n, k))).collect()
}

#[test]
fn a_flat_folder_is_split_by_names() {
    let dir = TempDir::new().unwrap();
    // Created in another order than that of the names.
    for n in (0..25).rev() {
        put(dir.path(), &format!("{n:02}.png"), &grey(n));
    }
    let set = read(dir.path(), None).unwrap();
    let parts = [Split::Train, Split::Valid, Split::Test].map(|split| firsts(&set, split));
    // Pinned, because another rule would move images between the splits of old runs.
    assert_eq!((&parts[1], &parts[2]), (&vec![11, 12], &vec![2, 4, 18, 20]));
    assert!(parts.iter().all(|part| part.is_sorted()), "not in the order of names: {parts:?}");
    let mut all = parts.concat();
    all.sort();
    assert_eq!(all, (0..25).collect::<Vec<u8>>());

    // Neither the folder's name nor the order in the folder matters.
    let other = TempDir::new().unwrap();
    (0..25).for_each(|n| put(other.path(), &format!("inner/{n:02}.png"), &grey(n)));
    assert_eq!(splits(&read(&other.path().join("inner"), None).unwrap()), splits(&set));
}

#[test]
fn added_images_move_no_other() {
    let dir = TempDir::new().unwrap();
    let mut before = BTreeMap::new();
    for count in [12, 23, 1023] {
        // The image's number as 16 bits in two pixels.
        for n in before.len()..count {
            let pixels = [(n >> 8) as u8, n as u8, 0, 0, 0, 0];
            put(dir.path(), &format!("{n:03}.png"), &png(2, 3, Grayscale, 8, &pixels));
        }
        let (set, told) = read_with_messages(dir.path());
        let set = set.unwrap();
        assert_eq!(told, [""; 0]);
        let mut now = BTreeMap::new();
        for (k, images) in [&set.train, &set.valid, &set.test].into_iter().enumerate() {
            for i in 0..images.count {
                let image = images.image(i);
                now.insert(usize::from(image[0]) << 8 | usize::from(image[1]), k);
            }
        }
        assert_eq!(now.len(), count);
        let moved: Vec<_> = before.iter().filter(|(n, k)| now[n] != **k).collect();
        assert!(moved.is_empty(), "{count}: {moved:?}");
        before = now;
    }
    let counts = [0, 1, 2].map(|k| before.values().filter(|split| **split == k).count());
    assert_eq!(counts, [819, 107, 97]);
}

/// Every split has an image, and a message reports that it took one of another split.
#[test]
fn small_folders_have_all_splits() {
    let dir = TempDir::new().unwrap();
    for n in 0..3 {
        put(dir.path(), &format!("{n}.png"), &grey(n));
    }
    let (set, told) = read_with_messages(dir.path());
    let set = set.unwrap();
    assert_eq!([set.train.count, set.valid.count, set.test.count], [1, 1, 1]);
    let name = dir.path().display();
    let few = format!(
        "{name}: with only 3 images, a split by name would be empty, so it takes images of another split; \
         these may move back when images are added"
    );
    assert_eq!(told, [few]);
    assert_eq!(splits(&read(dir.path(), None).unwrap()), splits(&set), "not the same again");
}

#[test]
fn grey_images_can_be_binarized_and_colours_cannot() {
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        put(dir.path(), name, &grey(9));
    }
    for mode in [Binarization::Grey, Binarization::Dynamic, Binarization::Threshold] {
        assert_eq!(read(dir.path(), Some(mode)).unwrap().binarization, mode);
    }
    let colours = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        put(colours.path(), name, &png(1, 2, Rgb, 8, &[1, 2, 3, 4, 5, 6]));
    }
    let set = read(colours.path(), None).unwrap();
    assert_eq!((set.train.height, set.train.width, set.train.channels), (1, 2, 3));
    assert_eq!(set.train.pixels[..], [1, 2, 3, 4, 5, 6]);
    assert!(set.describe(Split::Test).ends_with("test split, 1 images, 256 levels"));
    for (dir, mode) in [
        (&dir, Binarization::Fixed),
        (&colours, Binarization::Dynamic),
        (&colours, Binarization::Threshold),
    ] {
        let error = read(dir.path(), Some(mode)).unwrap_err();
        assert!(matches!(&error, Error::Config(m) if m.contains(&mode.to_string())), "{error}");
    }
}

#[test]
fn every_kind_of_png() {
    let parse = |file: Vec<u8>| {
        let picture = picture::parse(&file, "x").unwrap();
        assert_eq!((picture.height, picture.width), (1, 3));
        (picture.channels, picture.bytes)
    };
    assert_eq!(parse(png(1, 3, Grayscale, 8, &[7, 8, 9])), (1, vec![7, 8, 9]));
    assert_eq!(parse(png(1, 3, Grayscale, 1, &[0b1010_0000])), (1, vec![255, 0, 255]));
    assert_eq!(parse(png(1, 3, Grayscale, 4, &[0x0f, 0x80])), (1, vec![0, 255, 0x88]));
    assert_eq!(parse(png(1, 3, Grayscale, 16, &[7, 99, 8, 0, 255, 1])), (1, vec![7, 8, 255]));
    let colours: Vec<u8> = (1..10).collect();
    assert_eq!(parse(png(1, 3, Rgb, 8, &colours)), (3, colours.clone()));
    let wide: Vec<u8> = colours.iter().flat_map(|&v| [v, 200]).collect();
    assert_eq!(parse(png(1, 3, Rgb, 16, &wide)), (3, colours));
    let palette = vec![0, 0, 255, 0, 255, 0, 255, 0, 0];
    assert_eq!(parse(png(1, 3, Indexed, 8, &[2, 1, 0])), (3, palette.clone()));
    assert_eq!(parse(png(1, 3, Indexed, 2, &[0b1001_0000])), (3, palette));
    let alpha = vec![7, 255, 8, 0, 9, 128];
    assert_eq!(parse(png(1, 3, GrayscaleAlpha, 8, &alpha)), (2, alpha));
    let alpha: Vec<u8> = (1..13).collect();
    assert_eq!(parse(png(1, 3, Rgba, 8, &alpha)), (4, alpha));
    let (channels, bytes) = parse(png_with(1, 3, Indexed, 8, &[2, 1, 0], Some(&[9])));
    assert_eq!((channels, &bytes[..]), (4, &[0, 0, 255, 255, 0, 255, 0, 255, 255, 0, 0, 9][..]));
    assert_eq!(parse(png_with(1, 3, Grayscale, 8, &[7, 8, 9], Some(&[0, 8]))).0, 2);
}

#[test]
fn damaged_pngs() {
    let parse = |bytes: &[u8]| picture::parse(bytes, "file.x");
    let good = grey(1);
    says(parse(b""), "is neither a PNG file");
    says(parse(b"GIF89a"), "is neither a PNG file (89 50 4e 47 ...) nor a JPEG file");
    says(parse(&good[..8]), "cut short");
    for end in [20, 40, good.len() - 13, good.len() - 1] {
        says(parse(&good[..end]), "cut short");
    }
    let mut bytes = good.clone();
    bytes[50] ^= 1;
    says(parse(&bytes), "damaged");
    // Size and checksum of the header are bytes 16 to 24 and 29 to 33.
    let sized = |height: u32, width: u32| {
        let mut bytes = good.clone();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        bytes
    };
    parse(&sized(2, 3)).unwrap();
    says(parse(&sized(10_001, 1)), "is 10001 x 1 (height x width); at most 10000 x 10000");
    says(parse(&sized(1, u32::MAX >> 1)), "at most 10000 x 10000");
    says(parse(&sized(4096, 4096)), "declares 16777216 bytes, more than a file of");
    says(parse(&sized(0, 3)), "damaged");
    says(parse(&sized(3, 3)), "damaged");
}

#[test]
fn folders_that_are_not_a_data_set() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    refused(&path.join("none"), &["none: no such folder"]);
    put(path, "file", b"");
    refused(&path.join("file"), &["file: is not a folder"]);
    for name in ["folder:", "folder"] {
        let error = open(name, None, path).unwrap_err();
        assert!(matches!(&error, Error::Config(m) if m.contains("folder:PATH")), "{error}");
    }
    let what = "too few PNG or JPEG images (*.png, *.jpg, *.jpeg) for train, valid and test: 0;";
    refused(path, &[what, "at least 3"]);
    let (_, told) = read_with_messages(path);
    assert!(told.len() == 1 && told[0].ends_with("ignored 1 entry: file"), "{told:?}");
    put(path, "a.png", &grey(1));
    put(path, "b.png", &grey(2));
    refused(path, &["too few PNG or JPEG images", "test: 2;"]);

    // Folders with these names are splits.
    put(path, "train/a.png", &grey(1));
    refused(path, &["too few PNG or JPEG images", "for train, valid and test: 1;"]);
    put(path, "valid/a.png", &grey(1));
    refused(path, &["too few PNG or JPEG images", "for train and test: 1;"]);
    put(path, "test/a.txt", b"");
    refused(path, &["test: contains no PNG or JPEG images"]);
    put(path, "test/a.png", &grey(1));
    let (set, told) = read_with_messages(path);
    assert_eq!(set.unwrap().train.count, 1);
    assert!(told[0].ends_with("ignored 4 entries: a.png, b.png, file, 1 more"), "{told:?}");
}

#[test]
fn images_of_different_kinds() {
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        put(dir.path(), name, &grey(9));
    }
    let check = |name: &str, bytes: &[u8], parts: &[&str]| {
        put(dir.path(), name, bytes);
        refused(dir.path(), parts);
        refused(dir.path(), &[name, ".png"]);
        put(dir.path(), name, &grey(9));
    };
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        let rule = "must have one size: --size 32 crops and resizes them";
        check(
            name,
            &png(3, 2, Grayscale, 8, &[0; 6]),
            &["3 x 2", "2 x 3", "(height x width)", rule],
        );
        check(name, b"not a picture", &["is neither a PNG file"]);
        check(name, b"", &["is empty"]);
        check(name, &grey(9)[..45], &["cut short"]);
    }
    // A 16-bit image among 8-bit ones is not a different kind.
    put(dir.path(), "b.png", &png(2, 3, Grayscale, 16, &[9; 12]));
    read(dir.path(), None).unwrap();
}

/// Leftovers of other programs and entries that are not files do not prevent reading the images.
#[test]
fn dot_files_and_entries_that_are_not_files() {
    let dir = TempDir::new().unwrap();
    let (flat, parted) = (dir.path().join("flat"), dir.path().join("parted"));
    for n in 0..12 {
        put(&flat, &format!("{n:03}.png"), &grey(n));
        put(
            &parted,
            &format!("{}/{n:03}.png", ["train", "valid", "test"][usize::from(n) % 3]),
            &grey(n),
        );
    }
    for (folder, inner) in [(&flat, &flat), (&parted, &parted.join("train"))] {
        let clean = splits(&read(folder, None).unwrap());
        put(inner, "._000.png", b"Mac OS X resource fork");
        put(inner, ".hidden.png", &grey(99));
        put(inner, ".png", b"");
        let (set, told) = read_with_messages(folder);
        assert_eq!((splits(&set.unwrap()), told.len()), (clean.clone(), 0));

        put(inner, "x.png/y.png", &grey(99));
        let (set, told) = read_with_messages(folder);
        assert_eq!(splits(&set.unwrap()), clean);
        let below = if folder == inner { "" } else { "train/" };
        let line = format!("{}: ignored 1 entry: {below}x.png (a directory)", folder.display());
        assert_eq!(told, [line]);
        for n in 1..4 {
            put(inner, &format!("x{n}.png/y.png"), b"");
        }
        let (set, told) = read_with_messages(folder);
        assert_eq!(splits(&set.unwrap()), clean);
        let names = ["x", "x1", "x2"].map(|name| format!("{below}{name}.png (a directory)"));
        let names = format!("ignored 4 entries: {}, 1 more", names.join(", "));
        assert!(told[0].ends_with(&names) && told.len() == 1, "{told:?}");
    }
}

/// Only the first image is inflated to find that all of them are too large.
#[test]
fn more_pixels_than_are_read() {
    let dir = TempDir::new().unwrap();
    let black = png(4096, 4096, Grayscale, 8, &vec![0; 1 << 24]);
    (0..129).for_each(|i| put(dir.path(), &format!("{i}.png"), &black));
    let what = "129 images of 16777216 bytes exceed the limit of 2147483648 bytes";
    refused(dir.path(), &[what, "use fewer or smaller images"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_broken_ones_left_out() {
    let (dir, real) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    put(real.path(), "x.png", &grey(7));
    for name in ["a.png", "b.png", "c.png"] {
        std::os::unix::fs::symlink(real.path().join("x.png"), dir.path().join(name)).unwrap();
    }
    assert_eq!(read(dir.path(), None).unwrap().train.pixels[0], 7);
    for (to, name) in [("/nowhere/at/all", "d.png"), ("e.png", "e.png"), ("../none", "f.png")] {
        std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
    }
    let (set, told) = read_with_messages(dir.path());
    assert_eq!(splits(&set.unwrap()), BTreeMap::from([(7, 2)]));
    let names = "d.png (a broken link), e.png (a broken link), f.png (a broken link)";
    assert!(told.iter().any(|line| line.ends_with(names)), "{told:?}");
}

/// Digits that are written as files are read back unchanged.
#[test]
fn what_was_written_is_read() {
    let digits = digits();
    let dir = TempDir::new().unwrap();
    for (i, image) in digits.iter().enumerate() {
        let split = ["train", "valid", "test"][i % 3];
        put(dir.path(), &format!("{split}/{i:03}.png"), &png(28, 28, Grayscale, 8, image));
    }
    let set = read(dir.path(), None).unwrap();
    for (i, image) in digits.iter().enumerate() {
        let images = [&set.train, &set.valid, &set.test][i % 3];
        assert_eq!(images.image(i / 3), image);
    }
}

fn digits() -> Vec<Vec<u8>> {
    let set = open("digits", None, Path::new("data")).unwrap();
    (0..300).map(|i| set.train.image(i).to_vec()).collect()
}
