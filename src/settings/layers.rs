//! Layers of settings: a preset, then a TOML file, then flags. Unknown keys are errors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use super::unknown::unknown;
use super::view::view;
use super::{Config, limits, presets};
use crate::data::{self, Binarization, DataSet, files};
use crate::error::{Error, Result};
use crate::models::ModelConfig;
use crate::models::vae::METHODS;
use crate::nn::OptimizerConfig;
use crate::ops::optimizer::Rule;
use crate::text;

/// Keys that may be absent, each with a value that shows its type.
pub(super) static OPTIONAL: [(&str, Value); 13] = [
    ("init", Value::String(String::new())),
    ("data.binarization", Value::String(String::new())),
    ("data.limit", Value::Integer(0)),
    ("data.size", Value::Integer(0)),
    ("data.transpose", Value::Boolean(false)),
    ("model.stage", Value::Integer(0)),
    ("model.classes", Value::Integer(0)),
    ("model.beta", Value::Float(0.0)),
    ("model.kl_warmup", Value::Integer(0)),
    ("model.channels", Value::Integer(1)),
    ("optimizer.clip", Value::Float(0.0)),
    ("optimizer.average", Value::Float(0.0)),
    ("optimizer.on_nonfinite", Value::String(String::new())),
];

/// Whether a key that may be absent applies to a model that `has` other keys: a chain alone has stages, and a model with
/// latent variables alone a KL divergence.
fn applies(key: &str, has: impl Fn(&str) -> bool) -> bool {
    match key {
        "model.stage" => has("factors"),
        "model.classes" => has("residual") && !has("factors"),
        "model.beta" | "model.kl_warmup" => has("latent"),
        _ => true,
    }
}

/// Keys with dots and their values, in order.
pub(crate) fn flat(table: &Table) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(below) => {
                let below = flat(below).into_iter();
                pairs.extend(below.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => pairs.push((key.clone(), value.clone())),
        }
    }
    pairs
}

/// Settings under construction.
pub struct Settings {
    table: Table,
    /// The origin of each value that does not come from the preset, by key.
    origins: BTreeMap<String, String>,
}

/// Settings with which one batch is overfitted; an epoch is then a single step.
const OVERFIT: [(&str, i64); 3] = [("epochs", 300), ("eval_every", 100), ("log_every", 10)];

/// Maximum bytes of a settings file, a hundred times the size of a run's settings.
const MOST: u64 = 1 << 18;

/// Maximum nesting of tables; the longest key of a setting has three parts.
const DEEPEST: usize = 8;

/// Reads a settings file.
pub(crate) fn text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(files::whole(path, MOST)?).map_err(std::io::Error::other)
}

/// The error about a settings file.
fn unreadable(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::Config(format!(
        "settings file {}: {}; to print a file to start from: pixelloom presets NAME",
        path.display(),
        cause.to_string().trim().replace('\n', " ")
    ))
}

/// Maximum characters of a value in a message.
const SHOWN: usize = 60;

/// A value as a message shows it.
pub(super) fn short(value: &impl std::fmt::Display) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// `value` as a table, its numbers as they are written in TOML.
pub(super) fn table_of(value: &impl Serialize) -> Table {
    let text = toml::to_string(value).expect("settings are TOML");
    text.parse().expect("TOML that was just serialized")
}

impl Settings {
    /// The settings of a run or a preset.
    pub fn new(config: &Config) -> Settings {
        Settings { table: table_of(config), origins: BTreeMap::new() }
    }

    /// The preset `preset`, or the one that `file` names, or `default`; then the file.
    pub fn layered(preset: Option<&str>, file: Option<&Path>, default: &str) -> Result<Settings> {
        let Some(path) = file else { return Settings::parsed(preset, "", Path::new(""), default) };
        let text = text(path).map_err(|e| unreadable(path, &e))?;
        Settings::parsed(preset, &text, path, default)
    }

