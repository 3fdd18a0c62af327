//! `pixelloom data`: lists the data sets, or describes one.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::data::{self, Binarization, EVALUATION_SEED, Outline, Split, fill_batch};
use pixelloom::images::sheet;
use pixelloom::output::FileKind;
use serde_json::json;

use super::out::remark;
use super::out::{add, give, say, wrote};
use super::outputs::Outputs;

/// Images on a sheet, and images per row.
const SHEET: (usize, usize) = (100, 10);

const EXAMPLES: &str = "\
Examples:
  pixelloom data
  pixelloom data digits --sheet digits.png
  pixelloom data --script > datasets.sh
  pixelloom data folder:pictures --binarization grey";

/// List the data sets, or describe one
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Data {
    /// The data set to describe; folder:PATH is a folder of PNG images, first-N:NAME uses the first N training images
    /// of NAME for all splits
    name: Option<String>,
    /// grey, fixed, dynamic or threshold [default: that of the data set]
    #[arg(long, value_name = "MODE")]
    binarization: Option<String>,
    /// Folder that contains the data sets
    #[arg(long, value_name = "DIR", default_value = "data", env = "PIXELLOOM_DATA_DIR")]
    data_dir: PathBuf,
    /// Write the first 100 training images to this file, as a model sees them
    #[arg(long, value_name = "FILE.png", requires = "name")]
    sheet: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    /// Print datasets.sh, the shell script that downloads the data sets
    #[arg(long, conflicts_with_all = ["name", "binarization"])]
    script: bool,
}

impl Data {
    pub fn run(&self) -> Result<()> {
        match &self.name {
            None if self.script => {
                let script = include_str!("../../datasets.sh");
                give("script", script);
                Ok(say(script.trim_end())?)
            }
            None => self.list(),
            Some(name) => self.describe(name),
        }
    }

    fn list(&self) -> Result<()> {
        for name in data::names() {
            match data::outline(name, &self.data_dir) {
                Ok(Outline { counts: [train, valid, test], shape: [height, width, channels] }) => {
                    add(
                        "data",
                        json!({"name": name, "train": train, "valid": valid, "test": test,
                            "height": height, "width": width, "channels": channels}),
                    );
                    say(&format!(
                        "{name:16} {train} train, {valid} valid, {test} test images of {height} x \
                         {width} x {channels}"
                    ))?;
                }
                Err(why) => {
                    add("data", json!({"name": name, "missing": why.to_string()}));
                    say(&format!("{name:16} missing: {why}"))?;
                }
            }
        }
        say(&format!(
            "{:16} your own PNG images of one size, in PATH/train, PATH/valid and PATH/test or directly in PATH",
            "folder:PATH"
        ))?;
        Ok(())
    }

    fn describe(&self, name: &str) -> Result<()> {
        let sheet = self.outputs.open_if(self.sheet.as_ref(), FileKind::Png)?;
        let mode = self.binarization.as_deref().map(str::parse::<Binarization>).transpose()?;
        let set = data::open_with(name, mode, &self.data_dir, &remark)?;
        give("name", name);
        give("binarization", set.binarization);
        for split in [Split::Train, Split::Valid, Split::Test] {
            let images = set.split(split);
            let sum =
                |i| images.view(i, EVALUATION_SEED, 0).iter().map(|&p| u64::from(p)).sum::<u64>();
            let values = images.count as f64 * images.dims() as f64;
            let mean =
                (0..images.count).map(sum).sum::<u64>() as f64 / values / f64::from(images.max);
            add(
                "splits",
                json!({"split": split.to_string(), "what": set.describe(split),
                    "images": images.count, "height": images.height, "width": images.width,
                    "channels": images.channels, "mean_intensity": mean,
                    "labels": images.labels.is_some()}),
            );
            say(&set.describe(split))?;
            say(&format!(
                "    {} x {} x {} (height, width, channels), mean intensity {mean:.4}, labels: {}",
                images.height,
                images.width,
                images.channels,
                if images.labels.is_some() { "yes" } else { "no" }
            ))?;
        }
        if let Some(out) = sheet {
            let images = &set.train;
            let count = SHEET.0.min(images.count);
            let mut tiles = vec![0.0; count * images.dims()];
            let indices: Vec<usize> = (0..count).collect();
            fill_batch(images, set.binarization, EVALUATION_SEED, 0, &indices, &mut tiles);
            let shape = (images.height, images.width, images.channels);
            sheet::write_sheet(&out, &tiles, count, shape, SHEET.1)?;
            wrote(out.path())?;
        }
        Ok(())
    }
}
