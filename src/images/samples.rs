//! Pictures of a model: samples from the prior, originals above their reconstructions, and the two-dimensional manifold
//! of Figure 4 of the AEVB paper.
//!
//! The manifold shows decoder means for a grid on the unit square, mapped through the inverse normal CDF, so that the
//! latent points are distributed like the prior.

use std::ops::Range;

use super::{Shape, sheet};
use crate::data::{Part, part};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::{Reconstructs, SingleLatent};
use crate::output::Output;
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// Points per side of the manifold.
const SIDE: usize = 20;
/// Columns of a sheet.
pub(super) const COLUMNS: usize = 10;
/// Columns of a sheet of more than [`HUNDRED`] images.
const MANY_COLUMNS: usize = 25;

/// Writes samples as a sheet. Fails as [`sheet::write_sheet`] does.
pub fn write_samples(out: &Output, images: &[f32], shape: Shape) -> Result<()> {
    let count = images.len() / (shape.0 * shape.1 * shape.2);
    let columns = if count > HUNDRED { MANY_COLUMNS } else { COLUMNS.min(count) };
    sheet::write_sheet(out, images, count, shape, columns)
}

/// Writes a row: an image, the decoder's images for `steps` points on the line between the posterior means of both
/// images, and the other image. `ends` \[2 D\] are the images. Fails as [`sheet::write_sheet`] does.
pub fn between(
    out: &Output,
    model: &dyn SingleLatent,
    device: &Device,
    (ends, shape): (&[f32], Shape),
    steps: usize,
) -> Result<()> {
    let dims = ends.len() / 2;
    let (means, _) = model.posterior(&Tensor::new(device, ends, &[2, dims]));
    let means = means.to_vec()?;
    let (from, to) = means.split_at(model.dimensions());
    let point = |i: usize| {
        let t = if steps == 1 { 0.5 } else { i as f32 / (steps - 1) as f32 };
        from.iter().zip(to).map(move |(a, b)| (1.0 - t) * a + t * b)
    };
    let z: Vec<f32> = (0..steps).flat_map(point).collect();
    let z = Tensor::new(device, &z, &[steps, model.dimensions()]);
    let (first, last) = ends.split_at(dims);
    let tiles = [first, &model.decode_means(&z).to_vec()?, last].concat();
    sheet::write_sheet(out, &tiles, steps + 2, shape, steps + 2)
}

/// Number of images whose noise has the same step, and maximum number of images drawn at once.
pub const HUNDRED: usize = 100;

/// The noise of the images `images` of a seed, all of the same hundred. Image i has the noise of row i % 100 in a batch of
/// 100, so it is the same image for any count.
pub fn sample_key(seed: u64, images: Range<usize>) -> Key {
    let (hundred, from) = (images.start / HUNDRED, images.start % HUNDRED);
    let key = Key::new(seed, stream::SAMPLE, hundred as u32);
    key.of_rows(&(from..from + images.len()), HUNDRED)
}

/// Writes rows of images, as the model sees them, each above a row of their reconstructions.
pub fn reconstructions(
    out: &Output,
    model: &dyn Reconstructs,
    device: &Device,
    part: &Part,
) -> Result<()> {
    let images = part.images;
    let columns = COLUMNS.min(part.indices.len());
    let blank = vec![0.0; images.dims()];
    let mut tiles = Vec::new();
    part::batches(device, part, &|_| false, |number, x, _| {
        let means = model.reconstruction(x, part::key(number))?;
        let (originals, width) = (x.to_vec()?, columns * images.dims());
        for (originals, means) in originals.chunks(width).zip(means.chunks(width)) {
            for row in [originals, means] {
                tiles.extend_from_slice(row);
                // Pad a short last row, so that its reconstructions are below it.
                (row.len()..width).step_by(images.dims()).for_each(|_| tiles.extend(&blank));
            }
        }
        Ok(())
    })?;
    let shape = (images.height, images.width, images.channels);
    sheet::write_sheet(out, &tiles, tiles.len() / images.dims(), shape, columns)
}

/// Fails with [`Error::Config`] unless the model has a manifold that can be shown.
pub fn check_manifold(model: &dyn SingleLatent) -> Result<()> {
    match model.dimensions() {
        2 => Ok(()),
        latent => Err(Error::Config(format!(
            "a manifold needs 2 latent dimensions, this model has {latent}; train one with --latent 2"
        ))),
    }
}

/// Fails with [`Error::Config`] if a film cannot show this number of images, since all frames are in memory.
pub fn check_film(count: usize) -> Result<()> {
    if count > HUNDRED {
        return Err(Error::Config(format!(
            "a film of {count} images is too large; it can show at most {HUNDRED}; ask for fewer"
        )));
    }
    Ok(())
}

/// Writes the manifold of a model with two latent dimensions: the first grows to the right, the second
/// upwards. Fails with [`Error::Config`] on any other model.
pub fn manifold(
    out: &Output,
    model: &dyn SingleLatent,
    device: &Device,
    shape: Shape,
) -> Result<()> {
    check_manifold(model)?;
    let z = Tensor::new(device, &grid(SIDE), &[SIDE * SIDE, 2]);
    let means = model.decode_means(&z).to_vec()?;
    sheet::write_sheet(out, &means, SIDE * SIDE, shape, SIDE)
}

/// Latent points of the grid, \[side * side, 2\], row by row from the top.
fn grid(side: usize) -> Vec<f32> {
    let at = |i: usize| normal_quantile((i as f64 + 0.5) / side as f64) as f32;
    (0..side * side).flat_map(|i| [at(i % side), at(side - 1 - i / side)]).collect()
}

/// The x with P(N(0, 1) < x) = p, for p in (0, 1), by bisection.
fn normal_quantile(p: f64) -> f64 {
    let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if below(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        // Abramowitz & Stegun, table 26.5.
        let known = [(0.5, 0.0), (0.975, 1.959_963_985), (0.999, 3.090_232_306)];
        for (p, x) in known {
            assert!((normal_quantile(p) - x).abs() < 1e-8, "p = {p}");
            assert!((normal_quantile(1.0 - p) + x).abs() < 1e-8, "p = {}", 1.0 - p);
        }
    }

    #[test]
    fn the_grid_runs_right_and_up() {
        let z = grid(3);
        let at =
            |row: usize, column: usize| (z[2 * (3 * row + column)], z[2 * (3 * row + column) + 1]);
        assert_eq!(at(1, 1).0.abs() + at(1, 1).1.abs(), at(1, 1).0.abs() * 2.0);
        assert!(at(1, 1).0.abs() < 1e-6);
        assert!(at(0, 2).0 > 0.9 && at(0, 2).1 > 0.9);
        assert!(at(2, 0).0 < -0.9 && at(2, 0).1 < -0.9);
    }
}
