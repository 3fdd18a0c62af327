//! Evaluation: scores of every image of a split in nats, and their means in f64.

use crate::data::part::{OnProgress, batches, key};
use crate::data::{DataSet, Part, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::models::{Model, PerImage, SingleLatent};
use crate::run::Checkpoint;
use crate::run::card::Figure;
use crate::tensor::Tensor;

/// Measurements of every image, in the model's order. The first is the score: a bound ("bound") or exact ("nll"). Those
/// of single glimpses are named "kl.1", "kl.2" and so on.
pub struct Scores(pub Vec<PerImage>);

/// Prefix of the names of the glimpses' KL.
const GLIMPSE: &str = "kl.";

impl Scores {
    /// Names and means over the images, without those of single glimpses.
    pub fn means(&self) -> Vec<(&str, f64)> {
        self.all_means().filter(|(name, _)| !name.starts_with(GLIMPSE)).collect()
    }

    /// Means of the KL of every glimpse, nats; empty for a model without glimpses.
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

    /// The mean of the measurement `name`, if it exists.
    pub fn mean_of(&self, name: &str) -> Option<f64> {
        self.all_means().find(|(other, _)| *other == name).map(|(_, mean)| mean)
    }

    /// Name and mean of the headline score: the error of a classifier, otherwise the score.
    pub fn headline(&self) -> (&str, f64) {
        self.mean_of("error").map_or_else(|| (self.name(), self.score()), |error| ("error", error))
    }

    /// The name of the score.
    pub fn name(&self) -> &str {
        &self.0[0].0
    }

    /// The mean score.
    pub fn score(&self) -> f64 {
        self.means()[0].1
    }

    /// Number of images that were scored.
    pub fn images(&self) -> usize {
        self.0[0].1.len()
    }
}

/// The mean; NaN without values.
pub fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The class under which each image is most likely, argmax over c of log p(x | c), by a model that takes labels. With
/// equal priors this is Bayes' rule. `None` if `watch` stopped it. Fails as [`Model::evaluate`] does.
pub fn classify(
    model: &dyn Model,
    classes: usize,
    device: &Device,
    part: &Part,
    watch: OnProgress,
) -> Result<Option<Vec<usize>>> {
    let mut found = Vec::with_capacity(part.indices.len());
    let complete = batches(device, part, watch, |number, x, _| {
        let rows = x.shape()[0];
        let mut best = vec![(f32::INFINITY, 0); rows];
        for class in 0..classes {
            let labels = Tensor::full(device, class as f32, &[rows]);
            let nll = model.evaluate(x, Some(&labels), key(number))?.swap_remove(0).1;
            for (best, nll) in best.iter_mut().zip(nll) {
                if nll < best.0 {
                    *best = (nll, class);
                }
            }
        }
        found.extend(best.into_iter().map(|(_, class)| class));
        Ok(())
    })?;
    Ok(complete.then_some(found))
}

/// Estimates log p(x) of images by appendix D of the AEVB paper, nats; `None` if `watch` stopped it.
/// Fails with [`Error::NotFinite`] if an estimate is not finite.
pub fn log_marginals(
    model: &dyn SingleLatent,
    device: &Device,
    part: &Part,
    watch: OnProgress,
) -> Result<Option<Vec<f64>>> {
    let mut values = Vec::with_capacity(part.indices.len());
    let complete = batches(device, part, watch, |number, x, _| {
        let stop = || watch(number as usize * part.rows);
        // If `watch` stopped it there are no values; it stops the loop at the end of the batch, too.
        let found = model.log_marginal(x, key(number), &stop)?;
        values.extend(found.unwrap_or_default());
        Ok(())
    })?;
    Ok(complete.then_some(values))
}

/// Scores images; `None` if `watch` stopped it. Fails with [`Error::NotFinite`] if a score is NaN or infinite.
pub fn evaluate(
    model: &dyn Model,
    device: &Device,
    part: &Part,
    watch: OnProgress,
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
                "the {name} of image {} is {}: the weights have diverged",
                part.indices[i], values[i]
            )));
        }
    }
    Ok(Some(Scores(parts)))
}

/// Scores the test split of `data`, in the form that the model expects. `progress` receives the number of finished images
/// and the total. Fails if a score is NaN or infinite.
pub fn figure(
    checkpoint: &Checkpoint,
    data: &DataSet,
    device: &Device,
    progress: &dyn Fn(usize, usize),
) -> Result<Figure> {
    let rows = checkpoint.model.evaluation_batch();
    let part = Part::of(&data.test, data.binarization, usize::MAX, rows);
    let model = checkpoint.load(device)?;
    let watch = |done| {
        progress(done, data.test.count);
        false
    };
    let scores = evaluate(model.model(), device, &part, &watch)?;
    let scores = scores.expect("the callback never stops it");
    Ok(Figure {
        data: data.name.clone(),
        what: data.describe(Split::Test),
        name: scores.name().into(),
        nats: scores.score(),
        text: checkpoint.model.figure(scores.name(), scores.score()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Param, Var};
    use crate::data::{Binarization, Images};
    use crate::nn::Module;
    use crate::rng::Key;
    use crate::tensor::Tensor;

    /// A model whose score of an image is its first pixel.
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

        fn temper(&self, _: f32) {}

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
        let score =
            |watch: OnProgress| evaluate(&FirstPixel, &Device::cpu(), &part, watch).unwrap();
        let scores = score(&|done| [100, 130].binary_search(&done).is_err()).unwrap();
        let mean = (0..130_u8).map(|i| f64::from(f32::from(i) / 255.0)).sum::<f64>() / 130.0;
        assert!((scores.score() - mean).abs() < 1e-12, "{} != {mean}", scores.score());
        assert_eq!((scores.name(), scores.images()), ("bound", 130));
        assert!(score(&|_| true).is_none());
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
}
