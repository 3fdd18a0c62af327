//! Evaluation: figures of every image of a split, in nats, and their means in f64.
//!
//! Bits are drawn under [`EVALUATION_SEED`] at epoch 0 and noise under the same seed with the batch's
//! number, so a model has one figure, whatever the run's seed was.

use crate::data::{Binarization, EVALUATION_SEED, Images, fill_batch};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::vae::{Vae, marginal};
use crate::models::{Model, PerImage};
use crate::rng::{Key, stream};
use crate::tensor::Tensor;

/// Images to score, and how.
pub struct Part<'a> {
    /// A split.
    pub images: &'a Images,
    /// How its pixels become numbers.
    pub mode: Binarization,
    /// Which of its images.
    pub indices: Vec<usize>,
    /// Images of a batch: [`ModelConfig::evaluation_batch`](super::ModelConfig::evaluation_batch).
    pub rows: usize,
}

/// Told how many images are done, and says whether to stop.
pub type Watch<'a> = &'a dyn Fn(usize) -> bool;

/// Figures by image, in the model's order; the first is the score: a bound ("bound"), or exact
/// ("nll"). Those of single glimpses are named "kl.1", "kl.2" and so on.
pub struct Scores(pub Vec<PerImage>);

/// Before the number in the name of a glimpse's KL.
const GLIMPSE: &str = "kl.";

impl Scores {
    /// Names and means over the images, without the single glimpses'.
    pub fn means(&self) -> Vec<(&str, f64)> {
        self.all_means().filter(|(name, _)| !name.starts_with(GLIMPSE)).collect()
    }

    /// Means of the KL of every glimpse, nats; none of a model without glimpses.
    pub fn kl_per_glimpse(&self) -> Vec<f64> {
        self.all_means()
            .filter(|(name, _)| name.starts_with(GLIMPSE))
            .map(|(_, mean)| mean)
            .collect()
    }

    fn all_means(&self) -> impl Iterator<Item = (&str, f64)> {
        let of = |values: &[f32]| mean(values.iter().map(|&v| v.into()));
        self.0.iter().map(move |(name, values)| (name.as_ref(), of(values)))
    }

    /// The mean of the figure `name`, if there is such.
    pub fn mean_of(&self, name: &str) -> Option<f64> {
        self.all_means().find(|(other, _)| *other == name).map(|(_, mean)| mean)
    }

    /// Name and mean of what a reader looks at first: the error of a classifier, else the score.
    pub fn headline(&self) -> (&str, f64) {
        self.mean_of("error").map_or_else(|| (self.name(), self.score()), |error| ("error", error))
    }

    /// What the first figure is called.
    pub fn name(&self) -> &str {
        &self.0[0].0
    }

    /// Its mean.
    pub fn score(&self) -> f64 {
        self.means()[0].1
    }

    /// Images that were scored.
    pub fn images(&self) -> usize {
        self.0[0].1.len()
    }
}

/// The mean, NaN of nothing.
pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// `count` of `total` images, evenly spread: a split may be sorted by class (that of fixed binarized
/// MNIST is), so its first images stand for nothing. All of them if there are fewer.
pub fn spread(total: usize, count: usize) -> Vec<usize> {
    let count = count.min(total);
    (0..count).map(|i| i * total / count).collect()
}

