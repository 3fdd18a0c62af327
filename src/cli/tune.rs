//! `pixelloom tune`: measures the tiles of a GPU's kernels for a model, and stores the fastest.

use anyhow::Result;
use clap::Args;
use pixelloom::bench::Table;
use pixelloom::bench::table::digits;
use pixelloom::bench::tune::{Choice, Measured, tune};
use pixelloom::machine::tuned::{Adapter, Tuned};
use pixelloom::settings::Config;
use pixelloom::tiles::Tiles;
use pixelloom::{Device, Error};

use super::bench;
use super::kind::Kind;
use super::machine::Machine;
use super::out::{add, give, remark, say, writes_files, wrote};
use super::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  pixelloom tune pixelcnn
  pixelloom tune --preset draw-mnist --device gpu:1 --seconds 60
  pixelloom tune vae --tiles here.toml && pixelloom train vae --tiles here.toml
  pixelloom tune vae --tiles builtin --json";

/// Measure which tiles of a GPU's kernels are fastest for a model, and store them for this GPU
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Tune {
    /// The model [default: that of --preset, or vae]; its steps are timed on synthetic images
    #[arg(value_enum)]
    model: Option<Kind>,
    /// Seconds for all measurements together
    #[arg(long, value_name = "S", default_value_t = 20.0, value_parser = bench::seconds)]
    seconds: f64,

    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    machine: Machine,
}

impl Tune {
    pub fn run(&self) -> Result<()> {
        let config = self.settings.resolve(self.model)?.config()?;
        let file = self.machine.tiles_file().map(|(path, _)| path);
        let known = file.as_ref().map_or(Ok(None), |path| Tuned::read(path))?.unwrap_or_default();
        let output = file.as_ref().map(|path| Tuned::output(path)).transpose()?;
        if output.is_some() {
            writes_files();
        }
        self.machine.run_untuned(|device| {
            let adapter = Adapter::of(device).ok_or_else(|| {
                Error::Device(format!(
                    "{} has no tiles to measure, only a GPU has; name one that pixelloom devices lists, such as \
                     --device gpu:0",
                    device.name()
                ))
            })?;
            let current = known.of(&adapter).map_or(device.tiles(), |(tiles, _)| tiles);
            let tiles = self.measure(&config, device, current)?;
            give("adapter", &adapter);
            give("tiles", tiles);
            let Some(output) = output else {
                remark("nothing was stored, because of --tiles builtin");
                return Ok(());
            };
            let mut tuned = known;
            let model = format!("{}, batch size {}", config.preset, config.batch);
            tuned.put(adapter, &model, tiles);
            output.put(tuned.text().as_bytes())?;
            Ok(wrote(output.path())?)
        })
    }

    /// Measures the tiles and prints a table of the values that were timed.
    fn measure(&self, config: &Config, device: &Device, current: Tiles) -> Result<Tiles> {
        let mut table =
            Table::new(&["choice", "value", "ms/step", "of the time before", "adopted"]);
        let (mut timed, mut same, mut late) = (false, Vec::new(), Vec::new());
        let tiles = tune(config, (device, current), self.seconds, &mut |choice: &Choice| {
            add("choices", choice);
            match &choice.outcome {
                Measured::NoEffect => same.push(choice.name),
                Measured::NoTime => late.push(choice.name),
                Measured::Values(values) => {
                    remark(&format!("{}: {}", choice.name, choice.value));
                    timed = true;
                    for value in values {
                        table.row(vec![
                            choice.name.into(),
                            value.value.to_string(),
                            digits(value.ms_per_step),
                            format!("{:.0} %", 100.0 * value.ratio),
                            if value.value == choice.value { "yes" } else { "" }.into(),
                        ]);
                    }
                }
            }
            Ok(())
        })?;
        if timed {
            say(table.to_string().trim_end())?;
        }
        if !same.is_empty() {
            say(&format!("no effect on this model: {}", same.join(", ")))?;
        }
        if !late.is_empty() {
            say(&format!("not measured, choose more --seconds: {}", late.join(", ")))?;
        }
        Ok(tiles)
    }
}
