//! How much a file can make its reader allocate, counted per thread.

use pixelloom::data::{amat, bits, cifar, idx, mat5, picture};

use super::samples::{self, Mat};
use crate::peak::peak;

const MIB: usize = 1 << 20;

#[track_caller]
fn within<T, E>(limit: usize, good: bool, work: impl FnOnce() -> Result<T, E>) {
    let (peak, result) = peak(work);
    assert_eq!(result.is_ok(), good);
    assert!(peak <= limit, "{peak} bytes, expected at most {limit}");
}

#[test]
fn counts() {
    assert_eq!(peak(|| drop(vec![0u8; 5 * MIB])).0, 5 * MIB);
}

#[test]
fn bombs_cost_what_they_declare() {
    let mut content = samples::idx_images();
    content.resize(64 * MIB, 0);
    let bomb = samples::gz(&content);
    within(MIB, false, || idx::parse_images(&bomb, "bomb"));

    let little = Mat { big_endian: false };
    let mut array = little.array(9, "ff", &[2, 3], &[1; 6]);
    array.resize(64 * MIB, 0);
    let bomb = little.file(&[little.compressed(&array)]);
    within(MIB, false, || mat5::parse(&bomb, "bomb", "ff"));

    let bomb = samples::gz(&vec![0; 64 * MIB]);
    within(MIB, false, || cifar::parse(&bomb, "bomb", 10));
    let black = vec![0; 2048 * 2048];
    let bomb = samples::png(2048, 2048, png::ColorType::Grayscale, 8, &black);
    within(black.len() + MIB, true, || picture::parse(&bomb, "bomb"));
    // The same data after a header that declares less.
    let mut bomb = bomb;
    bomb[16..24].copy_from_slice(&[0, 0, 0, 16, 0, 0, 0, 16]);
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let (most, _) = peak(|| picture::parse(&bomb, "bomb"));
    assert!(most <= MIB, "{most}");
}

#[test]
fn absurd_sizes_cost_nothing() {
    let declared = samples::idx(0x0803, &[300_000, 28, 28], &[0; 64]);
    within(MIB, false, || idx::parse_images(&declared, "plain"));
    let gz = samples::gz(&declared);
    within(MIB, false, || idx::parse_images(&gz, "gz"));
    let little = Mat { big_endian: false };
    let mat = little.file(&[little.array(9, "ff", &[u32::MAX, 1], &[1; 6])]);
    within(MIB, false, || mat5::parse(&mat, "mat", "ff"));
    let gz = samples::gz(&[0; 64]);
    within(MIB, false, || cifar::parse(&gz, "gz", cifar::BATCH));
}

/// The pixels once, and in addition the inflated content or, for text, the growing row of values.
#[test]
fn good_files_cost_their_content() {
    let content = samples::idx(0x0803, &[10_000, 28, 28], &vec![3; 7_840_000]);
    within(content.len() + MIB, true, || idx::parse_images(&content, "plain"));
    let gz = samples::gz(&content);
    within(2 * content.len() + MIB, true, || idx::parse_images(&gz, "gz"));
    let content = vec![3; 1000 * cifar::RECORD];
    within(content.len() + MIB, true, || cifar::parse(&content, "plain", 1000));
    let gz = samples::gz(&content);
    within(2 * content.len() + MIB, true, || cifar::parse(&gz, "gz", 1000));
    let packed = vec![0x55; 98 * 1000];
    within(8 * packed.len() + 1000, true, || bits::parse(&packed, "bits"));
    let text = samples::amat(&vec![1; 784 * 1000]);
    within(text.len() + 1000, true, || amat::parse(&text, "amat"));
}
