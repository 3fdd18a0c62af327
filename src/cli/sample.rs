//! `pixelloom sample`: sheets of samples, reconstructions, the two-dimensional manifold.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::train::figures;

use super::locate::{DataArgs, Source};
use super::machine::Machine;
use super::say;

/// Draw images from a model into a PNG sheet
#[derive(Args)]
pub struct Sample {
    #[command(flatten)]
    source: Source,
    /// Images to draw
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Test images above their reconstructions instead
    #[arg(long, conflicts_with = "manifold")]
    reconstruct: bool,
    /// The manifold of a model with two latent dimensions instead: 20 x 20 points of the unit square
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
        let shape = located.checkpoint.model.shape();
        let count = self.count as usize;
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            if self.manifold {
                figures::manifold(&self.out, &model, device, shape)?;
            } else if self.reconstruct {
                let data = self.data.open(&located)?;
                let mode = data.binarization;
                figures::reconstructions(&self.out, &model, device, &data.test, mode, count)?;
            } else {
                figures::samples(&self.out, model.model(), device, shape, count, self.seed)?;
            }
            Ok(())
        })?;
        say(&self.out.display().to_string())?;
        Ok(())
    }
}
