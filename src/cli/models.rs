//! `pixelloom models`: the trained models that come with the program, and their cards.

use anyhow::Result;
use clap::Args;
use pixelloom::train::pretrained::PRETRAINED;

use super::say;

/// Print the cards of the trained models that come with the program
#[derive(Args)]
pub struct Models {}

impl Models {
    pub fn run(&self) -> Result<()> {
        for model in &PRETRAINED {
            if let Some(card) = model.open()?.card()? {
                say(&format!("{}: {card}", model.name))?;
            }
        }
        Ok(())
    }
}
