//! Every kind of damage to a file leads to a specific error and not to a panic.

use std::path::Path;

use pixelloom::data::{amat, bits, cifar, gz, idx, mat5, open, picture};
use proptest::prelude::*;

use super::samples::{self, Mat, says};

const LITTLE: Mat = Mat { big_endian: false };

fn images(bytes: &[u8]) -> pixelloom::Result<pixelloom::data::Images> {
    idx::parse_images(bytes, "file.x")
}

fn ff(bytes: &[u8]) -> pixelloom::Result<mat5::Array> {
    mat5::parse(bytes, "file.x", "ff")
}

#[test]
fn idx_good() {
    for bytes in [samples::idx_images(), samples::gz(&samples::idx_images())] {
        let images = images(&bytes).unwrap();
        assert_eq!((images.count, images.height, images.width, images.channels), (2, 3, 2, 1));
        assert_eq!(images.image(1), [6, 7, 8, 9, 10, 11]);
        assert_eq!(images.max, 255);
    }
    let labels = samples::idx(0x0801, &[3], &[7, 0, 9]);
    assert_eq!(idx::parse_labels(&labels, "file.x").unwrap(), [7, 0, 9]);
    assert_eq!(idx::parse_labels(&samples::gz(&labels), "file.x").unwrap(), [7, 0, 9]);
}

#[test]
fn idx_wrong_magic() {
    let labels = samples::idx(0x0801, &[12], &[0; 12]);
    says(images(&labels), "wrong magic 0x00000801, expected 0x00000803");
    says(images(&samples::gz(&labels)), "wrong magic 0x00000801");
    says(idx::parse_labels(&samples::idx_images(), "file.x"), "wrong magic 0x00000803");
}

#[test]
fn idx_absurd_sizes() {
    for dims in [[u32::MAX; 3], [1 << 31, 1 << 31, 4], [60_000, 28_000, 28], [1 << 20, 256, 9]] {
        says(images(&samples::idx(0x0803, &dims, &[])), "absurd size");
        says(images(&samples::gz(&samples::idx(0x0803, &dims, &[0; 64]))), "absurd size");
    }
    says(images(&samples::idx(0x0803, &[0, 28, 28], &[])), "declares no data");
    // Within the limit, but more than can result from so few compressed bytes.
    let declared = samples::gz(&samples::idx(0x0803, &[60_000, 28, 28], &[0; 64]));
    says(images(&declared), "compressed bytes cannot hold");
}

#[test]
fn idx_short_and_long() {
    let good = samples::idx_images();
    let mut long = good.clone();
    long.push(0);
    says(images(&good[..27]), "has 27 bytes but its header [2, 3, 2] declares 28");
    says(images(&good[..15]), "too short");
    says(images(&[]), "has 0 bytes, too short");
    says(images(&long), "has 29 bytes");
    says(images(&samples::gz(&good[..27])), "has 27 bytes, expected 28");
    says(images(&samples::gz(&good[..15])), "cut short");
    says(images(&samples::gz(&long)), "inflates to more than the 28 bytes");
}

#[test]
fn gz_bomb() {
    let mut content = samples::idx_images();
    content.resize(1 << 26, 0);
    let bomb = samples::gz(&content);
    assert!(bomb.len() < 100_000);
    says(images(&bomb), "inflates to more than the 28 bytes");
    let zlib = samples::zlib(&content);
    says(gz::unzlib(&zlib, "file.x", 8, |_| Ok(28)), "inflates to more than the 28 bytes");
}

#[test]
fn gz_damaged() {
    let good = samples::gz(&samples::idx_images());
    says(gz::gunzip(&samples::idx_images(), "file.x", 16, |_| Ok(28)), "is not gzip");
    says(images(&good[..good.len() - 9]), "cut short");
    says(images(&good[..good.len() - 1]), "cut short");
    let mut bytes = good.clone();
    bytes[good.len() - 8] ^= 1;
    says(images(&bytes), "damaged");
    says(images(&[&good[..], b"xyz"].concat()), "3 bytes follow the end");
}

/// As in `gzip -dc`; `script.rs` compares both.
#[test]
fn gz_of_several_members_and_trailing_zeros() {
    let content = samples::idx_images();
    let parts = [&content[..1], &content[1..10], &[], &content[10..]].map(samples::gz);
    let good = parts.concat();
    for zeros in [0, 1, 512, 10_000] {
        let padded = [&good[..], &vec![0; zeros]].concat();
        assert_eq!(images(&padded).unwrap().pixels[..], content[16..]);
        says(images(&[&padded[..], &[7]].concat()), "follow the end");
    }
    says(images(&[&good[..], &samples::gz(b"more")].concat()), "inflates to more than the 28");
    says(images(&[&good[..], &[0x1f, 0x8b, 8]].concat()), "cut short");
    says(images(&parts[..3].concat()), "cut short");
    // Each member has its own checksum.
    for end in [parts[0].len(), parts[..2].concat().len()] {
        let mut damaged = good.clone();
        damaged[end - 8] ^= 1;
        says(images(&damaged), "damaged");
    }
    let labels = samples::gz(&samples::idx(0x0801, &[3], &[7, 0, 9]));
    let padded = [&labels[..], &[0; 9]].concat();
    assert_eq!(idx::parse_labels(&padded, "file.x").unwrap(), [7, 0, 9]);
}