    /// Like [`Settings::layered`], for the text of a file. `path` is for messages.
    pub fn parsed(
        preset: Option<&str>,
        text: &str,
        path: &Path,
        default: &str,
    ) -> Result<Settings> {
        let mut layer = text.parse::<Table>().map_err(|e| unreadable(path, &e))?;
        let named = layer.remove("preset");
        let name = match (preset, &named) {
            (Some(name), _) => name,
            (None, Some(Value::String(name))) => name,
            (None, Some(other)) => {
                return Err(Error::Config(format!(
                    "preset = {}: expected a name in quotes; to list the names: pixelloom presets",
                    short(other)
                )));
            }
            (None, None) => default,
        };
        let mut settings = Settings::new(&presets::find(name)?.config());
        settings.overlay(layer, &path.display().to_string())?;
        Ok(settings)
    }

    /// The model's kind.
    fn kind(&self) -> &str {
        self.table["model"].get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// Applies a layer that comes from `origin`. Fails with [`Error::Config`] on unknown keys and wrong types.
    pub fn overlay(&mut self, layer: Table, origin: &str) -> Result<()> {
        let before: BTreeMap<String, Value> = flat(&self.table).into_iter().collect();
        let mut given = BTreeSet::new();
        merge(&mut self.table, layer, "", &mut given)?;
        for (key, value) in flat(&self.table) {
            if given.contains(&key) {
                self.origins.insert(key, origin.into());
            } else if before.get(&key) != Some(&value) {
                self.origins.insert(key, format!("goes with {origin}"));
            }
        }
        Ok(())
    }

    /// Takes over all settings of `model`, from whose weights (`init`) training starts. Fails with [`Error::Config`] if
    /// it is of another kind than these settings.
    pub fn begin_with(&mut self, model: &ModelConfig, init: &str) -> Result<()> {
        if model.kind() != self.kind() {
            return Err(Error::Config(format!(
                "init = {init}: these weights are of a {}, but the settings are for a {}; name other \
                 weights, or choose other settings",
                model.kind(),
                self.kind()
            )));
        }
        let model = Value::Table(table_of(model));
        self.overlay(Table::from_iter([("model".into(), model)]), "--init")
    }

    /// Sets up overfitting of one batch and returns its data set: every split becomes the first batch of training images
    /// of `set`, the opened data set, with a fixed binarization. Numbers of epochs that come from the preset are replaced
    /// by those of a run of a few hundred steps.
    pub fn overfit(&mut self, set: DataSet) -> Result<DataSet> {
        let config = self.config()?;
        let binarization = match set.binarization {
            Binarization::Dynamic => Binarization::Threshold,
            mode => mode,
        };
        let count = config.batch.min(set.train.count);
        let name = data::first(count, &config.data.name);
        let mut layer = Table::new();
        insert(&mut layer, "data.name", Value::String(name.clone()));
        insert(&mut layer, "data.binarization", Value::String(binarization.to_string()));
        for (key, value) in OVERFIT {
            if !self.origins.contains_key(key) {
                insert(&mut layer, key, Value::Integer(value));
            }
        }
        self.overlay(layer, "--overfit-batch")?;
        Ok(DataSet { binarization, ..data::firsts(&name, count, set)? })
    }

    /// The origin of each value of `config` (a result of [`Settings::fit`]), by key: the preset, a file, a flag, or the
    /// data.
    pub fn origins(&self, config: &Config) -> BTreeMap<String, String> {
        let own: BTreeMap<String, Value> = flat(&self.table).into_iter().collect();
        let preset = format!("preset {}", config.preset);
        let origin = |(key, value): (String, Value)| {
            let origin = match self.origins.get(&key) {
                _ if own.get(&key) != Some(&value) => "the data",
                Some(origin) => origin,
                None => &preset,
            };
            (key, origin.to_string())
        };
        flat(&table_of(config)).into_iter().map(origin).collect()
    }

    /// `config` as TOML, with a comment after each value that says where it comes from, and a final comment that lists
    /// the optional settings that are not set.
    pub fn explain(&self, config: &Config) -> String {
        let origins = self.origins(config);
        let text = config.to_toml();
        if text.lines().any(|line| line.ends_with("\"\"\"") || line.ends_with("'''")) {
            // Inside a string of several lines a comment would be part of it.
            return text;
        }
        let width = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let mut section = String::new();
        let line = |line: &str| {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = format!("{name}.");
            }
            let key = line.split_once(" = ").map(|(key, _)| format!("{section}{key}"));
            match key.and_then(|key| origins.get(&key)) {
                Some(origin) => format!("{line:width$}  # {}\n", text::line(origin)),
                None => format!("{line}\n"),
            }
        };
        let text: String = text.lines().map(line).collect();
        let absent = OPTIONAL.iter().map(|(key, _)| *key).filter(|key| {
            let has = |other: &str| origins.contains_key(&format!("model.{other}"));
            // The images determine the channels.
            !origins.contains_key(*key) && *key != "model.channels" && applies(key, has)
        });
        match absent.collect::<Vec<_>>().join(", ") {
            keys if keys.is_empty() => text,
            keys => format!("{text}\n# Not set: {keys}\n"),
        }
    }

