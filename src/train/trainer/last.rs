//! The pictures at the end of a run.

use super::{Job, Trainer};
use crate::data::{Part, Split, part};
use crate::error::Result;
use crate::images::drawing::{self, Completion, Drawing};
use crate::images::glimpses::Glimpses;
use crate::images::{nearest, samples};
use crate::models::{Autoregressive, Draws, Reads};
use crate::report::plots::{curve, glimpse_plot};
use crate::tensor::Tensor;
use crate::train::Scores;

/// Number of test images that are reconstructed.
const RECONSTRUCTED: usize = 50;
/// Number of test images that are completed, and completions of each.
const COMPLETED: (usize, usize) = (8, 6);
/// Number of images on strips and films: of drawing, and of reading.
const SHOWN: (usize, usize) = (9, 4);
/// Number of samples that are shown with their nearest training images.
const NEAREST: usize = 20;
/// Number of test images shown for a classifier.
const LOOKED_AT: usize = 10;

impl Trainer {
    /// Test images for a picture.
    fn to_show(&self, count: usize) -> Part<'_> {
        let Job { data, config, .. } = &self.job;
        Part::to_show(&data.test, data.binarization, count, config.model.evaluation_batch())
    }

    /// Writes samples of the finished model and its results on test images; `scores` are those of `split`.
    pub(super) fn last_pictures(&self, split: Split, scores: &Scores) -> Result<()> {
        let Job { config, device, run, .. } = &self.job;
        let (model, file) = (self.model.model(), |name: &str| run.sample(name));
        self.signals.check()?;
        if let Some(model) = model.draws_by_glimpses() {
            self.drawing_by_glimpses(model)?;
        }
        if let Some(model) = model.reads_by_glimpses() {
            self.reading_by_glimpses(model)?;
        }
        if let Some(model) = model.reconstructs() {
            let part = self.to_show(RECONSTRUCTED);
            samples::reconstructions(&file("reconstructions.png")?, model, device, &part)?;
        }
        if let Some(model) = model.single_latent().filter(|model| model.dimensions() == 2) {
            samples::manifold(&file("manifold.png")?, model, device, config.model.shape())?;
        }
        if let Some(model) = model.autoregressive() {
            self.completions(model)?;
        }
        if model.draws_by_glimpses().is_some() {
            self.nearest()?;
            let data = &self.job.data;
            let what = format!("{}, {}", data.describe(split), device.name());
            let plot = glimpse_plot(&scores.kl_per_glimpse(), &what);
            run.write("samples/kl.svg", &curve(&plot))?;
        }
        Ok(())
    }

    fn completions(&self, model: &dyn Autoregressive) -> Result<()> {
        let Job { config, run, .. } = &self.job;
        let shape = config.model.shape();
        let part = self.to_show(COMPLETED.0);
        let what = Completion {
            originals: &part.numbers(),
            mask: &drawing::lower_half(shape),
            samples: COMPLETED.1,
            classes: &part.classes().unwrap_or_default(),
        };
        let progress = |_, _| self.signals.check();
        let drawn = self.drawing(&progress).completions(model, &what)?;
        drawn.write_sheet(&run.sample("completions.png")?)
    }

    fn drawing<'a>(
        &'a self,
        progress: &'a (dyn Fn(usize, usize) -> Result<()> + Sync),
    ) -> Drawing<'a> {
        let Job { config, device, .. } = &self.job;
        Drawing {
            device,
            shape: config.model.shape(),
            seed: config.seed,
            progress,
            film: false,
            class: None,
        }
    }

    fn drawing_by_glimpses(&self, model: &dyn Draws) -> Result<()> {
        let Job { config, device, run, .. } = &self.job;
        let key = samples::sample_key(config.seed, 0..SHOWN.0);
        let trace = model.imagine(device, SHOWN.0, key)?;
        let (frames, shape) = (&trace.frames, config.model.shape());
        let drawn = Glimpses { frames, shape, read: None, wrong: &[] };
        drawn.write_strip(&run.sample("film.png")?)?;
        drawn.write_film(&run.sample("film.gif")?)?;
        self.signals.check()
    }

    fn reading_by_glimpses(&self, model: &dyn Reads) -> Result<()> {
        let Job { config, device, run, .. } = &self.job;
        let classifies = config.model.classes().is_some();
        let part = self.to_show(if classifies { LOOKED_AT } else { SHOWN.1 });
        let images = part.numbers();
        let x = Tensor::new(device, &images, &[part.indices.len(), part.images.dims()]);
        let (trace, found) = model.read(&x, part::key(0))?;
        let (found, classes) = (found.unwrap_or_default(), part.classes().unwrap_or_default());
        let wrong: Vec<bool> = found.iter().zip(&classes).map(|(a, b)| a != b).collect();
        let (frames, shape) = (&trace.frames, config.model.shape());
        let reading = Glimpses { frames, shape, read: Some(&images), wrong: &wrong };
        reading.write_strip(&run.sample("reading.png")?)?;
        reading.write_film(&run.sample("reading.gif")?)?;
        self.signals.check()
    }

    /// Writes samples next to their nearest training images.
    fn nearest(&self) -> Result<()> {
        let Job { data, run, .. } = &self.job;
        self.signals.check()?;
        let samples =
            self.drawing(&|_, _| self.signals.check()).samples(self.model.model(), NEAREST)?;
        // The search may take long, so check for signals and for the run's directory meanwhile.
        let watch = |_| self.signals.check().and_then(|()| run.held());
        nearest::write(
            &run.sample("nearest.png")?,
            &samples.images,
            &data.train,
            data.binarization,
            &watch,
        )
    }
}