impl<'a> Part<'a> {
    /// Up to `most` images, spread over a split.
    pub fn of(images: &'a Images, mode: Binarization, most: usize, rows: usize) -> Part<'a> {
        Part { images, mode, indices: spread(images.count, most), rows }
    }

    /// Up to `count` images for a picture, spread over a split at uneven distances: the embedded digits
    /// go round from 0 to 9, so that even ones would show one digit again and again.
    pub fn to_show(images: &'a Images, mode: Binarization, count: usize, rows: usize) -> Part<'a> {
        let mut part = Part::of(images, mode, count, rows);
        let ends = part.indices.iter().skip(1).copied().chain([images.count]);
        let uneven = |(i, (start, end)): (usize, (usize, usize))| {
            // The golden ratio's multiples lie evenly in [0, 1) and repeat nothing.
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

/// Hands the images to `f` in batches: the batch's number, x \[rows, D\] and, of images that have them, the
/// labels \[rows\]. Stops early when `watch` says so, and then returns false.
pub fn batches(
    device: &Device,
    part: &Part,
    watch: Watch,
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
                "{what} (the batch begins with image {} of the split)",
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

/// Estimates log p(x) of images by appendix D of the AEVB paper, nats; `None` if `watch` stopped it.
/// Fails with [`Error::NotFinite`] if an estimate is not finite.
pub fn log_marginals(
    vae: &Vae,
    device: &Device,
    part: &Part,
    watch: Watch,
) -> Result<Option<Vec<f64>>> {
    let mut values = Vec::with_capacity(part.indices.len());
    let complete = batches(device, part, watch, |number, x, _| {
        let (settings, stop) = (marginal::Settings::paper(), || watch(number as usize * part.rows));
        // What was stopped has no values; the watch says so again at the end of the batch.
        let found = marginal::log_marginal(vae, x, settings, key(number), &stop)?;
        values.extend(found.unwrap_or_default());
        Ok(())
    })?;
    Ok(complete.then_some(values))
}

/// Scores images; `None` if `watch` stopped it. Fails with [`Error::NotFinite`] if a figure is not
/// finite.
pub fn evaluate(
    model: &dyn Model,
    device: &Device,
    part: &Part,
    watch: Watch,
) -> Result<Option<Scores>> {
    let mut parts: Vec<PerImage> = Vec::new();
    let complete = batches(device, part, watch, |number, x, labels| {
        for (i, (name, values)) in model.evaluate(x, labels, key(number))?.into_iter().enumerate() {
            if parts.len() == i {
                parts.push((name, Vec::with_capacity(part.indices.len())));
            }
            parts[i].1.extend(values);
        }
        Ok(())
    })?;
    if !complete {
        return Ok(None);
    }
    for (name, values) in &parts {
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite(format!(
                "the {name} of image {} is {}: the weights have run away",
                part.indices[i], values[i]
            )));
        }
    }
    Ok(Some(Scores(parts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Param, Var};
    use crate::nn::Module;

    /// Scores an image with its first pixel.
    struct FirstPixel;

    impl Module for FirstPixel {
        fn visit<'a>(&'a self, _: &str, _: &mut dyn FnMut(&str, &'a Param)) {}
    }

    impl Model for FirstPixel {
        fn loss<'t>(&self, x: &Var<'t>, _: &[Tensor], _: Key) -> Var<'t> {
            x.mean()
        }

        fn evaluate(&self, x: &Tensor, _: Option<&Tensor>, _: Key) -> Result<Vec<PerImage>> {
            let width = x.shape()[1];
            Ok(vec![("bound".into(), x.to_vec()?.chunks(width).map(|row| row[0]).collect())])
        }

        fn sample(&self, device: &Device, count: usize, _: Key) -> Result<Tensor> {
            Ok(Tensor::zeros(device, &[count, 1]))
        }
    }

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
    fn a_short_last_batch_counts_by_its_images() {
        // 130 images: a batch of 100 and one of 30.
        let images = images(130);
        let part = Part::of(&images, Binarization::Grey, 130, 100);
        let score = |watch: Watch| evaluate(&FirstPixel, &Device::cpu(), &part, watch).unwrap();
        let scores = score(&|done| [100, 130].binary_search(&done).is_err()).unwrap();
        let mean = (0..130_u8).map(|i| f64::from(f32::from(i) / 255.0)).sum::<f64>() / 130.0;
        assert!((scores.score() - mean).abs() < 1e-12, "{} != {mean}", scores.score());
        assert_eq!((scores.name(), scores.images()), ("bound", 130));
        assert!(score(&|_| true).is_none());
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
        assert!(error.contains("image 7 of its batch (the batch begins with image 100"), "{error}");
    }

    #[test]
    fn glimpses_are_apart_and_an_error_comes_first() {
        let figure = |name: &'static str, values: [f32; 2]| (name.into(), values.to_vec());
        let (one, two) = (figure("kl.1", [1.0, 2.0]), figure("kl.2", [0.0, 1.0]));
        let draw = Scores(vec![figure("bound", [5.0, 7.0]), figure("kl", [1.0, 3.0]), one, two]);
        assert_eq!(draw.means(), [("bound", 6.0), ("kl", 2.0)]);
        assert_eq!(draw.kl_per_glimpse(), [1.5, 0.5]);
        assert_eq!(draw.headline(), ("bound", 6.0));
        let classifier = Scores(vec![figure("nll", [0.5, 1.5]), figure("error", [0.0, 1.0])]);
        assert_eq!((classifier.headline(), classifier.score()), (("error", 0.5), 1.0));
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
