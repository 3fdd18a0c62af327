//! `pixelloom sample`: sheets of samples, films and strips of how they are drawn, the nearest training images,
//! reconstructions, the manifold.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::Device;
use pixelloom::data::{DataSet, Part};
use pixelloom::images::drawing::Drawing;
use pixelloom::images::glimpses::{self, Glimpses};
use pixelloom::images::{self, nearest, samples};
use pixelloom::models::{AnyModel, Draws};
use pixelloom::output::{FileKind, Output};

use super::bar::Bar;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::out::wrote;
use super::outputs::Outputs;

/// Default number of images, without and with a film, a strip or nearest neighbours.
const COUNT: (u32, u32) = (100, 16);

const EXAMPLES: &str = "\
Examples:
  pixelloom sample runs/digits --count 64 --out samples.png
  pixelloom sample digits-draw --film drawing.gif --strip strip.png
  pixelloom sample aevb-manifold --manifold --out manifold.png";

/// Sample images from a model and write them as a PNG sheet
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Sample {
    #[command(flatten)]
    source: Source,
    /// Number of images [default: 100; with --film, --strip or --nearest 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: Option<u32>,
    /// Also write a film of the images being drawn (pixel models, draw)
    #[arg(long, value_name = "FILE.gif", conflicts_with_all = ["reconstruct", "manifold"])]
    film: Option<PathBuf>,
    /// Also write a row per image with the canvas after each glimpse, or after 12 of them (draw)
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["reconstruct", "manifold"])]
    strip: Option<PathBuf>,
    /// Also write each image next to its nearest training image, which has a blue frame
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["reconstruct", "manifold"])]
    nearest: Option<PathBuf>,
    /// Write test images above their reconstructions instead (vae, draw)
    #[arg(long, conflicts_with = "manifold")]
    reconstruct: bool,
    /// Write the manifold instead: 20 x 20 points of the unit square through the inverse normal CDF (vae with two
    /// latent dimensions)
    #[arg(long)]
    manifold: bool,
    /// Seed of the samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE.png", default_value = "samples.png")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

/// The files to write.
struct Files {
    sheet: Output,
    film: Option<Output>,
    strip: Option<Output>,
    nearest: Option<Output>,
}

impl Sample {
    pub fn run(&self) -> Result<()> {
        let files = Files {
            sheet: self.outputs.open(&self.out, FileKind::Png)?,
            film: self.outputs.open_if(self.film.as_ref(), FileKind::Gif)?,
            strip: self.outputs.open_if(self.strip.as_ref(), FileKind::Png)?,
            nearest: self.outputs.open_if(self.nearest.as_ref(), FileKind::Png)?,
        };
        let located = self.source.open()?;
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            self.draw(&located, &model, &files, device)
        })?;
        let more = [&self.film, &self.strip, &self.nearest].into_iter().flatten();
        for path in std::iter::once(&self.out).chain(more) {
            wrote(path)?;
        }
        Ok(())
    }

    fn draw(
        &self,
        located: &Located,
        model: &AnyModel,
        files: &Files,
        device: &Device,
    ) -> Result<()> {
        let config = &located.checkpoint.model;
        let shape = config.shape();
        let special = self.film.is_some() || self.strip.is_some() || self.nearest.is_some();
        let count = self.count.unwrap_or(if special { COUNT.1 } else { COUNT.0 }) as usize;
        if self.manifold {
            samples::manifold(&files.sheet, model.single_latent("--manifold")?, device, shape)?;
            return Ok(());
        }
        if self.reconstruct {
            let model = model.reconstructs("--reconstruct")?;
            let data = self.data.open(located)?;
            let rows = config.evaluation_batch();
            let part = Part::to_show(&data.test, data.binarization, count, rows);
            samples::reconstructions(&files.sheet, model, device, &part)?;
            return Ok(());
        }
        if self.strip.is_some() {
            model.draws_by_glimpses("--strip")?;
        }
        let shows = self.film.is_some() || self.strip.is_some();
        let images = match model.model().draws_by_glimpses() {
            Some(model) if shows => self.glimpses(model, count, shape, files, device)?,
            _ => {
                if self.film.is_some() {
                    model.drawing("--film")?;
                }
                let model = model.model();
                let pixels = model.autoregressive().is_some();
                let bar = Bar::new(if pixels { "pixels" } else { "images" }, 1);
                let progress = |done, of| bar.of(done, of);
                let (seed, film) = (self.seed, self.film.is_some());
                let drawing = Drawing { device, shape, seed, progress: &progress, film };
                let drawn = drawing.samples(model, count)?;
                bar.done();
                if let Some(film) = &files.film {
                    drawn.write_film(film)?;
                }
                drawn.images
            }
        };
        samples::write_samples(&files.sheet, &images, shape)?;
        if let Some(out) = &files.nearest {
            let DataSet { train, binarization, .. } = self.data.open(located)?;
            let bar = Bar::new("training images", train.count);
            let progress = |done| bar.of(done, train.count);
            nearest::write(out, &images, &train, binarization, &progress)?;
            bar.done();
        }
        Ok(())
    }

    /// Draws images glimpse by glimpse, writes the film and the strip, and returns the images.
    fn glimpses(
        &self,
        model: &dyn Draws,
        count: usize,
        shape: images::Shape,
        files: &Files,
        device: &Device,
    ) -> Result<Vec<f32>> {
        glimpses::check_count(count)?;
        let mut trace = model.imagine(device, count, samples::sample_key(self.seed, 0))?;
        let drawn = Glimpses { frames: &trace.frames, shape, read: None, wrong: &[] };
        if let Some(film) = &files.film {
            drawn.write_film(film)?;
        }
        if let Some(strip) = &files.strip {
            drawn.write_strip(strip)?;
        }
        Ok(trace.frames.pop().map_or(Vec::new(), |last| last.canvas))
    }
}
