//! `pixelloom sample`: samples as sheets, files or an array, films and strips of their drawing, the nearest training
//! images, reconstructions, interpolations, the manifold.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::data::{DataSet, Part};
use pixelloom::images::collection::{self, Collection, PAGE};
use pixelloom::images::drawing::Drawing;
use pixelloom::images::glimpses::{self, Glimpses};
use pixelloom::images::{nearest, samples};
use pixelloom::models::{AnyModel, Draws};
use pixelloom::output::{FileKind, Output, Target};
use pixelloom::settings::view_unlabelled;
use pixelloom::{Device, Error};

use super::bar::Bar;
use super::complete::read_image;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::out::wrote;
use super::outputs::Outputs;

/// Default numbers of images: of a sheet, of a sheet with a film, a strip or neighbours, and of a row between two images.
const COUNT: (usize, usize, usize) = (100, 16, 10);
/// Maximum number of images in a row between two images.
const MOST_BETWEEN: usize = 100;

const EXAMPLES: &str = "\
Examples:
  pixelloom sample runs/digits --count 64 --out samples.png
  pixelloom sample vae --count 50000 --npz samples.npz
  pixelloom sample runs/digits-classes --class 7 --out sevens.png
  pixelloom sample digits-draw --film drawing.gif --strip strip.png
  pixelloom sample vae --between 3,own.png --out row.png
  pixelloom sample aevb-manifold --manifold --out manifold.png";

/// Sample images from a model and write them as a PNG sheet, single files or an array
///
/// With the same seed, image i is the same for any --count, with or without a film.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Sample {
    #[command(flatten)]
    source: Source,
    /// Images to draw, any number [default: 100; with --film, --strip or --nearest 16; with --between 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Below 1 images are more typical and less varied, above 1 the opposite. Models that draw pixel by pixel divide
    /// their logits by T before the softmax; of a vae and of draw, T multiplies the standard deviation of the prior
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = temperature,
          conflicts_with_all = ["reconstruct", "manifold", "between"])]
    temperature: f32,
    /// Draw only images of class K (a model with classes) [default: each row of ten images has a class]
    #[arg(long, value_name = "K", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    class: Option<usize>,
    /// Also write a film of the images being drawn (pixel models, draw)
    #[arg(long, value_name = "FILE.gif", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    film: Option<PathBuf>,
    /// Also write a row per image with the canvas after each glimpse, or after 12 of them (draw)
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    strip: Option<PathBuf>,
    /// Also write each image next to its nearest training image, which has a blue frame
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    nearest: Option<PathBuf>,
    /// Write test images above their reconstructions instead (vae, draw)
    #[arg(long, conflicts_with_all = ["manifold", "between"])]
    reconstruct: bool,
    /// Write the manifold instead: 20 x 20 points of the unit square through the inverse normal CDF (vae with two
    /// latent dimensions)
    #[arg(long, conflicts_with = "between")]
    manifold: bool,
    /// Write a row between two images instead (vae): both are encoded, and points on the line between their means are
    /// decoded. I and J are numbers of test images, or PNG files
    #[arg(long, value_name = "I,J", value_parser = ends)]
    between: Option<[String; 2]>,
    /// Seed of the samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The sheet to write; more than 1000 images become pages, FILE-1.png and so on [default: samples.png, unless there
    /// is --each or --npz]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Write each image to its own PNG in this folder: 00000.png and so on
    #[arg(long, value_name = "DIR", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    each: Option<PathBuf>,
    /// Write all images to a NumPy archive: uint8 [N, height, width, channels], named arr_0
    #[arg(long, value_name = "FILE.npz", conflicts_with_all = ["reconstruct", "manifold", "between"])]
    npz: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

/// A temperature of samples.
fn temperature(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|t| (0.01..=100.0).contains(t));
    number.ok_or_else(|| "a number from 0.01 to 100 is expected; 1 changes nothing".into())
}

/// Two names with a comma between them.
fn ends(text: &str) -> Result<[String; 2], String> {
    match text.split_once(',').map(|(a, b)| [a.trim().to_string(), b.trim().to_string()]) {
        Some(ends) if ends.iter().all(|end| !end.is_empty()) => Ok(ends),
        _ => Err("two images are expected, such as 3,17 or a.png,b.png".into()),
    }
}

