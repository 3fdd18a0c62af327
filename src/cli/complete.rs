//! `pixelloom complete`: hides parts of images and lets a model fill them in.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use pixelloom::data::{Binarization, DataSet, Images, Part, picture};
use pixelloom::images::drawing::{self, Completion, Drawing, Drawn};
use pixelloom::images::sheet;
use pixelloom::models::ModelConfig;
use pixelloom::output::FileKind;
use pixelloom::settings::view_unlabelled;
use pixelloom::{Device, Error};

use super::bar::Bar;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::out::wrote;
use super::outputs::Outputs;

/// Default number of images, and of completions of each.
const USUAL: (u32, u32) = (8, 6);
/// The defaults with `--film`.
const FILMED: (u32, u32) = (4, 4);

const EXAMPLES: &str = "\
Examples:
  pixelloom complete digits-diagbilstm --out half.png
  pixelloom complete digits-diagbilstm --rect 7,7,14,14 --film c.gif
  pixelloom complete digits-diagbilstm --mask mask.png --image own.png";

/// Hide a part of test images and let a model fill it in; each row shows the given part, completions, original
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Complete {
    #[command(flatten)]
    source: Source,
    /// The rectangle to fill in, in pixels from the top left corner [default: the lower half]
    #[arg(long, value_name = "TOP,LEFT,HEIGHT,WIDTH", value_parser = rectangle,
          conflicts_with = "mask")]
    rect: Option<[usize; 4]>,
    /// A PNG of the images' size, black where pixels are to be filled in and white where they are given
    #[arg(long, value_name = "FILE.png")]
    mask: Option<PathBuf>,
    /// Number of test images, evenly spaced in the split [default: 8, with --film 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// Use this image instead of test images
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["count", "data", "binarization"])]
    image: Option<PathBuf>,
    /// Completions per image [default: 6, with --film 4]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: Option<u32>,
    /// Complete every image as one of class K (a model with classes) [default: the image's label]
    #[arg(long, value_name = "K")]
    class: Option<usize>,
    /// Also write a film of the completions being drawn
    #[arg(long, value_name = "FILE.gif")]
    film: Option<PathBuf>,
    /// Seed of the completions
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The file to write
    #[arg(long, value_name = "FILE.png", default_value = "completions.png")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

/// Parses four whole numbers.
fn rectangle(text: &str) -> Result<[usize; 4], String> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "four whole numbers are expected, such as 14,0,14,28".into())
}

impl Complete {
    pub fn run(&self) -> Result<()> {
        let sheet = self.outputs.open(&self.out, FileKind::Png)?;
        let film = self.outputs.open_if(self.film.as_ref(), FileKind::Gif)?;
        let located = self.source.find()?;
        located.outline()?.autoregressive("complete")?;
        located.check_class(self.class)?;
        let mask = self.mask(&located.checkpoint.model)?;
        let (originals, labels) = self.originals(&located)?;
        located.announce()?;
        self.machine.run(|device| {
            let drawn = self.draw(&located, (&originals, &labels, &mask), device)?;
            drawn.write_sheet(&sheet)?;
            Ok(film.as_ref().map_or(Ok(()), |film| drawn.write_film(film))?)
        })?;
        wrote(&self.out)?;
        if let Some(film) = &self.film {
            wrote(film)?;
        }
        Ok(())
    }

    /// Default numbers of images and of completions of each.
    fn usual(&self) -> (u32, u32) {
        if self.film.is_some() { FILMED } else { USUAL }
    }

    /// The images to complete, and their classes for a model that has some.
    fn originals(&self, located: &Located) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let checkpoint = &located.checkpoint;
        if let Some(path) = &self.image {
            let image = read_image(path, &checkpoint.model, checkpoint.data.binarization)?;
            if checkpoint.model.classes().is_some() && self.class.is_none() {
                return Err(Error::Config(
                    "--image: the model needs the class of the image; add --class K".into(),
                ));
            }
            return Ok((image, self.class.into_iter().collect()));
        }
        let data = match self.class {
            None => self.data.open(located)?,
            Some(_) => view_unlabelled(&checkpoint.model, self.data.read(located)?)?,
        };
        let count = self.count.unwrap_or(self.usual().0) as usize;
        let part = Part::to_show(&data.test, data.binarization, count, 1);
        let labels = match (checkpoint.model.classes(), self.class) {
            (None, _) => Vec::new(),
            (_, Some(class)) => vec![class; part.indices.len()],
            (_, None) => part.classes().unwrap_or_default(),
        };
        Ok((part.numbers(), labels))
    }

    fn draw(
        &self,
        located: &Located,
        (originals, classes, mask): (&[f32], &[usize], &[bool]),
        device: &Device,
    ) -> Result<Drawn> {
        let config = &located.checkpoint.model;
        let model = located.checkpoint.load(device)?;
        let model = model.autoregressive("complete")?;
        let bar = Bar::new("pixels", 1);
        let progress = |done, of| bar.of(done, of);
        let (shape, seed, film) = (config.shape(), self.seed, self.film.is_some());
        let drawing = Drawing { device, shape, seed, progress: &progress, film, class: None };
        let samples = self.samples.unwrap_or(self.usual().1) as usize;
        let what = Completion { originals, mask, samples, classes };
        let drawn = drawing.completions(model, &what)?;
        bar.done();
        Ok(drawn)
    }

    /// The mask: true where pixels are given.
    fn mask(&self, config: &ModelConfig) -> Result<Vec<bool>, Error> {
        let (height, width, _) = config.shape();
        match (&self.rect, &self.mask) {
            (Some(rect), _) => drawing::without_rectangle(config.shape(), *rect),
            (None, None) => Ok(drawing::lower_half(config.shape())),
            (None, Some(path)) => {
                let mask = sheet::read_mask(path, height, width)?;
                if mask.iter().all(|&given| given) {
                    return Err(Error::Data(format!(
                        "{}: the mask is all white, so there is nothing to fill in; paint the pixels to \
                         fill in black",
                        path.display()
                    )));
                }
                Ok(mask)
            }
        }
    }
}

/// The picture at `path` as the model sees it: in [0, 1], quantized to the model's levels.
pub fn read_image(
    path: &Path,
    config: &ModelConfig,
    mode: Binarization,
) -> Result<Vec<f32>, Error> {
    let picture = picture::read(path)?.opaque(&path.display().to_string())?;
    let (height, width, channels) = config.shape();
    // Grey may be stored as colour.
    let fits = channels == 3 || picture.is_grey();
    let picture = if fits { picture.with_channels(channels) } else { picture };
    let found = (picture.height, picture.width, picture.channels);
    if found != (height, width, channels) {
        let kind = |channels: usize| if channels == 1 { "grey" } else { "colour" };
        return Err(Error::Data(format!(
            "{} is {} x {} (height x width), {}; the model's images are {height} x {width}, {}; save the \
             picture in that form",
            path.display(),
            found.0,
            found.1,
            kind(found.2),
            kind(channels)
        )));
    }
    let pixels = picture.bytes.into();
    let image =
        Images { pixels, labels: None, count: 1, height, width, channels, max: 255, scene: None };
    // A single image has no fixed or sampled bits, so a binary model gets it thresholded at half intensity.
    let mode = if mode == Binarization::Grey { mode } else { Binarization::Threshold };
    let [train, valid, test] = [image.clone(), image.clone(), image];
    let name = path.display().to_string();
    let data = view_unlabelled(
        config,
        DataSet { name, binarization: mode, classes: Vec::new(), train, valid, test },
    )?;
    Ok(Part::of(&data.test, mode, 1, 1).numbers())
}