    /// Applies one `key=value` such as `model.hidden=300`; the value is TOML or, if it does not parse, a string. Fails
    /// with [`Error::Config`] on control characters, such as a line break before a second setting.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        if assignment.chars().any(text::is_control) {
            return Err(Error::Config(format!(
                "--set {}: line breaks and other control characters are not allowed; use one --set per setting",
                short(&text::line(assignment))
            )));
        }
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Error::Config(format!(
                "--set {}: expected key=value, such as model.hidden=300",
                short(&assignment)
            )));
        };
        if key.trim() == "preset" {
            return Err(Error::Config("--set preset=...: use --preset NAME instead".into()));
        }
        if key.split('.').count() > DEEPEST {
            return Err(Error::Config(format!(
                "--set {}: a key has at most {DEEPEST} parts, separated by dots",
                short(&key)
            )));
        }
        self.put(key.trim(), value_of(value.trim()), "--set")
    }

    /// Sets one dotted key; its value comes from `origin`.
    pub fn put(&mut self, key: &str, value: Value, origin: &str) -> Result<()> {
        let mut layer = Table::new();
        insert(&mut layer, key, value);
        self.overlay(layer, origin)
    }

    /// The checked settings, with the image size of `data`, and the data as the model sees it.
    pub fn fit(&self, data: DataSet) -> Result<(Config, DataSet)> {
        let mut config = self.config()?;
        let asked = config.model.shape();
        let size = &data.train;
        config.model.set_shape((size.height, size.width, size.channels))?;
        let shape = config.model.shape();
        let sizes = ["model.height", "model.width", "model.channels"];
        let given = sizes.iter().any(|key| self.origins.contains_key(*key));
        if given && asked != shape {
            return Err(Error::Config(format!(
                "model.height, model.width (and model.channels) are {} x {} x {}, but the images of \
                 {} are {} x {} x {}; leave them out",
                asked.0, asked.1, asked.2, config.data.name, shape.0, shape.1, shape.2
            )));
        }
        config.model.check()?;
        limits::check_batch(&config.model, config.batch.min(data.train.count))?;
        config.steps(data.train.count)?;
        let data = view(&config.model, data)?;
        config.data.binarization = Some(data.binarization);
        Ok((config, data))
    }

    /// The settings without a data set.
    pub fn config(&self) -> Result<Config> {
        let config: Config = self.table.clone().try_into().map_err(|e: toml::de::Error| {
            Error::Config(format!(
                "settings: {}; to print valid settings: pixelloom presets {}",
                e.to_string().trim().replace('\n', " "),
                presets::default_of(self.kind()).name
            ))
        })?;
        config.check()?;
        Ok(config)
    }
}

/// Parses a value of the command line: TOML or, if that fails, the text itself.
pub(crate) fn value_of(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.into()))
}

