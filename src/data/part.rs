//! Images of a split that are scored or shown, with the batches and the noise for their evaluation. Bits are sampled
//! with [`EVALUATION_SEED`] at epoch 0, and noise with the same seed and the batch's number, so a model's score does
//! not depend on the run's seed.

use super::{Binarization, EVALUATION_SEED, Images, fill_batch};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// Images to score, and how.
pub struct Part<'a> {
    /// A split.
    pub images: &'a Images,
    /// How its pixels become numbers.
    pub mode: Binarization,
    /// Indices of its images.
    pub indices: Vec<usize>,
    /// Images per batch; the settings of a model determine it (`ModelConfig::evaluation_batch`).
    pub rows: usize,
}

/// Called with the number of images done; returns whether to stop.
pub type OnProgress<'a> = &'a dyn Fn(usize) -> bool;

/// Indices of `count` evenly spaced images out of `total`, or of all if there are fewer. A split may be sorted by class
/// (as in fixed binarized MNIST), so its first images are not representative.
pub fn spread(total: usize, count: usize) -> Vec<usize> {
    let count = count.min(total);
    (0..count).map(|i| i * total / count).collect()
}

impl<'a> Part<'a> {
    /// Up to `most` evenly spaced images of a split.
    pub fn of(images: &'a Images, mode: Binarization, most: usize, rows: usize) -> Part<'a> {
        Part { images, mode, indices: spread(images.count, most), rows }
    }

    /// Up to `count` images for a picture, at uneven distances over a split: the embedded digits cycle from 0 to 9, so
    /// even distances would show the same digit again and again.
    pub fn to_show(images: &'a Images, mode: Binarization, count: usize, rows: usize) -> Part<'a> {
        let mut part = Part::of(images, mode, count, rows);
        let ends = part.indices.iter().skip(1).copied().chain([images.count]);
        let uneven = |(i, (start, end)): (usize, (usize, usize))| {
            // Multiples of the golden ratio are evenly distributed in [0, 1) without repetition.
            start + ((i as f64 * 0.618_033_988_75).fract() * (end - start) as f64) as usize
        };
        let starts = part.indices.iter().copied();
        part.indices = starts.zip(ends).enumerate().map(uneven).collect();
        part
    }

    /// The classes of the images, if they have labels.
    pub fn classes(&self) -> Option<Vec<usize>> {
        let labels = self.images.labels.as_ref()?;
        Some(self.indices.iter().map(|&i| labels[i].into()).collect())
    }

    /// The images as numbers in \[0, 1\], one after the other.
    pub fn numbers(&self) -> Vec<f32> {
        let mut numbers = vec![0.0; self.indices.len() * self.images.dims()];
        fill_batch(self.images, self.mode, EVALUATION_SEED, 0, &self.indices, &mut numbers);
        numbers
    }
}

/// Passes the images to `f` in batches: the batch's number, x \[rows, D\] and, if the images have labels, the labels
/// \[rows\]. Stops early if `watch` returns true, and then returns false.
pub fn batches(
    device: &Device,
    part: &Part,
    watch: OnProgress,
    mut f: impl FnMut(u32, &Tensor, Option<&Tensor>) -> Result<()>,
) -> Result<bool> {
    let Part { images, mode, indices, rows } = part;
    let mut host = vec![0.0; rows * images.dims()];
    for (number, indices) in indices.chunks(*rows).enumerate() {
        let batch = &mut host[..indices.len() * images.dims()];
        fill_batch(images, *mode, EVALUATION_SEED, 0, indices, batch);
        let x = Tensor::new(device, batch, &[indices.len(), images.dims()]);
        f(number as u32, &x, labels(device, images, indices).as_ref()).map_err(|e| match e {
            Error::NotFinite(what) => Error::NotFinite(format!(
                "{what} (the batch starts with image {} of the split)",
                indices[0]
            )),
            other => other,
        })?;
        if watch(number * rows + indices.len()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Class numbers of the images `indices`, \[rows\], if the images have labels.
pub fn labels(device: &Device, images: &Images, indices: &[usize]) -> Option<Tensor> {
    let all = images.labels.as_ref()?;
    let labels: Vec<f32> = indices.iter().map(|&i| f32::from(all[i])).collect();
    Some(Tensor::new(device, &labels, &[labels.len()]))
}

/// The noise of evaluation batch `number`.
pub fn key(number: u32) -> Key {
    Key::new(EVALUATION_SEED, stream::EVALUATE, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> Images {
        let pixels = (0..count * 2).map(|i| (i / 2) as u8).collect();
        Images {
            pixels,
            labels: None,
            count,
            height: 1,
            width: 2,
            channels: 1,
            max: 255,
            scene: None,
        }
    }

    #[test]
    fn a_batch_that_is_not_finite_is_named_by_its_first_image() {
        let images = images(130);
        let part = Part::of(&images, Binarization::Grey, 130, 100);
        let fails = |number: u32, _: &Tensor, _: Option<&Tensor>| match number {
            1 => Err(Error::NotFinite("image 7 of its batch".into())),
            _ => Ok(()),
        };
        let error = batches(&Device::cpu(), &part, &|_| false, fails).unwrap_err().to_string();
        assert!(error.contains("image 7 of its batch (the batch starts with image 100"), "{error}");
    }

    #[test]
    fn images_are_spread_over_a_split() {
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
        assert_eq!(spread(3, 5), [0, 1, 2]);
        assert!(spread(0, 5).is_empty());
        let images = images(250);
        let shown = Part::to_show(&images, Binarization::Grey, 5, 1).indices;
        assert!(shown.iter().enumerate().all(|(i, &at)| (50 * i..50 * (i + 1)).contains(&at)));
        let digits: std::collections::BTreeSet<usize> = shown.iter().map(|at| at % 10).collect();
        assert!(digits.len() > 2, "{shown:?}");
        assert_eq!(Part::to_show(&images, Binarization::Grey, 250, 1).indices, spread(250, 250));
    }
}
