//! CIFAR-10: small files made here, full-size files with one error each, and the real ones if available.

use std::path::Path;

use pixelloom::data::{Binarization, Images, Split, cifar, open};

use super::samples::{self, says};

/// The byte of image `i`, row `y`, column `x`, channel `c`, chosen so that swapping any two of these is detected.
fn pixel(i: usize, y: usize, x: usize, c: usize) -> u8 {
    (31 * i + 7 * y + 3 * x + 101 * c) as u8
}

/// A file of `count` records in the published format: planes, row-major.
fn file(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * cifar::RECORD);
    for i in 0..count {
        bytes.push((i % 10) as u8);
        for c in 0..3 {
            for y in 0..32 {
                bytes.extend((0..32).map(|x| pixel(i, y, x, c)));
            }
        }
    }
    bytes
}

fn parse(bytes: &[u8], count: usize) -> pixelloom::Result<Images> {
    cifar::parse(bytes, "file.x", count)
}

#[test]
fn planes_become_channels_and_rows_stay_rows() {
    for bytes in [file(12), samples::gz(&file(12))] {
        let images = parse(&bytes, 12).unwrap();
        assert_eq!((images.count, images.max), (12, 255));
        assert_eq!((images.height, images.width, images.channels), (32, 32, 3));
        assert_eq!(images.labels.as_ref().unwrap(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
        for i in 0..12 {
            for (e, &value) in images.image(i).iter().enumerate() {
                let (y, x, c) = (e / 96, e / 3 % 32, e % 3);
                assert_eq!(value, pixel(i, y, x, c), "image {i}, row {y}, column {x}, {c}");
            }
        }
    }
    // Only red, in the second column of the first row.
    let mut record = vec![0; cifar::RECORD];
    record[2] = 200;
    let image = parse(&record, 1).unwrap();
    assert_eq!(image.pixels.iter().position(|&v| v == 200), Some(3));
}

#[test]
fn wrong_lengths_and_labels() {
    let good = file(2);
    says(parse(&good[..6145], 2), "has 6145 bytes, expected 6146 (2 records of 3073)");
    says(parse(&[&good[..], &[0]].concat(), 2), "has 6147 bytes, expected 6146");
    says(parse(&good, 1), "has 6146 bytes, expected 3073");
    says(parse(&[], 1), "has 0 bytes");
    says(parse(&samples::gz(&good[..6145]), 2), "has 6145 bytes, expected 6146");
    says(parse(&samples::gz(&good), 1), "inflates to more than the 3073 bytes expected");
    let gz = samples::gz(&good);
    says(parse(&gz[..gz.len() - 9], 2), "cut short");
    says(parse(&[&gz[..], &[1]].concat(), 2), "1 bytes follow the end");
    let mut bad = good.clone();
    bad[cifar::RECORD] = 10;
    says(parse(&bad, 2), "label 1 is 10, above 9");
    says(parse(&samples::gz(&bad), 2), "label 1 is 10, above 9");
    // Fewer bytes than a compressed batch can have.
    says(parse(&samples::gz(&[0; 64]), cifar::BATCH), "compressed bytes cannot hold the 30730000");
}

/// A folder with one wrong file at a time.
#[test]
fn files_that_are_not_of_the_set() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cifar10");
    let fault = |name: &str| open(name, None, dir.path()).unwrap_err().to_string();
    for name in ["cifar10", "cifar10-batch1"] {
        let message = fault(name);
        assert!(message.contains("test_batch.bin: no such file"), "{message}");
        assert!(message.contains("./datasets.sh --dir") && message.ends_with(" cifar10"));
    }
    let message = open("cifar10-batch1", None, Path::new("data")).unwrap_err().to_string();
    let hint = "data/cifar10/test_batch.bin: no such file; download it with the script that \
                `pixelloom data --script` prints: ./datasets.sh cifar10";
    assert_eq!(message, hint);

    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let total = cifar::BATCH * cifar::RECORD;
    // Under any name, plain or gzipped, even though its file of training images is far too long.
    for (records, said) in [(100, "100"), (10_000, "10,000"), (50_000, "50,000")] {
        let what = format!(
            "this is CIFAR-100 ({said} records of 3,074 bytes), cifar10 is expected; to check the file: "
        );
        let hundred = vec![5; records * (cifar::RECORD + 1)];
        write("test_batch.bin", &hundred);
        for name in ["cifar10", "cifar10-batch1"] {
            let message = fault(name);
            assert!(message.contains(&format!("test_batch.bin: {what}")), "{message}");
            assert!(!message.contains("remove") && message.ends_with(" cifar10"), "{message}");
        }
        write("test_batch.bin", &samples::gz(&hundred));
        assert!(fault("cifar10").contains(&what), "{}", fault("cifar10"));
    }
    for (bytes, what) in [
        (vec![5; total - 1], "has 30729999 bytes, expected 30730000 (10000 records of 3073)"),
        (vec![5; total + 1], "has 30730001 bytes, expected 30730000 (10000 records of 3073)"),
        (vec![5; 3 * total], "has 92190000 bytes, but at most 61460000 are expected"),
        (vec![10; total], "label 0 is 10, above 9"),
        (vec![5; total], "its content is not that of CIFAR-10 (sha256 "),
        (samples::gz(&vec![5; total]), "its content is not that of CIFAR-10 (sha256 "),
    ] {
        write("test_batch.bin", &bytes);
        let message = fault("cifar10");
        assert!(message.contains(&format!("test_batch.bin: {what}")), "{message}");
        assert!(message.contains("to check the file: ./datasets.sh --dir "), "{message}");
    }
}

fn label_counts(parts: &[&Images]) -> [usize; 10] {
    let mut counts = [0; 10];
    for images in parts {
        images.labels.as_ref().unwrap().iter().for_each(|&l| counts[usize::from(l)] += 1);
    }
    counts
}

/// Mean and standard deviation of each channel, of 0..1.
fn moments(images: &Images) -> [(f64, f64); 3] {
    std::array::from_fn(|c| {
        let values = || images.pixels.iter().skip(c).step_by(3).map(|&v| f64::from(v) / 255.0);
        let n = values().count() as f64;
        let mean = values().sum::<f64>() / n;
        (mean, (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
    })
}

#[test]
fn real_files() {
    let Some(dir) = samples::shared("cifar10") else { return };
    let set = open("cifar10-batch1", None, &dir).unwrap();
    assert_eq!([set.train.count, set.valid.count, set.test.count], [9_000, 1_000, 10_000]);
    assert_eq!(set.binarization, Binarization::Grey);
    assert_eq!(
        set.describe(Split::Valid),
        "cifar10-batch1 (CIFAR-10, data_batch_1 only), valid split, 1,000 images, 256 levels"
    );
    assert_eq!(label_counts(&[&set.test]), [1000; 10]);
    // The widely published moments; the first test image is a cat, the second and third are ships.
    let counts = [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981];
    assert_eq!(label_counts(&[&set.train, &set.valid]), counts);
    assert_eq!(set.test.labels.as_ref().unwrap()[..6], [3, 8, 8, 0, 6, 6]);
    assert_eq!(set.test.image(0)[..6], [158, 112, 49, 159, 111, 47]);
    let near = |images: &Images, expected: [(f64, f64); 3], tolerance: f64| {
        for ((mean, std), (m, d)) in moments(images).into_iter().zip(expected) {
            assert!((mean - m).abs() <= tolerance, "mean {mean}, expected {m}");
            assert!((std - d).abs() <= tolerance, "standard deviation {std}, expected {d}");
        }
    };
    near(&set.test, [(0.49421, 0.24665), (0.48513, 0.24289), (0.45041, 0.26159)], 6e-6);
    // A fifth of the training images, so only close to the moments of all.
    near(&set.train, [(0.49140, 0.24703), (0.48216, 0.24349), (0.44653, 0.26159)], 3e-3);
}
