//! A model's card: what it is, what it was trained on and how, and what it scores. A model file, one
//! `.safetensors` with the weights and the card, needs nothing else beside it.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::history::TrainingStage;
use crate::data::thousands;
use crate::settings::flat;
use crate::text::{self};

/// What a model file says of its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Model kind.
    pub model: String,
    /// Trainable numbers.
    pub parameters: usize,
    /// Whether they were rounded to half precision after training; the figures are of these.
    #[serde(default)]
    pub half: bool,
    /// Data set, split, images and binarization that it was trained on.
    pub data: String,
    /// All settings, as `config.toml` holds them.
    pub settings: String,
    /// Batches that it was trained for.
    pub steps: u64,
    /// How long that took and where, of a finished run.
    pub training: Option<Training>,
    /// The command that trains it again.
    pub command: String,
    /// The trainings before this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TrainingStage>,
    /// What it scores.
    pub figures: Vec<Figure>,
    /// What a reader of the figures must know, such as images of other data sets that the weights were
    /// trained on before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Digits of a checksum that are shown.
const SHOWN: usize = 8;

/// Time and place of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Wall time, s.
    pub seconds: f64,
    /// Device.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
}

/// A score of a split, as `pixelloom eval` gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name of the data set.
    pub data: String,
    /// Data set, split, images and binarization.
    pub what: String,
    /// "bound" or "nll".
    pub name: String,
    /// Mean over the images, nats.
    pub nats: f64,
    /// The same with units.
    pub text: String,
}

/// Lines of the card; a text of the file stays on its line.
impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let settings: Table = self.settings.parse().unwrap_or_default();
        let line = |key: &str, skip: &[&str]| {
            let table = settings.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
            let shown = flat(&table).into_iter().filter(|(key, _)| !skip.contains(&key.as_str()));
            let words = shown.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>();
            text::line(&words.join(", ").replace('"', ""))
        };
        let number = |key: &str| {
            settings.get(key).map_or(String::new(), |value| text::line(&value.to_string()))
        };
        let half = if self.half { " of half precision" } else { "" };
        writeln!(
            f,
            "{}, {} parameters{half}",
            text::line(&self.model),
            thousands(self.parameters)
        )?;
        writeln!(f, "  model     {}", line("model", &["kind"]))?;
        writeln!(f, "  data      {}", text::line(&self.data))?;
        writeln!(
            f,
            "  training  {} steps of {}, seed {}; {}",
            thousands(self.steps as usize),
            number("batch"),
            number("seed"),
            line("optimizer", &["epsilon"])
        )?;
        if let Some(Training { seconds, device, threads }) = &self.training {
            let threads =
                if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
            writeln!(f, "            {seconds:.0} s, {}, {threads}", text::line(device))?;
        }
        for (i, stage) in self.history.iter().enumerate() {
            let TrainingStage { data, steps, weights, .. } = stage;
            let steps = thousands(*steps as usize);
            let weights = weights.get(..SHOWN).unwrap_or(weights);
            let line = format!(
                "{steps} steps on {}, {}, to weights {weights}",
                data.name, data.binarization
            );
            writeln!(f, "  stage {:<3} {}", i + 1, text::line(&line))?;
        }
        write!(f, "  again     {}", text::line(&self.command))?;
        for figure in &self.figures {
            let [name, text, what] =
                [&figure.name, &figure.text, &figure.what].map(|text| text::line(text));
            write!(f, "\n  {name:9} {text} ({what})")?;
        }
        if let Some(note) = &self.note {
            write!(f, "\n  note      {note}")?;
        }
        Ok(())
    }
}
