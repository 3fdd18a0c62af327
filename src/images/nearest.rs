//! Samples next to their nearest training images, to check whether a model has memorised its training images.
//!
//! As in Gregor and others, arXiv 1502.04623, Figure 6. The distance is the sum of squared differences to the training
//! images as the model sees them, with the binarization, scenes and crops of epoch 0 if these are random.

use rayon::prelude::*;

use super::Shape;
use super::sheet;
use super::tile::{self, BLUE, Tile};
use crate::data::{Binarization, Images, Part};
use crate::error::Result;
use crate::output::Output;

/// Number of training images that are converted to numbers at a time.
const CHUNK: usize = 1000;
/// Pairs per row.
const PAIRS: usize = 5;
/// Number of independent partial sums, for vectorization.
const LANES: usize = 8;

/// For each sample \[count, D\], the index of the nearest of `images`; the first if several are equally near.
/// `progress` receives the number of images compared so far.
pub fn nearest(
    samples: &[f32],
    images: &Images,
    mode: Binarization,
    progress: &dyn Fn(usize) -> Result<()>,
) -> Result<Vec<usize>> {
    let dims = images.dims();
    let mut best = vec![(f32::INFINITY, 0); samples.len() / dims];
    for start in (0..images.count).step_by(CHUNK) {
        let indices: Vec<usize> = (start..(start + CHUNK).min(images.count)).collect();
        let part = Part { images, mode, indices, rows: 1 };
        let numbers = part.numbers();
        best.par_iter_mut().zip(samples.par_chunks_exact(dims)).for_each(|(best, sample)| {
            for (i, image) in numbers.chunks_exact(dims).enumerate() {
                let distance = squared_distance(sample, image);
                if distance < best.0 {
                    *best = (distance, start + i);
                }
            }
        });
        progress(start + part.indices.len())?;
    }
    Ok(best.into_iter().map(|(_, place)| place).collect())
}

/// The sum of squared differences, added in an order that can be vectorized.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum()
}

/// Writes pairs: a sample \[D\], then the training image nearest to it, in a blue frame.
pub fn write(
    out: &Output,
    samples: &[f32],
    images: &Images,
    mode: Binarization,
    progress: &dyn Fn(usize) -> Result<()>,
) -> Result<()> {
    let dims = images.dims();
    let shape: Shape = (images.height, images.width, images.channels);
    let indices = nearest(samples, images, mode, progress)?;
    let found = Part { images, mode, indices, rows: 1 }.numbers();
    let pairs = samples.chunks_exact(dims).zip(found.chunks_exact(dims));
    let tiles: Vec<f32> = pairs
        .flat_map(|(sample, found)| {
            [Tile::new(sample, shape), Tile::new(found, shape).framed(BLUE)].map(|t| t.pixels)
        })
        .flatten()
        .collect();
    let count = samples.len() / dims;
    sheet::write_sheet(out, &tiles, 2 * count, tile::size(shape), 2 * PAIRS.min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_in_every_chunk() {
        // The two pixels of image i are the digits of i in base 50.
        let pixels: Vec<u8> =
            (0..2500_usize).flat_map(|i| [(i / 50) as u8, (i % 50) as u8]).collect();
        let (count, height, width) = (2500, 1, 2);
        let pixels = pixels.into();
        let images = Images {
            pixels,
            labels: None,
            count,
            height,
            width,
            channels: 1,
            max: 255,
            scene: None,
        };
        let samples = [0.3, 0.4, 31.4, 7.6, 49.0, 60.0].map(|v: f32| v / 255.0);
        let done = std::cell::Cell::new(0);
        let progress = |n| {
            done.set(n);
            Ok(())
        };
        let found = nearest(&samples, &images, Binarization::Grey, &progress).unwrap();
        assert_eq!((found, done.get()), (vec![0, 31 * 50 + 8, 49 * 50 + 49], 2500));
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..19).map(|i| i as f32 + if i == 18 { 3.0 } else { 1.0 }).collect();
        assert_eq!(squared_distance(&a, &b), 18.0 + 9.0);
    }
}