#[test]
fn bits_good_and_bad() {
    let images = bits::parse(&samples::bits(), "file.x").unwrap();
    let ink: Vec<usize> = (0..2 * 784).filter(|&i| images.pixels[i] == 1).collect();
    assert_eq!((images.count, images.dims(), images.max), (2, 784, 1));
    assert_eq!(ink, [0, 2 * 784 - 1]);
    says(bits::parse(&[], "file.x"), "has 0 bytes");
    says(bits::parse(&[0; 97], "file.x"), "has 97 bytes");
    says(bits::parse(&[0; 99], "file.x"), "has 99 bytes");
}

#[test]
fn amat_good_and_bad() {
    let pixels = bits::parse(&samples::bits(), "file.x").unwrap().pixels;
    let text = samples::amat(&pixels);
    assert_eq!(amat::parse(&text, "file.x").unwrap().pixels, pixels);
    assert_eq!(amat::parse(&text[..text.len() - 1], "file.x").unwrap().count, 2);
    let windows = String::from_utf8(text.clone()).unwrap().replace('\n', " \r\n");
    assert_eq!(amat::parse(windows.as_bytes(), "file.x").unwrap().pixels, pixels);

    let replaced = |at: usize, byte: u8| {
        let mut text = text.clone();
        text[at] = byte;
        text
    };
    says(amat::parse(&replaced(2 * 784 + 4, b'2'), "file.x"), "line 2, value 3: \"2\"");
    says(amat::parse(&replaced(1, b'0'), "file.x"), "line 1, value 1: \"100\"");
    says(amat::parse(&replaced(0, b'\n'), "file.x"), "line 1 has 0 values, expected 784");
    says(amat::parse(&text[..text.len() - 3], "file.x"), "line 2 has 783 values");
    says(amat::parse(&replaced(2 * 784 - 1, b' '), "file.x"), "line 1 has more than 784");
    says(amat::parse(&[&text[..], b"\n"].concat(), "file.x"), "line 3 has 0 values");
    says(amat::parse(&[], "file.x"), "line 1 has 0 values");
    says(amat::parse(b"MATLAB 5.0", "file.x"), "line 1, value 1: \"MATLAB\"");
}

