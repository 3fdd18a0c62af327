//! `pixelloom config show`: the settings that a training with the same flags would have.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::complain;
use super::kind::Kind;
use super::out::{give, say};
use super::settings::SettingsArgs;

const EXAMPLES: &str = "\
Examples:
  pixelloom config show vae --resolved
  pixelloom config show --preset draw-mnist --set model.glimpses=32
  pixelloom config show --config my.toml --rate 0.001 --resolved > all.toml";

/// Show settings
#[derive(Args)]
#[command(after_help = "Example:\n  pixelloom config show vae --resolved")]
pub struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Show(Show),
}

/// Print the settings that `pixelloom train` with the same flags has, as TOML for --config, with a
/// comment behind each that says where it comes from
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {
    /// The model [default: that of the preset]
    #[arg(value_enum, required_unless_present_any = ["preset", "config"])]
    model: Option<Kind>,
    /// Open the data set too, which says how large the images are and how pixels become numbers
    #[arg(long)]
    resolved: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Config {
    pub fn run(&self) -> Result<()> {
        let What::Show(show) = &self.what;
        let settings = show.settings.resolve(show.model)?;
        let mut config = settings.config()?;
        if show.resolved {
            config = settings.fit(config.data.open(&complain)?)?.0;
        }
        give("settings", &config);
        give("origins", settings.origins(&config));
        Ok(say(settings.explain(&config).trim_end())?)
    }
}
