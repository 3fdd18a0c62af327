//! IDX, the format of MNIST (LeCun, Cortes, Burges), plain or gzipped.
//!
//! Big-endian u32: magic (0, 0, type 8 = unsigned byte, number of dimensions), then each dimension,
//! then the bytes, last dimension fastest. Images are [N, H, W], 0 = background, 255 = ink; labels
//! are \[N\].

use std::borrow::Cow;

use super::Images;
use super::files::fault;
use super::gz;
use crate::error::Result;

const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// Maximum bytes of the content, forty times MNIST.
pub(super) const MOST: usize = 2 << 30;

/// The images of an IDX file, grey, without labels. `name` is for messages.
pub fn parse_images(bytes: &[u8], name: &str) -> Result<Images> {
    let ([count, height, width], content) = unpack::<3>(bytes, name, IMAGES)?;
    Ok(Images {
        pixels: content[16..].into(),
        labels: None,
        count,
        height,
        width,
        channels: 1,
        max: 255,
        scene: None,
    })
}

/// The labels of an IDX file, \[N\]. `name` is for messages.
pub fn parse_labels(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    let (_, content) = unpack::<1>(bytes, name, LABELS)?;
    Ok(content[8..].to_vec())
}

/// The dimensions declared by `head`, if it is the header of an uncompressed IDX file of this rank.
pub(super) fn declared<const RANK: usize>(head: &[u8]) -> Option<[usize; RANK]> {
    let magic = 0x0800 | RANK as u32;
    (head.len() >= 4 + 4 * RANK && word(head, 0) == magic)
        .then(|| std::array::from_fn(|i| word(head, i + 1) as usize))
}

/// Big-endian word `i`.
fn word(head: &[u8], i: usize) -> u32 {
    u32::from_be_bytes([head[4 * i], head[4 * i + 1], head[4 * i + 2], head[4 * i + 3]])
}

/// The dimensions and the whole uncompressed content, whose length was checked against them.
fn unpack<'a, const RANK: usize>(
    bytes: &'a [u8],
    name: &str,
    magic: u32,
) -> Result<([usize; RANK], Cow<'a, [u8]>)> {
    let header = 4 + 4 * RANK;
    let declared = |head: &[u8]| Ok(sizes::<RANK>(head, name, magic)?.1);
    let content = if gz::is_gzip(bytes) {
        Cow::Owned(gz::gunzip(bytes, name, header, declared)?)
    } else {
        Cow::Borrowed(bytes)
    };
    if content.len() < header {
        return fault(
            name,
            format!("has {} bytes, too short for an IDX header of {header}", content.len()),
        );
    }
    let (dims, total) = sizes::<RANK>(&content[..header], name, magic)?;
    if content.len() != total {
        return fault(
            name,
            format!("has {} bytes but its header {dims:?} declares {total}", content.len()),
        );
    }
    Ok((dims, content))
}

/// The dimensions that a header declares, and the total bytes of header and content.
fn sizes<const RANK: usize>(head: &[u8], name: &str, magic: u32) -> Result<([usize; RANK], usize)> {
    let found = word(head, 0);
    if found != magic {
        return fault(
            name,
            format!("wrong magic {found:#010x}, expected {magic:#010x} (IDX, rank {RANK})"),
        );
    }
    let dims: [usize; RANK] = std::array::from_fn(|i| word(head, i + 1) as usize);
    if dims.contains(&0) {
        return fault(name, format!("its header {dims:?} declares no data"));
    }
    match dims.iter().try_fold(1usize, |product, &d| product.checked_mul(d)) {
        Some(size) if size <= MOST => Ok((dims, head.len() + size)),
        _ => fault(
            name,
            format!("its header {dims:?} declares an absurd size (more than {MOST} bytes)"),
        ),
    }
}
