//! The kinds of models, as values on the command line.

use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use pixelloom::Error;
use pixelloom::models::{KINDS, Kind as Known};
use pixelloom::settings::Config;

/// A kind of model.
#[derive(Clone, Copy)]
pub struct Kind(Known);

static ALL: LazyLock<Vec<Kind>> = LazyLock::new(|| KINDS.iter().copied().map(Kind).collect());

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Kind] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.about))
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Checks that `config`, which belongs to `what`, is of this kind.
    pub fn check(self, config: &Config, what: &str) -> Result<(), Error> {
        let (kind, asked) = (config.model.kind(), self.name());
        if kind == asked {
            return Ok(());
        }
        Err(Error::Config(format!(
            "{what} is a {kind}, not a {asked}; write {kind} in place of {asked}, or name a {asked}"
        )))
    }
}
