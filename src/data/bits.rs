//! Packed bits: binary 28x28 images without a header, 98 bytes each.
//!
//! Row-major; pixel p is bit 7 - p % 8 (most significant first) of byte p / 8; 1 = ink.

use super::Images;
use super::files::fault;
use crate::error::Result;

/// Bytes of one image.
pub const IMAGE_BYTES: usize = 28 * 28 / 8;

/// The images of a `.bits` file, [N, 28, 28, 1] of 0 and 1: eight times the memory of `bytes`.
pub fn parse(bytes: &[u8], name: &str) -> Result<Images> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(IMAGE_BYTES) {
        return fault(
            name,
            format!("has {} bytes, not a whole number of {IMAGE_BYTES}-byte images", bytes.len()),
        );
    }
    Ok(Images {
        pixels: (0..8 * bytes.len()).map(|i| (bytes[i / 8] >> (7 - i % 8)) & 1).collect(),
        labels: None,
        count: bytes.len() / IMAGE_BYTES,
        height: 28,
        width: 28,
        channels: 1,
        max: 1,
        scene: None,
    })
}
