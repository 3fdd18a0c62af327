//! `pixelloom data`: lists the data sets, or describes one.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::data::{
    self, Binarization, DataSet, EVALUATION_SEED, ImageOptions, Outline, Part, Split, thousands,
};
use pixelloom::images::sheet;
use pixelloom::output::FileKind;
use pixelloom::settings::in_shell;
use pixelloom::text;
use serde_json::json;

use super::locate::OptionArgs;
use super::out::remark;
use super::out::{add, give, say, wrote};
use super::outputs::Outputs;

/// Images on a sheet, and images per row.
const SHEET: (usize, usize) = (100, 10);

/// Number of classes that are shown.
const CLASSES: usize = 30;

/// Number of levels in the suggested command for a pixel model, if the images have more.
const LEVELS: usize = 16;

const EXAMPLES: &str = "\
Examples:
  pixelloom data
  pixelloom data digits --sheet digits.png
  pixelloom data --script > datasets.sh
  pixelloom data folder:photos --size 32 --sheet photos.png
  pixelloom data idx:emnist --transpose";

/// List the data sets, or describe one
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Data {
    /// The data set to describe; folder:PATH is a folder of PNG or JPEG images, idx:PATH one of IDX files, first-N:NAME
    /// uses the first N training images of NAME for all splits
    name: Option<String>,
    /// grey, fixed, dynamic or threshold [default: that of the data set]
    #[arg(long, value_name = "MODE")]
    binarization: Option<String>,
    #[command(flatten)]
    options: OptionArgs,
    /// Folder that contains the data sets
    #[arg(long, value_name = "DIR", default_value = "data", env = "PIXELLOOM_DATA_DIR")]
    data_dir: PathBuf,
    /// Write 100 training images, spread over the split, to this file, as a model sees them
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
            "{:16} your own PNG or JPEG images, in PATH/train, PATH/valid and PATH/test or directly in PATH, with or \
             without a folder per class",
            "folder:PATH"
        ))?;
        say(&format!("{:16} your own files in the format of MNIST", "idx:PATH"))?;
        Ok(())
    }

    fn describe(&self, name: &str) -> Result<()> {
        let sheet = self.outputs.open_if(self.sheet.as_ref(), FileKind::Png)?;
        let mode = self.binarization.as_deref().map(str::parse::<Binarization>).transpose()?;
        let options = self.options.or(ImageOptions::default());
        let set = data::open_with(name, mode, options, &self.data_dir, &remark)?;
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
        classes(&set)?;
        if data::is_own(name) {
            self.commands(name, &set, options)?;
        }
        if let Some(out) = sheet {
            let images = &set.train;
            let part = Part::to_show(images, set.binarization, SHEET.0, SHEET.0);
            let shape = (images.height, images.width, images.channels);
            sheet::write_sheet(&out, &part.numbers(), part.indices.len(), shape, SHEET.1)?;
            wrote(out.path())?;
        }
        Ok(())
    }

    /// Prints commands that show the user's own images and train on them.
    fn commands(&self, name: &str, set: &DataSet, options: ImageOptions) -> Result<()> {
        let mut words = vec![name.to_string()];
        words.extend(options.size.iter().flat_map(|size| ["--size".into(), size.to_string()]));
        words.extend(options.transpose.then(|| "--transpose".to_string()));
        let line = |first: &[&str], last: &[String]| {
            let first = first.iter().map(|word| word.to_string());
            in_shell(
                &first.chain(words.iter().cloned()).chain(last.iter().cloned()).collect::<Vec<_>>(),
            )
        };
        let levels = levels_of(set);
        let mut mode = Vec::new();
        let mut counted = Vec::new();
        match (levels, &self.binarization) {
            (_, Some(asked)) if asked != "grey" => {
                mode.extend(["--binarization".into(), asked.clone()])
            }
            (2, None) => mode.extend(["--binarization".into(), "threshold".into()]),
            _ => counted
                .extend(["--set".into(), format!("model.levels={}", levels.clamp(4, LEVELS))]),
        }
        if self.sheet.is_none() {
            let words = ["--sheet".into(), "sheet.png".into()];
            say(&format!("to look at them:\n  {}", line(&["data"], &words)))?;
        }
        let both = [&mode[..], &counted].concat();
        let (vae, pixels) = (
            line(&["train", "vae", "--data"], &mode),
            line(&["train", "pixelcnn", "--data"], &both),
        );
        add("commands", &vae);
        add("commands", &pixels);
        say(&format!("to train on them:\n  {vae}\n  {pixels}"))?;
        if !counted.is_empty() && levels > LEVELS {
            say(&format!(
                "  ({LEVELS} levels are quick to learn; model.levels={levels} keeps all of them)"
            ))?;
        }
        Ok(())
    }
}

/// The smallest number of levels that keeps all values of the training images: 2 of black and white images, 4,
/// 16 or 256.
fn levels_of(set: &DataSet) -> usize {
    let mut seen = [false; 256];
    set.train.pixels.iter().for_each(|&v| seen[usize::from(v)] = true);
    let values = (0..=255u8).filter(|&v| seen[usize::from(v)]);
    let keeps = |levels: usize| {
        let step = 255 / (levels - 1);
        values.clone().all(|v| usize::from(v) % step == 0)
    };
    [2, 4, 16].into_iter().find(|&levels| set.train.channels == 1 && keeps(levels)).unwrap_or(256)
}

/// Prints the classes with their numbers of training images.
fn classes(set: &DataSet) -> Result<()> {
    let Some(labels) = set.train.labels.as_ref().filter(|_| !set.classes.is_empty()) else {
        return Ok(());
    };
    let mut counts = vec![0; set.classes.len()];
    labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    give("classes", &set.classes);
    let pairs = set.classes.iter().zip(counts);
    let mut shown: Vec<String> = pairs
        .take(CLASSES)
        .map(|(name, count)| format!("{} {}", text::line(name), thousands(count)))
        .collect();
    if set.classes.len() > CLASSES {
        shown.push(format!("{} more", set.classes.len() - CLASSES));
    }
    let plural = if set.classes.len() == 1 { "class" } else { "classes" };
    say(&format!(
        "{} {plural}, with their training images: {}",
        set.classes.len(),
        shown.join(", ")
    ))?;
    Ok(())
}
