//! The shortest command that trains with given settings.

use toml::{Table, Value};

use super::layers::value_of;
use super::{Config, Settings, flat, presets};
use crate::error::Result;
use crate::text::{self, shell_word};

/// Settings that say how often a run is looked at and saved, and where the data lie: they make no other
/// model.
const LOOKS: [&str; 8] = [
    "log_every",
    "eval_every",
    "save_every",
    "keep",
    "data.dir",
    "marginal",
    "score_test",
    "score_best",
];

/// A short command that trains with `config`: its preset, and the settings that differ from it.
///
/// Fails with [`Error::Config`](crate::Error::Config) if the preset is unknown.
pub fn command(config: &Config) -> Result<String> {
    let mut words = arguments(config)?;
    // The run that it starts from may already have the preset's name.
    if config.init.is_some() {
        words.extend(["--name".into(), format!("{}-on", config.preset)]);
    }
    Ok(in_shell(&words))
}

/// `pixelloom` with these arguments, quoted for a shell.
pub fn in_shell(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| shell_word(word));
    std::iter::once("pixelloom".into()).chain(words).collect::<Vec<_>>().join(" ")
}

/// The arguments of [`command`], without a name for the run.
pub fn arguments(config: &Config) -> Result<Vec<String>> {
    let preset = presets::find(&config.preset)?.config();
    let pairs = |config: &Config| {
        let table: Table = config.to_toml().parse().expect("settings are TOML");
        // Early stopping depends on the moments of evaluations.
        let stops = |key: &str| key == "eval_every" && config.patience > 0;
        let looks = |(key, _): &(String, Value)| !LOOKS.contains(&key.as_str()) || stops(key);
        flat(&table).into_iter().filter(looks).collect::<Vec<_>>()
    };
    let (usual, wanted) = (pairs(&preset), pairs(config));
    let gives = |chosen: &[(String, Value)]| -> Result<bool> {
        let mut settings = Settings::new(&preset);
        chosen
            .iter()
            .try_for_each(|(key, value)| settings.put(key, value.clone(), "what differs"))?;
        Ok(pairs(&settings.config()?) == wanted)
    };
    let mut chosen: Vec<_> = wanted.iter().filter(|pair| !usual.contains(pair)).cloned().collect();
    // A rule or a kind sets its default numbers, so it must come before settings that change those.
    chosen.sort_by_key(|(key, _)| {
        ![".rule", ".kind", ".name"].iter().any(|choice| key.ends_with(choice))
    });
    for (key, _) in chosen.clone() {
        let without: Vec<_> = chosen.iter().filter(|pair| pair.0 != key).cloned().collect();
        // A setting that does not apply without this one is an error, so this one is needed.
        if gives(&without).unwrap_or(false) {
            chosen = without;
        }
    }
    let mut words =
        ["train", config.model.kind(), "--preset", &config.preset].map(String::from).to_vec();
    for (key, value) in chosen {
        words.extend(match (key.as_str(), &value) {
            ("init", Value::String(init)) => ["--init".into(), init.clone()],
            (key, Value::String(text)) => ["--set".into(), format!("{key}={}", assigned(text))],
            (key, value) => ["--set".into(), format!("{key}={value}")],
        });
    }
    Ok(words)
}

/// A string for `--set KEY=`: quoted and escaped only if it would otherwise be parsed as something else.
fn assigned(string: &str) -> String {
    let plain = !string.chars().any(text::is_control)
        && value_of(string.trim()) == Value::String(string.into());
    // A JSON string is also a valid TOML string.
    if plain { string.into() } else { text::json(&serde_json::json!(string).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_preset_and_what_differs() {
        let preset = presets::find("draw-mnist").unwrap().config();
        let plain = "pixelloom train draw --preset draw-mnist";
        assert_eq!(command(&preset).unwrap(), plain);
        let mut settings = Settings::new(&preset);
        for (key, value) in [
            ("optimizer.rate", Value::Float(0.0015)),
            ("save_every", Value::Integer(7)),
            ("data.dir", Value::String("elsewhere".into())),
            ("epochs", Value::Integer(3)),
            ("init", Value::String("runs/it's a".into())),
            ("model.glimpses", Value::Integer(5)),
        ] {
            settings.put(key, value, "here").unwrap();
        }
        let changed = settings.config().unwrap();
        let text = command(&changed).unwrap();
        // A shell splits it into the intended words.
        let end = r" --name draw-mnist-on";
        let init = r" --init 'runs/it'\''s a'";
        assert!(text.contains(init) && text.ends_with(end), "{text}");
        let text = text.replace(init, "").replace(end, "");
        let mut words: Vec<_> = text.strip_prefix(plain).unwrap().split(" --set ").collect();
        words.sort_unstable();
        assert_eq!(words, ["", "epochs=3", "model.glimpses=5", "optimizer.rate=0.0015"]);
        // The printed command reproduces these settings.
        let mut again = Settings::new(&preset);
        words[1..].iter().for_each(|word| again.set(word).unwrap());
        let again = again.config().unwrap();
        assert_eq!(again.model, changed.model);
        assert_eq!(again.optimizer, changed.optimizer);
        // Strings that would be parsed as something else, or that contain control characters, keep their quotes.
        for (name, word) in [
            ("folder:it's a", r"'data.name=folder:it'\''s a'"),
            ("folder:\"a\"", "'data.name=folder:\"a\"'"),
            ("7", "'data.name=\"7\"'"),
            ("folder:a\nb\u{9b}", "'data.name=\"folder:a\\nb\\u009b\"'"),
        ] {
            let mut settings = Settings::new(&preset);
            settings.put("data.name", Value::String(name.into()), "here").unwrap();
            let config = settings.config().unwrap();
            let text = command(&config).unwrap();
            assert!(text.contains(&format!(" --set {word}")), "{text}");
            let mut again = Settings::new(&preset);
            let assignment = word.trim_matches('\'').replace(r"'\''", "'");
            again.set(&assignment).unwrap();
            assert_eq!(again.config().unwrap().data.name, name);
        }
        // A rule's default numbers are not printed.
        let mut settings = Settings::new(&presets::find("aevb-manifold").unwrap().config());
        ["optimizer.rule=adam", "optimizer.rate=0.5", "weight_prior=false", "init=runs/a"]
            .iter()
            .for_each(|word| settings.set(word).unwrap());
        let text = command(&settings.config().unwrap()).unwrap();
        let end = "aevb-manifold --set optimizer.rule=adam --init runs/a --set optimizer.rate=0.5 --set weight_prior=false \
                   --name aevb-manifold-on";
        assert!(text.ends_with(end), "{text}");
    }
}
