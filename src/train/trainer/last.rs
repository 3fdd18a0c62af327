//! The pictures at the end of a run.

use super::{Job, Trainer};
use crate::data::{Part, Split, part};
use crate::error::Result;
use crate::images::completions::{self, Completion, Drawing};
use crate::images::glimpses::Glimpses;
use crate::images::{nearest, samples};
use crate::models::draw::{Classifier, Draw};
use crate::report::plots::{curve, glimpse_plot};
use crate::settings::AnyModel;
use crate::tensor::Tensor;
use crate::train::Scores;

/// Test images that are reconstructed.
const RECONSTRUCTED: usize = 50;
/// Test images that are completed, and how often each.
const COMPLETED: (usize, usize) = (8, 6);
/// Images that are drawn on a strip and a film, and images that are read on such.
const SHOWN: (usize, usize) = (9, 4);
/// Samples beside their nearest training images.
const NEAREST: usize = 20;
/// Test images that a classifier looks at.
const LOOKED_AT: usize = 10;

impl Trainer {
    /// Test images for a picture.
    fn to_show(&self, count: usize) -> Part<'_> {
        let Job { data, config, .. } = &self.job;
        Part::to_show(&data.test, data.binarization, count, config.model.evaluation_batch())
    }

    /// What the finished model draws, and makes of test images; `scores` are those of `split`.
    pub(super) fn last_pictures(&self, split: Split, scores: &Scores) -> Result<()> {
        let Job { config, device, run, .. } = &self.job;
        let file = |name: &str| run.sample(name);
        let (shape, seed) = (config.model.shape(), config.seed);
        self.signals.check()?;
        match &self.model {
            AnyModel::Vae(vae) => {
                let part = self.to_show(RECONSTRUCTED);
                samples::reconstructions(
                    &file("reconstructions.png")?,
                    &self.model,
                    device,
                    &part,
                )?;
                if vae.config.latent == 2 {
                    samples::manifold(&file("manifold.png")?, vae, device, shape)?;
                }
            }
            AnyModel::Draw(draw) => self.glimpses_of_draw(draw, split, scores)?,
            AnyModel::Classifier(classifier) => self.glimpses_of_classifier(classifier)?,
            AnyModel::Pixel(_) | AnyModel::MultiScale(_) => {
                let model = self.model.autoregressive("a completion")?;
                let progress = |_, _| self.signals.check();
                let drawing = Drawing { device, shape, seed, progress: &progress, film: false };
                let what = Completion {
                    originals: &self.to_show(COMPLETED.0).numbers(),
                    mask: &completions::lower_half(shape),
                    samples: COMPLETED.1,
                };
                drawing.completions(model, &what)?.write_sheet(&file("completions.png")?)?;
            }
        }
        Ok(())
    }

    fn glimpses_of_draw(&self, draw: &Draw, split: Split, scores: &Scores) -> Result<()> {
        let Job { config, data, device, run, .. } = &self.job;
        let file = |name: &str| run.sample(name);
        let (shape, key) = (config.model.shape(), samples::sample_key(config.seed, 0));
        let trace = draw.imagine(device, SHOWN.0, key)?;
        let drawn = Glimpses { frames: &trace.frames, shape, read: None, wrong: &[] };
        drawn.write_strip(&file("film.png")?)?;
        drawn.write_film(&file("film.gif")?)?;
        self.signals.check()?;
        let part = self.to_show(SHOWN.1);
        let images = part.numbers();
        let x = Tensor::new(device, &images, &[part.indices.len(), part.images.dims()]);
        let trace = draw.reconstruct(&x, part::key(0))?;
        let reading = Glimpses { frames: &trace.frames, shape, read: Some(&images), wrong: &[] };
        reading.write_strip(&file("reading.png")?)?;
        reading.write_film(&file("reading.gif")?)?;
        self.signals.check()?;
        let part = self.to_show(RECONSTRUCTED);
        samples::reconstructions(&file("reconstructions.png")?, &self.model, device, &part)?;
        let watch = |_| self.signals.check();
        let samples = samples::draw(draw, device, NEAREST, config.seed, &watch)?;
        let (train, mode) = (&data.train, data.binarization);
        // The search may take long, and is followed by the writing.
        let watch = |_| self.signals.check().and_then(|()| run.held());
        nearest::write(&file("nearest.png")?, &samples, train, mode, &watch)?;
        let what = format!("{}, {}", data.describe(split), device.name());
        run.write("samples/kl.svg", &curve(&glimpse_plot(&scores.kl_per_glimpse(), &what)))
    }

    fn glimpses_of_classifier(&self, classifier: &Classifier) -> Result<()> {
        let Job { config, device, run, .. } = &self.job;
        let part = self.to_show(LOOKED_AT);
        let images = part.numbers();
        let x = Tensor::new(device, &images, &[part.indices.len(), part.images.dims()]);
        let (trace, found) = classifier.look(&x)?;
        let classes = part.classes().unwrap_or_default();
        let wrong: Vec<bool> = found.iter().zip(&classes).map(|(a, b)| a != b).collect();
        let shape = config.model.shape();
        let looking = Glimpses { frames: &trace.frames, shape, read: Some(&images), wrong: &wrong };
        looking.write_strip(&run.sample("reading.png")?)?;
        looking.write_film(&run.sample("reading.gif")?)
    }
}