/// The files to write.
struct Files {
    images: collection::Files,
    film: Option<Output>,
    strip: Option<Output>,
    nearest: Option<Output>,
}

impl Sample {
    pub fn run(&self) -> Result<()> {
        let count = self.count()?;
        let sheets = self.sheets(count);
        let files = self.files(&sheets, count)?;
        let located = self.source.find()?;
        self.check(&located, count)?;
        // No sample needs the labels of the images.
        let read = || view_unlabelled(&located.checkpoint.model, self.data.read(&located)?);
        let data = self.needs_data().then(read).transpose()?;
        let ends = self.between.as_ref().map(|ends| self.ends(ends, &located, data.as_ref()));
        let ends = ends.transpose()?;
        located.announce()?;
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            let shape = located.checkpoint.model.shape();
            if self.temperature != 1.0 {
                model.model().temper(self.temperature);
            }
            if let Some(ends) = &ends {
                let model = model.single_latent("--between")?;
                samples::between(&files.images.pages[0], model, device, (ends, shape), count)?;
                return Ok(());
            }
            match &data {
                Some(data) if self.reconstruct => {
                    let rows = located.checkpoint.model.evaluation_batch();
                    let part = Part::to_show(&data.test, data.binarization, count, rows);
                    let model = model.reconstructs("--reconstruct")?;
                    Ok(samples::reconstructions(&files.images.pages[0], model, device, &part)?)
                }
                _ if self.manifold => {
                    let model = model.single_latent("--manifold")?;
                    Ok(samples::manifold(&files.images.pages[0], model, device, shape)?)
                }
                data => self.draw(&located, &model, (&files, data.as_ref()), count, device),
            }
        })?;
        let more = [&self.each, &self.npz, &self.film, &self.strip, &self.nearest];
        for path in sheets.iter().chain(more.into_iter().flatten()) {
            wrote(path)?;
        }
        Ok(())
    }

    /// Whether all images are kept in memory, for a film or their neighbours.
    fn keeps(&self) -> bool {
        self.film.is_some() || self.strip.is_some() || self.nearest.is_some()
    }

    fn needs_data(&self) -> bool {
        let numbered = |ends: &[String; 2]| ends.iter().any(|end| end.parse::<usize>().is_ok());
        self.reconstruct || self.nearest.is_some() || self.between.as_ref().is_some_and(numbered)
    }

    /// Images to draw.
    fn count(&self) -> Result<usize, Error> {
        let usual = match () {
            () if self.between.is_some() => COUNT.2,
            () if self.keeps() => COUNT.1,
            () => COUNT.0,
        };
        let count = self.count.map_or(usual, |count| count as usize);
        let limits = [
            (self.between.is_some(), "--between", MOST_BETWEEN),
            (self.reconstruct, "--reconstruct", PAGE),
            (self.nearest.is_some(), "--nearest", PAGE),
        ];
        for (given, flag, most) in limits {
            if given && count > most {
                return Err(Error::Config(format!(
                    "{flag} shows {most} images at most, and --count is {count}; ask for fewer"
                )));
            }
        }
        Ok(count)
    }

    /// The sheet's pages.
    fn sheets(&self, count: usize) -> Vec<PathBuf> {
        match &self.out {
            None if self.each.is_some() || self.npz.is_some() => Vec::new(),
            out => {
                let out = out.as_deref().unwrap_or(Path::new("samples.png"));
                let count = if self.manifold { 1 } else { count };
                collection::pages(out, count)
            }
        }
    }

    fn files(&self, sheets: &[PathBuf], count: usize) -> Result<Files, Error> {
        let mut pages = Vec::new();
        if sheets.len() > 1 {
            let out = self.out.as_deref().unwrap_or(Path::new("samples.png"));
            // The name itself may be taken, because the pages have other names.
            if !matches!(Output::named(out, FileKind::Png, true)?.target()?, Target::File(_)) {
                return Err(Error::Config(format!(
                    "{} pages do not go to {}, which is not a file; ask for {PAGE} images at most, or for --npz",
                    sheets.len(),
                    out.display()
                )));
            }
        }
        for path in sheets {
            pages.push(self.outputs.open(path, FileKind::Png)?);
        }
        let folder = self.each.as_ref().map(|dir| self.outputs.folder(dir, FileKind::Png, count));
        let archive = self.outputs.open_if(self.npz.as_ref(), FileKind::Npz)?;
        Ok(Files {
            images: collection::Files { pages, folder: folder.transpose()?, archive },
            film: self.outputs.open_if(self.film.as_ref(), FileKind::Gif)?,
            strip: self.outputs.open_if(self.strip.as_ref(), FileKind::Png)?,
            nearest: self.outputs.open_if(self.nearest.as_ref(), FileKind::Png)?,
        })
    }

    /// Checks that the model supports the flags.
    fn check(&self, located: &Located, count: usize) -> Result<(), Error> {
        located.check_class(self.class)?;
        let model = located.outline()?;
        if self.between.is_some() {
            model.single_latent("--between")?;
        }
        if self.manifold {
            samples::check_manifold(model.single_latent("--manifold")?)?;
        }
        if self.reconstruct {
            model.reconstructs("--reconstruct")?;
        }
        if self.strip.is_some() {
            model.draws_by_glimpses("--strip")?;
        }
        if self.film.is_some() || self.strip.is_some() {
            match model.model().draws_by_glimpses() {
                Some(_) => glimpses::check_count(count)?,
                None => {
                    model.drawing("--film")?;
                    samples::check_film(count)?;
                }
            }
        }
        let special = self.between.is_some() || self.manifold || self.reconstruct;
        if !special && !located.checkpoint.model.draws() {
            // Fail now with the error that drawing would have.
            model.model().sample(&Device::cpu(), 1, samples::sample_key(0, 0..1))?;
        }
        Ok(())
    }

    /// The two images of --between.
    fn ends(
        &self,
        ends: &[String; 2],
        located: &Located,
        data: Option<&DataSet>,
    ) -> Result<Vec<f32>, Error> {
        let checkpoint = &located.checkpoint;
        let mut both = Vec::new();
        for end in ends {
            let image = match (end.parse::<usize>(), data) {
                (Ok(i), Some(data)) if i < data.test.count => {
                    let indices = vec![i];
                    Part { images: &data.test, mode: data.binarization, indices, rows: 1 }.numbers()
                }
                (Ok(i), Some(data)) => {
                    return Err(Error::Config(format!(
                        "--between {}: there is no test image {i}; {} has {}, counted from 0",
                        ends.join(","),
                        data.name,
                        data.test.count
                    )));
                }
                _ => read_image(Path::new(end), &checkpoint.model, checkpoint.data.binarization)?,
            };
            both.extend(image);
        }
        Ok(both)
    }

    fn draw(
        &self,
        located: &Located,
        model: &AnyModel,
        (files, data): (&Files, Option<&DataSet>),
        count: usize,
        device: &Device,
    ) -> Result<()> {
        let shape = located.checkpoint.model.shape();
        let mut collection = Collection::begin(&files.images, count, shape)?;
        let model = model.model();
        let shows = self.film.is_some() || self.strip.is_some();
        let images = match model.draws_by_glimpses() {
            Some(model) if shows => self.glimpses(model, count, shape, files, device)?,
            _ => {
                let pixels = model.autoregressive().is_some();
                let bar = Bar::new(if pixels { "pixels" } else { "images" }, 1);
                let progress = |done, of| bar.of(done, of);
                let (seed, film, class) = (self.seed, self.film.is_some(), self.class);
                let drawing = Drawing { device, shape, seed, progress: &progress, film, class };
                if !self.keeps() {
                    drawing.stream(model, count, &mut |images| collection.add(images))?;
                    bar.done();
                    return Ok(collection.finish()?);
                }
                let drawn = drawing.samples(model, count)?;
                bar.done();
                if let Some(film) = &files.film {
                    drawn.write_film(film)?;
                }
                drawn.images
            }
        };
        collection.add(&images)?;
        collection.finish()?;
        if let (Some(out), Some(DataSet { train, binarization, .. })) = (&files.nearest, data) {
            let bar = Bar::new("training images", train.count);
            let progress = |done| bar.of(done, train.count);
            nearest::write(out, &images, train, *binarization, &progress)?;
            bar.done();
        }
        Ok(())
    }

    /// Draws images glimpse by glimpse, writes the film and the strip, and returns the images.
    fn glimpses(
        &self,
        model: &dyn Draws,
        count: usize,
        shape: pixelloom::images::Shape,
        files: &Files,
        device: &Device,
    ) -> Result<Vec<f32>> {
        let mut trace = model.imagine(device, count, samples::sample_key(self.seed, 0..count))?;
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