#[test]
fn mat_good() {
    for big_endian in [false, true] {
        for compressed in [false, true] {
            let array = ff(&Mat { big_endian }.small(compressed)).unwrap();
            assert_eq!((array.dims, array.data), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
        }
    }
}

#[test]
fn mat_wrong_magic() {
    says(ff(&samples::idx_images()), "is not a MATLAB 5 file");
    says(ff(b"MATLAB 5.0 MAT-file"), "too short for a header");
    let mut bytes = LITTLE.small(false);
    bytes[126] = b'M';
    says(ff(&bytes), "unknown version and byte order");
    says(ff(&[]), "is not a MATLAB 5 file");
}

#[test]
fn mat_absurd_sizes() {
    for dims in [[u32::MAX, u32::MAX], [1 << 31, 1 << 31], [2, 4], [0, 3]] {
        let array = LITTLE.array(9, "ff", &dims, &[1; 6]);
        says(ff(&LITTLE.file(std::slice::from_ref(&array))), "but has 6 bytes");
        says(ff(&LITTLE.file(&[LITTLE.compressed(&array)])), "but has 6 bytes");
    }
    let overflowing = LITTLE.array(9, "ff", &[u32::MAX; 3], &[1; 6]);
    says(ff(&LITTLE.file(&[overflowing])), "but has 6 bytes");
    // 2^64 values, which would wrap to 0, the actual number.
    let wrapping = LITTLE.array(9, "ff", &[1 << 31, 1 << 31, 4], &[]);
    says(ff(&LITTLE.file(&[wrapping])), "but has 0 bytes");
    let mut array = LITTLE.array(9, "ff", &[2, 3], &[1; 6]);
    array[4..8].copy_from_slice(&LITTLE.word(u32::MAX));
    says(ff(&LITTLE.file(std::slice::from_ref(&array))), "declares 4294967295 bytes");
    says(ff(&LITTLE.file(&[LITTLE.compressed(&array)])), "compressed bytes cannot hold");
}

#[test]
fn mat_short_and_long() {
    let good = LITTLE.small(false);
    says(ff(&good[..good.len() - 1]), "are left");
    says(ff(&[&good[..], &[0; 3]].concat()), "ends in 3 bytes");
    says(ff(&[&good[..], &[0; 16]].concat()), "type 0, expected an array");
    says(ff(&good[..128]), "contains no array \"ff\"");
    let array = LITTLE.array(9, "ff", &[2, 3], &[1; 6]);
    says(ff(&LITTLE.file(&[array.clone(), array])), "twice");
}

#[test]
fn mat_bomb() {
    let mut array = LITTLE.array(9, "ff", &[2, 3], &[1; 6]);
    let total = array.len();
    array.resize(1 << 26, 0);
    let bomb = LITTLE.file(&[LITTLE.compressed(&array)]);
    says(ff(&bomb), &format!("inflates to more than the {total} bytes"));
}

#[test]
fn mat_wrong_kind() {
    let doubles = LITTLE.array(6, "ff", &[2, 3], &[1; 6]);
    says(ff(&LITTLE.file(&[doubles])), "class 6, expected 9");
    says(ff(&LITTLE.file(&[LITTLE.array(9, "gg", &[2, 3], &[1; 6])])), "no array \"ff\"");
}

fn frey(dir: &Path) -> String {
    open("frey", None, dir).unwrap_err().to_string()
}

#[test]
fn files_missing_empty_long_or_folders() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("freyface/frey_rawface.mat");
    let name = path.display().to_string();
    let message = frey(dir.path());
    assert!(message.contains(&name) && message.contains("no such file"), "{message}");
    assert!(message.contains("datasets.sh --dir") && message.ends_with("frey"), "{message}");

    std::fs::create_dir_all(&path).unwrap();
    assert!(frey(dir.path()).contains("is a directory"), "{}", frey(dir.path()));
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    assert!(frey(dir.path()).contains("is empty"), "{}", frey(dir.path()));
    std::fs::write(&path, vec![0; (1 << 22) + 1]).unwrap();
    assert!(frey(dir.path()).contains("has 4194305 bytes, but at most"), "{}", frey(dir.path()));
    std::fs::write(&path, LITTLE.small(false)).unwrap();
    assert!(frey(dir.path()).contains("expected [560, 1965]"), "{}", frey(dir.path()));
    assert!(frey(dir.path()).contains(&format!("{name}: ")), "{}", frey(dir.path()));

    let message = open("mnist", None, Path::new("data")).unwrap_err().to_string();
    let hint = "data/mnist/t10k-labels-idx1-ubyte.gz: no such file; download it with the script that \
         `pixelloom data --script` prints: ./datasets.sh mnist";
    assert_eq!(message, hint);
    let bits = dir.path().join("binarized_mnist");
    std::fs::create_dir(&bits).unwrap();
    std::fs::write(bits.join("train.bits"), samples::bits()).unwrap();
    let message = open("binarized-mnist", None, dir.path()).unwrap_err().to_string();
    assert!(message.contains("contains 2 images, but binarized MNIST has 50,000"), "{message}");
}

/// Files in the folder of MNIST.
struct Mnist(tempfile::TempDir);

impl Mnist {
    fn new() -> Mnist {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mnist")).unwrap();
        Mnist(dir)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join("mnist").join(name), bytes).unwrap();
    }

    fn labels(&self, part: &str, count: usize, last: u8) {
        let mut digits: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        digits[count - 1] = last;
        let bytes = samples::idx(0x0801, &[count as u32], &digits);
        self.put(&format!("{part}-labels-idx1-ubyte"), &bytes);
    }

    fn images(&self, part: &str, count: usize, side: usize) {
        let dims = [count, side, side].map(|d| d as u32);
        let bytes = samples::idx(0x0803, &dims, &vec![9; count * side * side]);
        self.put(&format!("{part}-images-idx3-ubyte"), &bytes);
    }

    /// The error contains `what`, and commands that lose no file.
    #[track_caller]
    fn refused(&self, what: &str) {
        let message = open("mnist", None, self.0.path()).unwrap_err().to_string();
        assert!(message.contains(what), "expected \"{what}\" in: {message}");
        assert!(!message.contains("remove"), "{message}");
        let script = format!("./datasets.sh --dir {}", self.0.path().display());
        assert!(message.contains(&format!("to check the file: {script} --verify mnist; ")));
        assert!(message.contains("to move it aside and download"), "{message}");
        assert!(message.ends_with(&format!(": {script} mnist")), "{message}");
        let signs = ["this is another data set", "its content is not that of MNIST"];
        let other = signs.iter().any(|sign| message.contains(sign));
        assert_eq!(message.contains("to train on these files: --data idx:"), other, "{message}");
    }
}

