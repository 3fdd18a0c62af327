//! `pixelloom explain`: the receptive field of a pixel's prediction, from gradients; and where a model reads and writes
//! (`glimpses.rs`).

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use pixelloom::images::receptive_field::{self, Place};
use pixelloom::models::ModelConfig;
use pixelloom::models::pixel::PixelConfig;
use pixelloom::output::FileKind;
use pixelloom::rng::{Key, stream};
use pixelloom::settings;
use pixelloom::{Device, Error, Tensor};

use super::glimpses::Glimpses;
use super::kind::Kind;
use super::locate::{self, Located};
use super::machine::Machine;
use super::out::{give, remark, say, wrote};
use super::outputs::Outputs;

/// Feature maps of a model that is built only to show its connections.
const MAPS: usize = 6;
/// Number of noise images over which a trained model's gradients are summed: at a single image, inactive ReLUs hide
/// some of them.
const IMAGES: usize = 16;

const EXAMPLES: &str = "\
Examples:
  pixelloom explain receptive-field digits-pixelcnn
  pixelloom explain glimpses digits-draw --out reading.png";

/// Show how a model works
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    ReceptiveField(Field),
    Glimpses(Glimpses),
}

const FIELD_EXAMPLES: &str = "\
Examples:
  pixelloom explain receptive-field --model pixelcnn --layers 4
  pixelloom explain receptive-field digits-pixelcnn --row 20 --column 5";

/// Show which pixels the prediction of a pixel depends on, from blue (weakly) to yellow (strongly); grey means not at
/// all
#[derive(Args)]
#[command(after_help = FIELD_EXAMPLES)]
#[command(group(ArgGroup::new("which").required(true).args(["path", "model"])))]
struct Field {
    /// A trained pixel model, whose gradients are taken at images of uniform noise: a run, a checkpoint, a model file,
    /// or a bundled model
    #[arg(value_name = "RUN|CHECKPOINT|MODEL")]
    path: Option<PathBuf>,
    /// Use the run's checkpoint with the best validation score instead of the newest
    #[arg(long, conflicts_with = "model")]
    best: bool,
    /// Use a new model with random positive weights instead, so that every connection shows (multiscale: the larger of
    /// two PixelCNNs)
    #[arg(long, value_enum)]
    model: Option<Kind>,
    /// Layers of the new model
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "path",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    layers: u16,
    /// Kernel size of the new model: the side of a PixelCNN's convolutions, or k of a Row LSTM
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "path")]
    kernel: usize,
    /// Image size of the new model
    #[arg(long, value_name = "HxW", default_value = "28x28", conflicts_with = "path",
          value_parser = size)]
    size: (usize, usize),
    /// Channels of the new model's images, 1 or 3
    #[arg(long, value_name = "C", default_value_t = 1, conflicts_with = "path")]
    channels: usize,
    /// Row of the pixel, from 0 [default: the middle]
    #[arg(long, value_name = "R")]
    row: Option<usize>,
    /// Column of the pixel, from 0 [default: the middle]
    #[arg(long, value_name = "C")]
    column: Option<usize>,
    /// Channel that is predicted: 0, or 0 to 2 for red, green, blue
    #[arg(long, value_name = "K", default_value_t = 0)]
    channel: usize,
    /// The file to write, with a tile for each input channel
    #[arg(long, value_name = "FILE.png", default_value = "receptive-field.png")]
    out: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
    #[command(flatten)]
    machine: Machine,
}

/// Parses a height and a width of 2 to 64 pixels.
fn size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').map(|(h, w)| (h.parse::<usize>(), w.parse::<usize>()));
    match sides {
        Some((Ok(h), Ok(w))) if (2..=64).contains(&h) && (2..=64).contains(&w) => Ok((h, w)),
        _ => Err("two numbers from 2 to 64 are expected, such as 28x28".into()),
    }
}

impl Explain {
    pub fn run(&self) -> Result<()> {
        match &self.what {
            What::ReceptiveField(field) => field.run(),
            What::Glimpses(glimpses) => glimpses.run(),
        }
    }
}

impl Field {
    fn run(&self) -> Result<()> {
        let out = self.outputs.open(&self.out, FileKind::Png)?;
        let (located, config) = self.chosen()?;
        config.without_numbers()?.autoregressive("explain receptive-field")?;
        located.as_ref().map_or(Ok(()), Located::announce)?;
        self.machine.run(|device| {
            let model = match &located {
                Some(located) => located.checkpoint.load(device)?,
                None => {
                    let model = settings::build(&config, device, 1)?;
                    receptive_field::make_positive(model.model())?;
                    model
                }
            };
            let drawer = model.autoregressive("explain receptive-field")?;
            let (height, width, channels) = config.shape();
            let count = if self.path.is_some() { IMAGES } else { 1 };
            let shape = [count, height, width, channels];
            let x = match self.path {
                Some(_) => noise(device, &shape, config.levels().unwrap_or(2)),
                None => Tensor::full(device, 0.5, &shape),
            };
            let at = Place {
                row: self.row.unwrap_or(height / 2),
                column: self.column.unwrap_or(width / 2),
                channel: self.channel,
            };
            let field = receptive_field::receptive_field(drawer, &x, at)?;
            field.write(&out)?;
            if self.path.is_some() {
                remark(&format!(
                    "note: gradients are summed over {IMAGES} images of uniform noise"
                ));
            }
            if let Some(note) = drawer.note_on_logits() {
                remark(&format!("note: {note}"));
            }
            say(&field.text())?;
            give("text", field.text());
            wrote(&self.out)?;
            Ok(())
        })
    }

    /// The requested model: its checkpoint, if there is one, and its configuration.
    fn chosen(&self) -> Result<(Option<Located>, ModelConfig), Error> {
        if let Some(path) = &self.path {
            let located = locate::find(path, self.best, None)?;
            let config = located.checkpoint.model.clone();
            return Ok((Some(located), config));
        }
        let net = PixelConfig {
            height: self.size.0,
            width: self.size.1,
            channels: self.channels,
            kernel: self.kernel,
            head: MAPS,
            ..PixelConfig::mnist(self.layers.into(), MAPS)
        };
        let kind = self.model.map_or("pixelcnn", Kind::name);
        let config = ModelConfig::pixel_by_pixel(kind, net).ok_or_else(|| {
            Error::Config(format!("--model {kind} is not a pixel model; choose another"))
        })?;
        Ok((None, config))
    }
}

/// Images of uniform noise, quantized to `levels` levels.
fn noise(device: &Device, shape: &[usize], levels: usize) -> Tensor {
    let key = Key::new(1, stream::TEST, 0);
    let level = |i: usize| (key.uniform(i as u64) * levels as f32).floor().min(levels as f32 - 1.0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| level(i) / (levels as f32 - 1.0)).collect();
    Tensor::new(device, &values, shape)
}
