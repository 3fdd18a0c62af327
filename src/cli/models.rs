//! `pixelloom models`: the cards of the bundled models.

use anyhow::Result;
use clap::Args;
use pixelloom::run::pretrained::PRETRAINED;
use serde_json::json;

use super::out::{add, say};

const EXAMPLES: &str = "\
Examples:
  pixelloom models
  pixelloom sample draw --count 16";

/// Print the model cards of the bundled trained models
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Models {}

impl Models {
    pub fn run(&self) -> Result<()> {
        for model in &PRETRAINED {
            if let Some(card) = model.open()?.card()? {
                add("models", json!({"name": model.name, "card": card}));
                say(&format!("{}: {card}", model.name))?;
            }
        }
        Ok(())
    }
}
