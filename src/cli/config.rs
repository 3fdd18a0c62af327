//! `pixelloom config show`: the settings that `pixelloom train` would use with the same flags.

use anyhow::Result;
use clap::{Args, Subcommand};

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

/// Print the settings that `pixelloom train` would use with the same flags, as TOML for --config; a comment after each
/// says where it comes from
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {
    /// The model [default: that of the preset]
    #[arg(value_enum, required_unless_present_any = ["preset", "config"])]
    model: Option<Kind>,
    /// Also open the data set and resolve the settings that depend on it: image size and pixel scaling
    #[arg(long)]
    resolved: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Config {
    pub fn run(&self) -> Result<()> {
        let What::Show(show) = &self.what;
        let mut settings = show.settings.resolve(show.model)?;
        let config = if show.resolved {
            let (data, _) = show.settings.open(&mut settings)?;
            settings.fit(data)?.0
        } else if show.settings.overfit_batch {
            show.settings.open(&mut settings)?;
            settings.config()?
        } else {
            settings.config()?
        };
        give("settings", &config);
        give("origins", settings.origins(&config));
        Ok(say(settings.explain(&config).trim_end())?)
    }
}
