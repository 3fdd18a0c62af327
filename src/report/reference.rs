//! The papers' results that a run can be compared with: same model kind, same data.

use std::f64::consts::LN_2;

use toml::{Table, Value};

use super::read::Run;
use crate::models::preset::{Reference, ReferenceScore, Setting};
use crate::models::registry::references;

/// The value of `reference` if it is the same for all runs.
pub fn shared(runs: &[Run], reference: fn(&Run) -> Option<(String, f64)>) -> Option<(String, f64)> {
    let first = reference(runs.first()?)?;
    runs.iter().all(|run| reference(run).as_ref() == Some(&first)).then_some(first)
}

/// A label and an error in percent, if a paper has one that is comparable with the run.
pub fn error(run: &Run) -> Option<(String, f64)> {
    let percent = |reference: &Reference| match reference.score {
        ReferenceScore::Percent(percent) => Some(percent),
        ReferenceScore::Nats(_) | ReferenceScore::Bits(..) => None,
    };
    find(run, percent)
}

/// A label and nats/image, if a paper has a result that is comparable with the run.
pub fn score(run: &Run) -> Option<(String, f64)> {
    let nats = |reference: &Reference| match reference.score {
        ReferenceScore::Nats(nats) => Some(nats),
        ReferenceScore::Bits(bits, dims) => Some(bits * dims * LN_2),
        ReferenceScore::Percent(_) => None,
    };
    find(run, nats)
}

/// A label and bits/dim, if a paper has a result in this unit that is comparable with the run.
pub fn bits(run: &Run) -> Option<(String, f64)> {
    let bits = |reference: &Reference| match reference.score {
        ReferenceScore::Bits(bits, _) => Some(bits),
        ReferenceScore::Nats(_) | ReferenceScore::Percent(_) => None,
    };
    find(run, bits)
}

/// The label and value of the first result that is comparable with the run and for which `value` returns something.
fn find(run: &Run, value: impl Fn(&Reference) -> Option<f64>) -> Option<(String, f64)> {
    let settings: Table = run.config.parse().ok()?;
    let (model, data) = (settings.get("model")?, settings.get("data")?);
    let (kind, name) = (model.get("kind")?.as_str()?, data.get("name")?.as_str()?);
    let fits = |reference: &&Reference| {
        reference.kind == kind
            && reference.data == name
            && reference.settings.iter().all(|(key, setting)| is(model.get(key), *setting))
    };
    references().filter(fits).find_map(|found| Some((found.label.to_string(), value(found)?)))
}

/// Whether a value of the settings equals `setting`.
fn is(value: Option<&Value>, setting: Setting) -> bool {
    match setting {
        Setting::Number(n) => value.and_then(Value::as_integer) == Some(n),
        Setting::Flag(yes) => value.and_then(Value::as_bool) == Some(yes),
    }
}