#[test]
fn mnist_counts_and_labels_are_checked() {
    let mnist = Mnist::new();
    mnist.labels("t10k", 9_999, 3);
    mnist.refused(
        "ubyte: contains 9,999 labels, but MNIST has 10,000: this is another data set; to train on these files",
    );
    mnist.labels("t10k", 10_000, 10);
    mnist.refused("label 9999 is 10, above 9");
}

/// The several sizes of EMNIST, plain or gzipped, some larger than the limit.
#[test]
fn other_sets_in_the_place_of_mnist() {
    let mnist = Mnist::new();
    for (count, said) in [(18_800, "18,800"), (100, "100"), (116_323, "116,323")] {
        let labels = samples::idx(0x0801, &[count as u32], &vec![3; count]);
        mnist.put("t10k-labels-idx1-ubyte", &labels);
        let what =
            format!("contains {said} labels, but MNIST has 10,000: this is another data set");
        mnist.refused(&format!("ubyte: {what}"));
        mnist.put("t10k-labels-idx1-ubyte.gz", &samples::gz(&labels));
        mnist.refused(&format!("ubyte.gz: {what}"));
        std::fs::remove_file(mnist.0.path().join("mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    }
    // The header alone is enough, because it is checked first.
    let header = samples::idx(0x0801, &[112_800], &[]);
    mnist.put("t10k-labels-idx1-ubyte", &header);
    mnist.refused("contains 112,800 labels");
    mnist.put("t10k-labels-idx1-ubyte", &samples::idx_images());
    mnist.refused("wrong magic 0x00000803, expected 0x00000801");
}

/// Several sets have the sizes of MNIST, but scores on them are not scores on MNIST.
#[test]
fn another_content_than_the_published_one() {
    let mnist = Mnist::new();
    mnist.labels("t10k", 10_000, 3);
    mnist.refused("ubyte: its content is not that of MNIST (sha256 ");
    mnist.refused("..., expected ff7bcfd416de3373...); to train on these files: --data idx:");
    let Some(dir) = samples::shared("another_content_than_the_published_one") else { return };
    let name = "t10k-labels-idx1-ubyte.gz";
    std::fs::copy(dir.join("mnist").join(name), mnist.0.path().join("mnist").join(name)).unwrap();
    mnist.images("t10k", 300, 28);
    mnist.refused(
        "ubyte: contains 300 images of 28 x 28, but MNIST has 10,000: this is another data set",
    );
    mnist.images("t10k", 300, 32);
    mnist.refused(
        "contains 300 images of 32 x 32, but MNIST has 10,000 of 28 x 28: this is another",
    );
    mnist.images("t10k", 112_800, 28);
    mnist.refused(
        "contains 112,800 images of 28 x 28, but MNIST has 10,000: this is another data set",
    );
    mnist.images("t10k", 10_000, 28);
    mnist.refused("images-idx3-ubyte: its content is not that of MNIST");
}

fn all_readers(bytes: &[u8]) {
    let _ = idx::parse_images(bytes, "x");
    let _ = idx::parse_labels(bytes, "x");
    let _ = bits::parse(bytes, "x");
    let _ = amat::parse(bytes, "x");
    let _ = mat5::parse(bytes, "x", "ff");
    let _ = cifar::parse(bytes, "x", 1);
    let _ = picture::parse(bytes, "x");
}

fn valid_files() -> Vec<Vec<u8>> {
    vec![
        samples::idx_images(),
        samples::gz(&samples::idx_images()),
        samples::idx(0x0801, &[3], &[1, 2, 3]),
        samples::bits(),
        samples::amat(&[0; 784]),
        LITTLE.small(false),
        LITTLE.small(true),
        Mat { big_endian: true }.small(false),
        samples::gz(&[7; cifar::RECORD]),
        samples::png(2, 3, png::ColorType::Grayscale, 8, &[9, 8, 7, 6, 5, 4]),
        samples::png(2, 2, png::ColorType::Indexed, 2, &[0b0001_0000, 0b1000_0000]),
        samples::png(1, 2, png::ColorType::Rgba, 16, &[5; 16]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..5) {
        let start: &[u8] = [&[][..], &[0, 0, 8, 3], &[0x1f, 0x8b, 8, 0], b"MATLAB 5.0", b"\x89PNG\r\n\x1a\n"][kind as usize];
        all_readers(&[start, &bytes].concat());
    }

    #[test]
    fn mutated_files_never_panic(
        file in 0..12usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let bytes = samples::mutated(valid_files().swap_remove(file), &edits, (!keep).then_some(cut));
        all_readers(&bytes);
    }
}
