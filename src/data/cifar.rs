//! The binary version of CIFAR-10 (Krizhevsky 2009), plain or gzipped: records without a header.
//!
//! A record is 3,073 bytes: the label, then 1,024 red, 1,024 green and 1,024 blue bytes, each plane
//! row-major, 32 rows of 32. Labels 0 to 9: airplane, automobile, bird, cat, deer, dog, frog, horse,
//! ship, truck. The planes are interleaved here, because images are stored channels last.

use std::borrow::Cow;

use super::Images;
use super::files::fault;
use super::gz;
use crate::error::Result;

/// Rows and columns of an image.
const SIDE: usize = 32;
/// Pixels of an image, which are the bytes of one plane.
const PLANE: usize = SIDE * SIDE;
const CHANNELS: usize = 3;
/// Bytes of a record.
pub const RECORD: usize = 1 + CHANNELS * PLANE;
/// Records per file of the published set.
pub const BATCH: usize = 10_000;

/// The images of `count` records, [count, 32, 32, 3], with labels. `name` is for messages. Fails if the content
/// has another length (no more than the expected length is inflated), and on a label above 9.
pub fn parse(bytes: &[u8], name: &str, count: usize) -> Result<Images> {
    let total = count * RECORD;
    let content = if gz::is_gzip(bytes) {
        // No label is 1f, so an uncompressed file cannot start like gzip data.
        Cow::Owned(gz::gunzip(bytes, name, 0, |_| Ok(total))?)
    } else {
        Cow::Borrowed(bytes)
    };
    if content.len() != total {
        let found = content.len();
        return fault(
            name,
            format!("has {found} bytes, expected {total} ({count} records of {RECORD})"),
        );
    }
    let labels: Vec<u8> = content.iter().step_by(RECORD).copied().collect();
    if let Some(i) = labels.iter().position(|&label| label > 9) {
        return fault(name, format!("label {i} is {}, above 9", labels[i]));
    }
    let value = |e: usize| {
        let (image, pixel, channel) = (e / (RECORD - 1), e / CHANNELS % PLANE, e % CHANNELS);
        content[image * RECORD + 1 + channel * PLANE + pixel]
    };
    Ok(Images {
        pixels: (0..count * CHANNELS * PLANE).map(value).collect(),
        labels: Some(labels),
        count,
        height: SIDE,
        width: SIDE,
        channels: CHANNELS,
        max: 255,
        scene: None,
    })
}
