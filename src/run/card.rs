//! A model card describes a model, its training and its scores. A model file is a single `.safetensors` with the
//! weights and the card and needs no other file.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::history::TrainingStage;
use crate::data::thousands;
use crate::settings::flat;
use crate::text::{self};

/// The description of the weights in a model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Model kind.
    pub model: String,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Whether the weights were rounded to half precision after training; the scores are those of the rounded weights.
    #[serde(default)]
    pub half: bool,
    /// Data set, split, images and binarization that it was trained on.
    pub data: String,
    /// All settings, in the form of `config.toml`.
    pub settings: String,
    /// Number of training steps.
    pub steps: u64,
    /// Duration and device of the training, if the run was finished.
    pub training: Option<Training>,
    /// The command that repeats the training.
    pub command: String,
    /// The trainings before this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TrainingStage>,
    /// The scores.
    pub figures: Vec<Figure>,
    /// A caveat about the scores, such as other data sets that the weights were trained on earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Number of digits of a checksum that are shown.
const SHOWN: usize = 8;

/// Duration and device of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Wall time, s.
    pub seconds: f64,
    /// Device.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
}

/// A score of a split, as computed by `pixelloom eval`.
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
    /// The score as text with units.
    pub text: String,
}

impl Card {
    /// The card in one line: what it is, for how long it was trained, and its first figure.
    pub fn in_short(&self) -> String {
        let (model, steps) = (text::line(&self.model), thousands(self.steps as usize));
        let figure = |figure: &Figure| {
            format!("; {} {}", text::line(&figure.name), text::line(&figure.text))
        };
        let figure = self.figures.first().map(figure).unwrap_or_default();
        let note = if self.note.is_some() { " (with a note, see -v)" } else { "" };
        format!("{model}, {} parameters, {steps} steps{figure}{note}", thousands(self.parameters))
    }
}

/// Formats the card as lines; line breaks in texts from the file are escaped.
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
        let half = if self.half { " in half precision" } else { "" };
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
            "  training  {} steps, batch size {}, seed {}; {}",
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
            let line =
                format!("{steps} steps on {}, {}, weights {weights}", data.name, data.binarization);
            writeln!(f, "  stage {:<3} {}", i + 1, text::line(&line))?;
        }
        write!(f, "  command   {}", text::line(&self.command))?;
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
