//! `pixelloom presets`: named settings.

use anyhow::Result;
use clap::Args;
use pixelloom::settings::presets;
use serde_json::json;

use super::out::{add, give, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom presets
  pixelloom presets digits > my.toml && pixelloom train vae --config my.toml";

/// List the presets, or print the settings of one and where they depart from its paper
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Presets {
    /// The preset to print, as a file for --config
    name: Option<String>,
}

impl Presets {
    pub fn run(&self) -> Result<()> {
        match &self.name {
            None => {
                let width = presets::all().map(|preset| preset.name.len()).max().unwrap_or(0);
                for preset in presets::all() {
                    let (name, what) = (preset.name, preset.what);
                    let model = preset.config().model.kind();
                    add("presets", json!({"name": name, "model": model, "what": what}));
                    say(&format!("{name:width$} {what}"))?;
                }
            }
            Some(name) => {
                let preset = presets::find(name)?;
                let config = preset.config();
                give("settings", &config);
                give("departures", preset.departures);
                // Comments, so that the output is a settings file.
                say("# Departures from the paper, and choices that it leaves open:")?;
                for departure in preset.departures {
                    say(&format!("# - {departure}"))?;
                }
                say(config.to_toml().trim_end())?;
            }
        }
        Ok(())
    }
}
