//! `pixelloom explain glimpses`: where a DRAW network or a classifier reads images, and where DRAW writes.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use pixelloom::data::{Part, part};
use pixelloom::images::glimpses::{self, Glimpses as Pictures};
use pixelloom::models::Reads;
use pixelloom::output::{FileKind, Output};
use pixelloom::{Device, Error, Tensor};
use serde_json::json;

use super::complete::read_image;
use super::locate::{DataArgs, Located, Source};
use super::machine::Machine;
use super::out::{add, say, wrote};
use super::outputs::Outputs;

/// Default number of images.
const COUNT: u32 = 8;

const EXAMPLES: &str = "\
Examples:
  pixelloom explain glimpses digits-draw --out reading.png --film reading.gif
  pixelloom explain glimpses digits-cluttered --image own.png";

/// Show where draw or a classifier reads (green) and writes (red), glimpse by glimpse
///
/// Each row is an image and each column a glimpse (12 evenly spaced ones if there are more); for draw, a second row
/// shows the canvas. A rectangle passes through the centres of the outermost filters; the more the filters blur,
/// the thicker it is. A red frame marks images that a classifier gets wrong.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Glimpses {
    #[command(flatten)]
    source: Source,
    /// Number of test images, evenly spaced in the split [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Use this image instead of test images
    #[arg(long, value_name = "FILE.png", conflicts_with_all = ["count", "data", "binarization"])]
    image: Option<PathBuf>,
    /// Also write a film
    #[arg(long, value_name = "FILE.gif")]
    film: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE.png", default_value = "reading.png")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    machine: Machine,
}

/// Images, their names, and their classes where known.
struct Shown {
    images: Vec<f32>,
    names: Vec<String>,
    classes: Option<Vec<usize>>,
}

impl Glimpses {
    pub fn run(&self) -> Result<()> {
        let strip = self.outputs.open(&self.out, FileKind::Png)?;
        let film = self.outputs.open_if(self.film.as_ref(), FileKind::Gif)?;
        let located = self.source.find()?;
        let count = self.count.unwrap_or(COUNT) as usize;
        glimpses::check_count(count)?;
        located.outline()?.reads_by_glimpses("explain glimpses")?;
        let shown = self.images(&located, count)?;
        located.announce()?;
        self.machine.run(|device| {
            let model = located.checkpoint.load(device)?;
            let model = model.reads_by_glimpses("explain glimpses")?;
            self.write(&located, model, &shown, (&strip, film.as_ref()), device)
        })?;
        for path in std::iter::once(&self.out).chain(&self.film) {
            wrote(path)?;
        }
        Ok(())
    }

    fn images(&self, located: &Located, count: usize) -> Result<Shown, Error> {
        let (config, trained) = (&located.checkpoint.model, &located.checkpoint.data);
        if let Some(path) = &self.image {
            let images = read_image(path, config, trained.binarization)?;
            return Ok(Shown { images, names: vec![path.display().to_string()], classes: None });
        }
        let data = self.data.open(located)?;
        let part = Part::to_show(&data.test, data.binarization, count, 1);
        let names = part.indices.iter().map(|i| format!("{} test image {i}", data.name)).collect();
        Ok(Shown { images: part.numbers(), names, classes: part.classes() })
    }

    fn write(
        &self,
        located: &Located,
        model: &dyn Reads,
        shown: &Shown,
        (strip, film): (&Output, Option<&Output>),
        device: &Device,
    ) -> Result<()> {
        let shape = located.checkpoint.model.shape();
        let dims = shape.0 * shape.1 * shape.2;
        let x = Tensor::new(device, &shown.images, &[shown.images.len() / dims, dims]);
        let (trace, found) = model.read(&x, part::key(0))?;
        let wrong = found.map_or(Ok(Vec::new()), |found| report(shown, &found))?;
        let read = Some(shown.images.as_slice());
        let pictures = Pictures { frames: &trace.frames, shape, read, wrong: &wrong };
        pictures.write_strip(strip)?;
        Ok(film.map_or(Ok(()), |film| pictures.write_film(film))?)
    }
}

/// Reports the predicted class of each image, and returns which predictions are wrong.
fn report(shown: &Shown, found: &[usize]) -> Result<Vec<bool>> {
    let mut wrong = Vec::new();
    for (i, (name, found)) in shown.names.iter().zip(found).enumerate() {
        let class = shown.classes.as_ref().map(|classes| classes[i]);
        wrong.push(class.is_some_and(|class| class != *found));
        let verdict = match class {
            Some(class) if class == *found => ", right".into(),
            Some(class) => format!(", wrong: it is {class}"),
            None => String::new(),
        };
        add("images", json!({"name": name, "found": found, "class": class}));
        say(&format!("{name}: class {found}{verdict}"))?;
    }
    Ok(wrong)
}
