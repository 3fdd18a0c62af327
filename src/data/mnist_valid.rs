//! Which of MNIST's 60,000 training images are for validation: the same as in the fixed binarization (Larochelle &
//! Murray). So a model that is trained on one of `mnist` and `binarized-mnist` and fine-tuned on the other is never
//! trained on images that it was or will be validated on. `mnist_valid.bits` has one bit per image, in the order of
//! MNIST's file, most significant bit first; 1 means validation. The authors of the fixed file shuffled the images and
//! published no index, so it was found by matching: the 60,000 binary images were assigned to the 60,000 grey ones so
//! that the likelihood of their bits, the sum of log Bernoulli(bit; grey / 255), is largest. The match is one to one,
//! and every bit of every image is possible under its partner. `tests/program/data/real.rs` checks a part of it against
//! both files.

use super::Images;

static VALID: &[u8] = include_bytes!("mnist_valid.bits");

/// Indices of the images for training and of those for validation, in ascending order.
fn indices() -> [Vec<usize>; 2] {
    let is_valid = |i: &usize| VALID[i / 8] >> (7 - i % 8) & 1 == 1;
    let (valid, train) = (0..8 * VALID.len()).partition(is_valid);
    [train, valid]
}

/// Splits MNIST's 60,000 training images into 50,000 for training and 10,000 for validation, and adds the test images.
///
/// Panics if `train` has another number of images.
pub(super) fn split(train: Images, test: Images) -> (Images, Images, Images) {
    assert_eq!(train.count, 8 * VALID.len(), "MNIST has 60,000 training images");
    let [learned, valid] = indices().map(|indices| train.select(&indices));
    (learned, valid, test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_splits_have_every_image_once() {
        let pixels: Vec<u8> = (0..60_000_u32).flat_map(|i| [(i >> 8) as u8, i as u8]).collect();
        let images = |pixels: Vec<u8>| Images {
            count: pixels.len() / 2,
            pixels: pixels.into(),
            labels: None,
            height: 1,
            width: 2,
            channels: 1,
            max: 255,
            scene: None,
        };
        let (train, valid, test) = split(images(pixels), images(vec![1, 2]));
        assert_eq!([train.count, valid.count, test.count], [50_000, 10_000, 1]);
        let number = |images: &Images, i| {
            let pixels = images.image(i);
            usize::from(pixels[0]) << 8 | usize::from(pixels[1])
        };
        let [learned, held_out] = indices();
        assert!((0..50_000).all(|i| number(&train, i) == learned[i]));
        assert!((0..10_000).all(|i| number(&valid, i) == held_out[i]));
        // Validation images that are not among the last 10,000.
        assert_eq!(held_out.iter().filter(|&&i| i < 50_000).count(), 8_408);
    }
}
