//! Tests of the readers of published sets, on stand-ins of the right sizes.

use super::*;

/// Rows of the script's table, FILE SHA256, of one set.
fn script(set: &str) -> Vec<(String, String)> {
    let text = include_str!("../../../datasets.sh");
    let rows = text.split_once(&format!("    {set})\n")).unwrap().1;
    let words: Vec<&str> = rows.split_once("\nE\n").unwrap().0.split_whitespace().collect();
    let is_sum = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let pairs = words.windows(2).filter(|pair| is_sum(pair[1]));
    pairs.map(|pair| (pair[0].to_string(), pair[1].to_string())).collect()
}

#[test]
fn the_script_has_the_same_sums() {
    for set in [MNIST, BINARIZED_MNIST, CIFAR10, SVHN_CROPPED] {
        let own = set.sums.iter().map(|(file, sum)| (file.to_string(), sum.to_string()));
        assert_eq!(script(set.name), own.collect::<Vec<_>>(), "{}", set.name);
    }
    let (file, sum) = FREY.sums[0];
    assert!(include_str!("../../../datasets.sh").contains(&format!("\"{file} {sum}\"")));
}

#[test]
fn contents_are_compared() {
    let set = Published { sums: &[("a.bin", SUM)], ..CIFAR10 };
    for name in ["x/a.bin", "x/a.bin.gz", "elsewhere/a.bin"] {
        set.compare(Path::new(name), b"abc", name).unwrap();
        let message = set.compare(Path::new(name), b"abd", name).unwrap_err().to_string();
        let said = "its content is not that of CIFAR-10 (sha256 a52d159f262b2c6d..., expected \
                    ba7816bf8f01cfea...)";
        assert_eq!(message, format!("{name}: {said}"));
    }
}

/// Of "abc" (FIPS 180-2).
const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Reads files of the right sizes as if they were the published ones.
#[test]
fn the_last_training_images_of_cifar10_are_held_out() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("cifar10")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join("cifar10").join(name), bytes).unwrap();
    };
    let mut bytes: Vec<u8> = (0..cifar::BATCH * cifar::RECORD)
        .map(|e| if e % cifar::RECORD == 0 { e / cifar::RECORD % 10 } else { e / 7 } as u8)
        .collect();
    // The first byte of pixels identifies the batch.
    for batch in 0..=5 {
        bytes[1] = 200 + batch;
        let stem = if batch == 0 { "test_batch" } else { &format!("data_batch_{batch}") };
        write(&format!("{stem}.bin"), &bytes);
    }
    let set = Published { sums: &[], ..CIFAR10 };
    let (train, valid, test) = cifar10_of(&set, dir.path(), 5, 5_000).unwrap();
    assert_eq!([train.count, valid.count, test.count], [45_000, 5_000, 10_000]);
    for batch in 0..5 {
        assert_eq!(train.image(10_000 * batch)[0], 201 + batch as u8);
    }
    assert_eq!(test.image(0)[0], 200);
    assert!(valid.pixels[..] == test.pixels[5_000 * 3072..]);
    assert_eq!(valid.labels.as_deref(), test.labels.as_ref().map(|l| &l[5_000..]));
    assert_eq!(train.image(44_999), test.image(4_999));
    let (train, valid, _) = cifar10_of(&set, dir.path(), 1, 1_000).unwrap();
    assert_eq!([train.count, valid.count], [9_000, 1_000]);
    assert!(valid.pixels[..] == test.pixels[9_000 * 3072..]);
}

#[test]
fn mnist_holds_out_what_the_fixed_file_holds_out() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("mnist");
    std::fs::create_dir(&folder).unwrap();
    for (part, count) in [("train", 60_000_u32), ("t10k", 10_000)] {
        let write = |kind: &str, dims: &[u32], data: &dyn Fn(u32) -> u8| {
            let mut bytes = vec![0, 0, 8, dims.len() as u8];
            dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
            bytes.extend((0..dims.iter().product()).map(data));
            std::fs::write(folder.join(format!("{part}-{kind}-ubyte")), bytes).unwrap();
        };
        write("labels-idx1", &[count], &|i| (i / 1000 % 10) as u8);
        write("images-idx3", &[count, 28, 28], &|e| (e / 784 / 1000) as u8);
    }
    let set = Published { sums: &[], ..MNIST };
    let (train, valid, test) = mnist_of(&set, dir.path()).unwrap();
    assert_eq!([train.count, valid.count, test.count], [50_000, 10_000, 10_000]);
    let thousands =
        |images: &Images| -> Vec<u8> { (0..images.count).map(|i| images.image(i)[0]).collect() };
    let (learned, held_out) = (thousands(&train), thousands(&valid));
    assert!(learned.is_sorted() && held_out.is_sorted());
    let all: Vec<u8> = (0..60).flat_map(|thousand| vec![thousand; 1000]).collect();
    let mut both = [learned, held_out.clone()].concat();
    both.sort_unstable();
    assert_eq!(both, all, "each image once");
    let labels = valid.labels.unwrap();
    assert!(labels.iter().zip(&held_out).all(|(label, thousand)| *label == thousand % 10));
    assert_eq!(test.image(9_999)[783], 9);
    let message = mnist(dir.path()).unwrap_err().to_string();
    assert!(message.contains("t10k-labels-idx1-ubyte: its content is not that"), "{message}");
    let at = |folder: &Path| format!("--data idx:{}; to ", folder.display());
    assert!(message.contains(&(at(&folder) + "check the file: ")), "{message}");

    // Where other programs keep these files, and how the site names them.
    let raw = dir.path().join("MNIST/raw");
    std::fs::create_dir_all(&raw).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let dotted = if name.starts_with("t10k") { ".idx" } else { "-idx" };
        std::fs::rename(&path, raw.join(name.replace("-idx", dotted))).unwrap();
    }
    assert!(mnist_of(&set, dir.path()).unwrap().0.pixels == train.pixels);
    let message = mnist(dir.path()).unwrap_err().to_string();
    assert!(message.contains("t10k-labels.idx1-ubyte: its content is not that"), "{message}");
    let advice = at(&raw) + "download the published one: ./datasets.sh";
    assert!(message.contains(&advice), "{message}");
}