/// Inserts `value` under a dotted key.
pub fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.into(), value);
        }
        Some((first, rest)) => {
            let below = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

fn merge(base: &mut Table, layer: Table, path: &str, given: &mut BTreeSet<String>) -> Result<()> {
    prepare(base, &layer, path)?;
    for (key, value) in layer {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let optional = OPTIONAL.iter().find(|(name, _)| *name == full).map(|(_, value)| value);
        let optional = optional.filter(|_| applies(&full, |key| base.contains_key(key)));
        let Some(old) = base.get(&key).or(optional) else {
            return Err(unknown(&first_leaf(full, &value), base));
        };
        let value = match (old, value) {
            (Value::Table(old), value) => {
                let mut below = old.clone();
                let layer = match (value, choice(&full)) {
                    (Value::Table(layer), _) => layer,
                    // `model.method = "wake-sleep"` is short for `model.method.name = ...`.
                    (Value::String(name), Some((tag, _))) => {
                        Table::from_iter([(tag.to_string(), Value::String(name))])
                    }
                    (other, _) => return Err(mismatch(&full, &other, "a table")),
                };
                merge(&mut below, layer, &full, given)?;
                Value::Table(below)
            }
            (Value::Float(_), Value::Integer(i)) => Value::Float(i as f64),
            (old, value) if !old.same_type(&value) => {
                return Err(mismatch(&full, &value, old.type_str()));
            }
            (_, value) => value,
        };
        given.insert(full);
        base.insert(key, value);
    }
    Ok(())
}

/// Applies the consequences of a layer's choices: another variant has its own keys, another data set its own
/// binarization, another update rule its own default numbers.
fn prepare(base: &mut Table, layer: &Table, path: &str) -> Result<()> {
    if let Some((tag, variants)) = choice(path)
        && let Some(name) = layer.get(tag)
        && base.get(tag) != Some(name)
    {
        let names = || variants.iter().map(|v| v[tag].to_string()).collect::<Vec<_>>().join(", ");
        let Some(variant) = variants.iter().find(|variant| variant.get(tag) == Some(name)) else {
            return Err(Error::Config(format!(
                "{path}.{tag} = {}: expected one of {}",
                short(name),
                names()
            )));
        };
        *base = variant.clone();
    }
    if path == "model"
        && let (Some(old), Some(new)) = (base.get("kind"), layer.get("kind"))
        && old != new
    {
        return Err(Error::Config(format!(
            "model.kind = {}, but the preset is a {old}; start from a preset of that kind; to list them: \
             pixelloom presets",
            short(new)
        )));
    }
    if path == "data" && layer.get("name").is_some_and(|name| base.get("name") != Some(name)) {
        base.remove("binarization");
        ["limit", "size", "transpose"].iter().for_each(|key| drop(base.remove(*key)));
    }
    if path == "optimizer"
        && let Some(rule) = layer.get("rule").filter(|rule| base.get("rule") != Some(rule))
        && let Ok(rule) = rule.clone().try_into::<Rule>()
    {
        let usual = table_of(&OptimizerConfig::new(rule, 0.0));
        for key in ["beta1", "beta2", "epsilon"] {
            base.insert(key.into(), usual[key].clone());
        }
    }
    Ok(())
}

/// For a table that is one of several variants: the key that says which, and the variants.
pub(super) fn choice(path: &str) -> Option<(&'static str, Vec<Table>)> {
    match path {
        "model.method" => Some(("name", METHODS.iter().map(table_of).collect())),
        "optimizer.schedule" => Some(("kind", presets::SCHEDULES.iter().map(table_of).collect())),
        _ => None,
    }
}

fn mismatch(key: &str, value: &Value, expected: &str) -> Error {
    let kind = match expected {
        "integer" => "a whole number",
        "float" => "a number",
        "string" => "a name in quotes",
        "boolean" => "true or false",
        other => other,
    };
    Error::Config(format!("{} = {}: expected {kind}", short(&key), short(value)))
}

/// The dotted key of the first leaf in `value`, whose own key is `path`.
fn first_leaf(path: String, value: &Value) -> String {
    match value.as_table().and_then(|table| table.iter().next()) {
        Some((key, below)) => first_leaf(format!("{path}.{key}"), below),
        None => path,
    }
}
