//! `pixelloom eval`: scores a split by the bound, the exact nll or the classification error. For models with latent
//! variables also the importance-weighted bound, and for a vae the marginal likelihood of appendix D.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use pixelloom::data::{self, Binarization, DataSet, Part, Split, part};
use pixelloom::models::iwae::iwae;
use pixelloom::models::{AnyModel, ModelConfig, SingleLatent};
use pixelloom::output::{FileKind, Output, csv_cell, csv_comment};
use pixelloom::settings::MARGINAL_LATENT;
use pixelloom::train::latents::latents;
use pixelloom::train::{Scores, evaluate};
use pixelloom::{Device, Error};
use serde_json::json;

use super::bar::Bar;
use super::locate::{self, DataArgs, Source};
use super::machine::Machine;
use super::out::{add, give, remark, say};
use super::outputs::Outputs;

/// Number of images for the estimate of appendix D.
const MARGINAL_IMAGES: usize = 1000;

#[derive(Clone, Copy, ValueEnum)]
pub enum SplitName {
    Train,
    Valid,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Split {
        match name {
            SplitName::Train => Split::Train,
            SplitName::Valid => Split::Valid,
            SplitName::Test => Split::Test,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  pixelloom eval runs/digits --iwae 100
  pixelloom eval runs/digits-classes --classify
  pixelloom eval digits-pixelcnn --split valid --per-image nll.csv
  pixelloom eval digits --json";

/// Score a split: means over its images in nats; for a classifier, also the error in percent
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Eval {
    #[command(flatten)]
    source: Source,
    /// The split to score
    #[arg(long, value_enum, default_value = "test")]
    split: SplitName,
    /// Also compute the importance-weighted bound with K samples per image (vae, draw)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iwae: Option<u32>,
    /// Also estimate -log p(x) of 1000 evenly spaced images by appendix D of the AEVB paper (vae)
    #[arg(long)]
    marginal: bool,
    /// Also classify every image by the class under which it is most likely, and print the error (a model with classes)
    #[arg(long)]
    classify: bool,
    /// Write the scores of every image to this file, with the file names of images of folder:PATH
    #[arg(long, value_name = "FILE.csv")]
    per_image: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

impl Eval {
    pub fn run(&self) -> Result<()> {
        let table = self.outputs.open_if(self.per_image.as_ref(), FileKind::Csv)?;
        let located = self.source.find()?;
        self.check(&located.outline()?)?;
        let (data, other) = self.data.open_to_score(&located)?;
        located.announce()?;
        if let Some(other) = other {
            give("data_remark", &other);
            remark(&other);
        }
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            let checkpoint = &located.checkpoint;
            give("checkpoint", &checkpoint.path);
            give("step", checkpoint.step);
            if let Some(note) = checkpoint.model.caveat(data.binarization == Binarization::Grey) {
                give("note", note);
                remark(&format!("note: {note}"));
            }
            self.score(&model, &checkpoint.model, &data, table.as_ref(), device)
        })
    }

    /// Checks that the model supports the requested scores.
    fn check(&self, model: &AnyModel) -> Result<(), Error> {
        if self.iwae.is_some() {
            model.weighted("--iwae")?;
        }
        if self.classify {
            locate::classes(model, "--classify")?;
        }
        if self.marginal {
            model.single_latent("--marginal")?;
        }
        Ok(())
    }

    fn score(
        &self,
        model: &AnyModel,
        config: &ModelConfig,
        data: &DataSet,
        table: Option<&Output>,
        device: &Device,
    ) -> Result<()> {
        let split = Split::from(self.split);
        let what = format!("({}, {})", data.describe(split), device.name());
        let task = Task { model, config, data, device, split, what };
        let scores = task.scores()?;
        task.report(&scores)?;
        let weighted = self.iwae.map(|samples| task.iwae(samples)).transpose()?;
        if self.classify {
            task.classify()?;
        }
        if self.marginal {
            task.marginal(&scores)?;
        }
        if let Some(out) = table {
            add("files", out.path());
            let files = files(data, split)?;
            out.put(csv(&scores, files.as_deref(), weighted.as_deref()).as_bytes())?;
        }
        Ok(())
    }
}

/// A model, and the images to score.
struct Task<'a> {
    model: &'a AnyModel,
    config: &'a ModelConfig,
    data: &'a DataSet,
    device: &'a Device,
    split: Split,
    /// Images and device, printed beside every figure.
    what: String,
}

impl Task<'_> {
    /// At most this number of images of the split, evenly spaced.
    fn part(&self, most: usize) -> Part<'_> {
        let images = self.data.split(self.split);
        Part::of(images, self.data.binarization, most, self.config.evaluation_batch())
    }

    fn all(&self) -> Part<'_> {
        self.part(self.data.split(self.split).count)
    }

    fn scores(&self) -> Result<Scores> {
        let all = self.all();
        let bar = Bar::new("images", all.indices.len());
        let scores =
            evaluate::evaluate(self.model.model(), self.device, &all, &|done| bar.at(done));
        bar.done();
        let scores = scores.map_err(|e| match e {
            Error::NotFinite(what) => Error::NotFinite(format!(
                "{what}; evaluate an earlier checkpoint, or train again with a lower --rate"
            )),
            other => other,
        })?;
        Ok(scores.expect("the callback never stops it"))
    }

    /// Prints the means, the headline first, and what the kind of model has besides.
    fn report(&self, scores: &Scores) -> Result<()> {
        let Task { config, data, split, what, .. } = self;
        let (first, mut means) = (scores.headline().0, scores.means());
        means.sort_by_key(|(name, _)| *name != first);
        give("split", split.to_string());
        give("what", data.describe(*split));
        give("device", self.device.name());
        give("headline", first);
        give("means", means.iter().copied().collect::<BTreeMap<_, _>>());
        for (name, mean) in means {
            say(&format!("{split} {name}: {} {what}", config.figure(name, mean)))?;
        }
        let kl = scores.kl_per_glimpse();
        if !kl.is_empty() {
            give("kl_per_glimpse", &kl);
            let kl: Vec<String> = kl.iter().map(|kl| format!("{kl:.2}")).collect();
            say(&format!("{split} kl per glimpse: {} nats {what}", kl.join(" ")))?;
        }
        if let Some(model) = self.model.model().single_latent() {
            self.active_units(model)?;
        }
        if let Some(warning) = config.suspicion(&data.name, scores.score()) {
            give("warning", &warning);
            remark(&format!("warning: {warning}"));
        }
        Ok(())
    }

    /// Prints the number of active units (Burda et al. 2016, section 5.2).
    fn active_units(&self, model: &dyn SingleLatent) -> Result<()> {
        let Task { split, what, .. } = self;
        let latents = latents(model, self.device, &self.all(), &|_| false)?;
        let latents = latents.expect("the callback never stops it");
        let (active, dimensions) = (latents.active(), model.dimensions());
        give("kl_per_latent", &latents.kl);
        give("variance_per_latent", &latents.variance);
        give("active_units", active);
        Ok(say(&format!(
            "{split} active units: {active} of {dimensions} latent dimensions {what}"
        ))?)
    }

    /// Prints the mean importance-weighted bound, and returns that of every image.
    fn iwae(&self, samples: u32) -> Result<Vec<f64>> {
        let Task { split, what, .. } = self;
        let model = self.model.weighted("--iwae")?;
        let all = self.all();
        let mut values = Vec::with_capacity(all.indices.len());
        let bar = Bar::new(&format!("images, {samples} samples each"), all.indices.len());
        let done = part::batches(self.device, &all, &|done| bar.at(done), |number, x, _| {
            // Batch i draws its noise under the steps i samples, ..., (i + 1) samples - 1.
            let key = part::key(number.wrapping_mul(samples));
            values.extend(iwae(model, x, samples as usize, key)?);
            Ok(())
        });
        bar.done();
        done?;
        let mean = evaluate::mean(values.iter().copied());
        give("iwae", json!({"samples": samples, "bound": mean}));
        say(&format!("{split} IWAE-{samples} bound: {mean:.2} nats {what}"))?;
        Ok(values)
    }

    /// Prints the error of the classifier that Bayes' rule makes of a model with classes.
    fn classify(&self) -> Result<()> {
        let Task { split, what, .. } = self;
        let all = self.all();
        let classes = locate::classes(self.model, "--classify")?;
        let bar = Bar::new(&format!("images, {classes} classes each"), all.indices.len());
        let model = self.model.model();
        let found = evaluate::classify(model, classes, self.device, &all, &|done| bar.at(done));
        bar.done();
        let found = found?.expect("the callback never stops it");
        let truth = all.classes().unwrap_or_default();
        let wrong = found.iter().zip(&truth).filter(|(a, b)| a != b).count();
        let percent = 100.0 * wrong as f64 / truth.len() as f64;
        give("classify", json!({"classes": classes, "error_percent": percent}));
        Ok(say(&format!(
            "{split} classification error, by argmax p(x | class): {percent:.2} % {what}"
        ))?)
    }

    /// Prints the estimate of log p(x) and the bound of the same images.
    fn marginal(&self, scores: &Scores) -> Result<()> {
        let Task { split, what, .. } = self;
        let model = self.model.single_latent("--marginal")?;
        let latent = model.dimensions();
        if latent >= MARGINAL_LATENT {
            remark(&format!(
                "note: the estimator is accurate only below {MARGINAL_LATENT} latent dimensions; this \
                 model has {latent}"
            ));
        }
        let chosen = self.part(MARGINAL_IMAGES);
        let values = evaluate::log_marginals(model, self.device, &chosen, &|_| false)?;
        let values = values.expect("the callback never stops it");
        let mean = evaluate::mean(values.iter().copied());
        let bounds = chosen.indices.iter().map(|&i| f64::from(scores.0[0].1[i]));
        let bound = evaluate::mean(bounds);
        let images = chosen.indices.len();
        give("marginal", json!({"images": images, "log_p": mean, "their_bound": bound}));
        Ok(say(&format!(
            "{split} -log p(x) of {} evenly spaced images: {:.2} nats, their bound: {:.2} {what}",
            images, -mean, bound
        ))?)
    }
}

