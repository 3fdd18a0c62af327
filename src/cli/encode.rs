//! `pixelloom encode`: writes the latent variables of images as arrays for NumPy.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::Device;
use pixelloom::data::{Binarization, DataSet, Images, Part, Split, part};
use pixelloom::models::AnyModel;
use pixelloom::output::npz::{Dtype, Npz};
use pixelloom::output::{FileKind, Output};
use pixelloom::settings::view_unlabelled;

use super::bar::Bar;
use super::eval::SplitName;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::out::{give, remark, say, wrote};
use super::outputs::Outputs;

const EXAMPLES: &str = "\
Examples:
  pixelloom encode vae --out latents.npz
  pixelloom encode runs/mine --split train --data folder:images --out latents.npz";

/// Write the latent variables of images to a NumPy archive
///
/// The archive has `mean` and `log_variance` of q(z|x), float32 with one row per image and one column per latent
/// dimension, and `labels` if the images have classes. Rows are in the order of the split.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Encode {
    #[command(flatten)]
    source: Source,
    /// The split to encode
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// The file to write
    #[arg(long, value_name = "FILE.npz", default_value = "latents.npz")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

impl Encode {
    pub fn run(&self) -> Result<()> {
        let out = self.outputs.open(&self.out, FileKind::Npz)?;
        let located = self.source.find()?;
        located.outline()?.single_latent("encode")?;
        let data = view_unlabelled(&located.checkpoint.model, self.data.read(&located)?)?;
        located.announce()?;
        let grey = data.binarization == Binarization::Grey;
        if let Some(note) = located.checkpoint.model.caveat(grey) {
            remark(&format!("note: {note}"));
        }
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            self.write(&located, &model, &data, &out, device)
        })?;
        Ok(wrote(&self.out)?)
    }

    fn write(
        &self,
        located: &Located,
        model: &AnyModel,
        data: &DataSet,
        out: &Output,
        device: &Device,
    ) -> Result<()> {
        let model = model.single_latent("encode")?;
        let split = Split::from(self.split);
        let images = data.split(split);
        let rows = located.checkpoint.model.evaluation_batch();
        let part = Part::of(images, data.binarization, usize::MAX, rows);
        let (mut means, mut log_variances) = (Vec::new(), Vec::new());
        let bar = Bar::new("images", images.count);
        part::batches(device, &part, &|done| bar.at(done), |_, x, _| {
            let (mean, log_variance) = model.posterior(x);
            means.extend(mean.to_vec()?);
            log_variances.extend(log_variance.to_vec()?);
            Ok(())
        })?;
        bar.done();
        let shape = [images.count, model.dimensions()];
        let mut archive = Npz::begin(out)?;
        for (name, numbers) in [("mean", means), ("log_variance", log_variances)] {
            archive.array(name, Dtype::F32, &shape)?;
            archive.write_floats(&numbers)?;
        }
        let labels = write_labels(&mut archive, images)?;
        archive.finish()?;
        give("images", images.count);
        give("dimensions", model.dimensions());
        give("labels", labels);
        let with = if labels { ", with labels" } else { "" };
        Ok(say(&format!(
            "{}: {} latent dimensions{with}",
            data.describe(split),
            model.dimensions()
        ))?)
    }
}

/// Writes the labels of the images, if they have any, and returns whether they do.
fn write_labels(archive: &mut Npz, images: &Images) -> Result<bool> {
    let Some(labels) = &images.labels else { return Ok(false) };
    archive.array("labels", Dtype::U8, &[labels.len()])?;
    archive.write(labels)?;
    Ok(true)
}
