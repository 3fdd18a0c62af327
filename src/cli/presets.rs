//! `pixelloom presets`: named settings.

use anyhow::Result;
use clap::Args;
use pixelloom::train::presets;

use super::say;

/// List the presets, or print the settings of one
#[derive(Args)]
pub struct Presets {
    /// The preset to print, as a file for --config
    name: Option<String>,
}

impl Presets {
    pub fn run(&self) -> Result<()> {
        match &self.name {
            None => {
                for preset in presets::all() {
                    say(&format!("{:21} {}", preset.name, preset.what))?;
                }
            }
            Some(name) => say(presets::find(name)?.config().to_toml().trim_end())?,
        }
        Ok(())
    }
}