/// The file of each image of a split, if every image of the data set is a file.
fn files(data: &DataSet, split: Split) -> Result<Option<Vec<String>>, Error> {
    let files = data::files_of(&data.name, split)?;
    let count = data.split(split).count;
    if let Some(files) = files.as_ref().filter(|files| files.len() != count) {
        return Err(Error::Data(format!(
            "{}: the {split} split had {count} images when they were read and has {} files now; run the command \
             again when the folder no longer changes",
            data.name,
            files.len()
        )));
    }
    Ok(files)
}

/// A comment, a header, and one row per image in the order of the split.
fn csv(scores: &Scores, files: Option<&[String]>, iwae: Option<&[f64]>) -> String {
    let mut head: Vec<&str> = vec!["image"];
    head.extend(files.map(|_| "file"));
    head.extend(scores.0.iter().map(|(name, _)| name.as_ref()));
    head.extend(iwae.map(|_| "iwae"));
    let mut text = csv_comment("scores of every image of a split") + &head.join(",") + "\n";
    for image in 0..scores.0[0].1.len() {
        let mut row = vec![image.to_string()];
        row.extend(files.map(|files| csv_cell(&files[image])));
        row.extend(scores.0.iter().map(|(_, values)| values[image].to_string()));
        row.extend(iwae.map(|values| values[image].to_string()));
        text += &(row.join(",") + "\n");
    }
    text
}
