//! The embedded digits: 5,000 training and 1,000 test images of MNIST inside the program, so that it can train without
//! a download. `DIGITS.md` has their provenance, licence and how they were chosen.
//!
//! Labels are 0 1 2 .. 9 0 1 2 .., so any run of a multiple of ten images is balanced.

use super::{Images, idx};
use crate::error::Result;

/// The 5,000 training images with labels, [5000, 28, 28, 1].
pub fn train() -> Result<Images> {
    labelled(
        include_bytes!("digits/train-images-idx3-ubyte.gz"),
        include_bytes!("digits/train-labels-idx1-ubyte.gz"),
    )
}

/// The 1,000 test images with labels, [1000, 28, 28, 1].
pub fn test() -> Result<Images> {
    labelled(
        include_bytes!("digits/t10k-images-idx3-ubyte.gz"),
        include_bytes!("digits/t10k-labels-idx1-ubyte.gz"),
    )
}

fn labelled(images: &[u8], labels: &[u8]) -> Result<Images> {
    let mut images = idx::parse_images(images, "embedded digits")?;
    images.labels = Some(idx::parse_labels(labels, "embedded digits")?);
    Ok(images)
}
