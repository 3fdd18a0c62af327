//! `pixelloom sample`: sheets of samples, films of their drawing, reconstructions, the manifold.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::Device;
use pixelloom::train::drawing::Drawing;
use pixelloom::train::{AnyModel, Part, figures};

use super::bar::Bar;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::say;

/// Images of a sheet, and of a sheet with a film, if the user says nothing.
const COUNT: (u32, u32) = (100, 16);

/// Draw images from a model into a PNG sheet
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    source: Source,
    /// Images to draw [default: 100, with --film 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: Option<u32>,
    /// Of a model that draws pixel by pixel, also write how the images come to be
    #[arg(long, value_name = "FILE.gif", conflicts_with_all = ["reconstruct", "manifold"])]
    film: Option<PathBuf>,
    /// Of a vae, test images above their reconstructions instead
    #[arg(long, conflicts_with = "manifold")]
    reconstruct: bool,
    /// Of a vae with two latent dimensions, the manifold instead: 20 x 20 points of the unit square
    /// through the inverse normal distribution function
    #[arg(long)]
    manifold: bool,
    /// Seed of the samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE.png", default_value = "samples.png")]
    out: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

impl Sample {
    pub fn run(&self) -> Result<()> {
        let located = self.source.open()?;
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            self.draw(&located, &model, device)
        })?;
        say(&self.out.display().to_string())?;
        if let Some(film) = &self.film {
            say(&film.display().to_string())?;
        }
        Ok(())
    }

    fn draw(&self, located: &Located, model: &AnyModel, device: &Device) -> Result<()> {
        let config = &located.checkpoint.model;
        let shape = config.shape();
        let usual = if self.film.is_some() { COUNT.1 } else { COUNT.0 };
        let count = self.count.unwrap_or(usual) as usize;
        if self.manifold {
            figures::manifold(&self.out, model.vae("--manifold")?, device, shape)?;
        } else if self.reconstruct {
            let vae = model.vae("--reconstruct")?;
            let data = self.data.open(located)?;
            let rows = config.evaluation_batch();
            let part = Part::to_show(&data.test, data.binarization, count, rows);
            figures::reconstructions(&self.out, vae, device, &part)?;
        } else if self.film.is_some() || model.model().autoregressive().is_some() {
            let model = model.autoregressive("--film")?;
            let bar = Bar::new("pixels", 1);
            let progress = |done, of| bar.of(done, of);
            let (seed, film) = (self.seed, self.film.is_some());
            let drawing = Drawing { device, shape, seed, progress: &progress, film };
            let drawn = drawing.samples(model, count)?;
            bar.done();
            drawn.write_sheet(&self.out)?;
            if let Some(path) = &self.film {
                drawn.write_film(path)?;
            }
        } else {
            figures::samples(&self.out, model.model(), device, shape, count, self.seed)?;
        }
        Ok(())
    }
}
