//! What a resumed run must have in common with the run that it continues: its settings, compared value by
//! value, and its images, compared by their fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::RunDir;
use super::checkpoint::{RunSettings, State, TrainedOn};
use crate::data::{Fingerprint, fingerprint};
use crate::error::{Error, Result};
use crate::settings::Config;
use crate::settings::config::{shared, spans_the_run};
use crate::settings::flat;
use crate::text::{hex, shell_word};

/// The key of a schedule's length.
const TOTAL: &str = "optimizer.schedule.total";

/// Shared settings by key, the schedule's length filled in for `images` training images.
fn values(config: &Config, images: usize) -> Result<BTreeMap<String, Value>> {
    let mut config = shared(config);
    if spans_the_run(&config) {
        config.optimizer.schedule = config.optimizer(images, config.steps(images)?).schedule;
        config.epochs = 0;
    }
    let table: Table = config.to_toml().parse().expect("settings are TOML");
    Ok(flat(&table).into_iter().collect())
}

/// Each setting in which `asked` differs from those of `run`, with both values; `moved`: the path in
/// the data set's name does not matter.
fn differences(run: &Config, asked: &Config, images: usize, moved: bool) -> Result<Vec<String>> {
    let (old, new) = (values(run, images)?, values(asked, images)?);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let both_span = spans_the_run(run) && spans_the_run(asked);
    let differs = |key: &str| match key {
        "data.name" if moved => !fingerprint::same_source(&run.data.name, &asked.data.name),
        // With equal epochs the length follows from other settings, which are listed themselves.
        TOTAL if both_span => run.epochs != asked.epochs,
        _ => old.get(key) != new.get(key),
    };
    let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
    let line = |key: &str| match key {
        TOTAL if both_span => {
            format!("epochs: {} in the run, {} asked for", run.epochs, asked.epochs)
        }
        _ => format!("{key}: {} in the run, {} asked for", text(old.get(key)), text(new.get(key))),
    };
    Ok(keys.into_iter().filter(|key| differs(key)).map(|key| line(key)).collect())
}

/// The settings that the checkpoint in `dir` was trained with.
///
/// A checkpoint from before they were stored in it has their hash. Then they are those of the run's `config.toml`, and
/// it is an error ([`Error::Config`]) if that file does not have this hash.
fn settings_of(state: &State, run: &RunDir, dir: &Path) -> Result<Config> {
    match &state.settings {
        RunSettings::Values(config) => Ok(config.as_ref().clone()),
        RunSettings::Hash(hash) => {
            let (_, config) = RunDir::open(run.path())?;
            let text = run.config_text()?;
            if hash_of(&text) != *hash {
                return Err(Error::Config(format!(
                    "{} was trained with other settings than {} holds; restore that file from a copy, or \
                     begin a new run with these weights: --init {} --name NEW",
                    dir.display(),
                    run.config_path().display(),
                    shell_word(&dir.display().to_string())
                )));
            }
            Ok(config)
        }
    }
}

/// The hash of the settings in `config.toml` that checkpoints had before they stored the settings themselves. It is
/// taken of the text, so that settings which were introduced later do not enter.
fn hash_of(text: &str) -> String {
    let spans = text.contains("\ntotal = 0\n");
    let line = |line: &str| match line.split_once(" = ") {
        Some(("epochs", _)) if !spans => "epochs = 0\n".to_string(),
        Some(("keep", _)) => "keep = 0\n".to_string(),
        Some(("dir", _)) => "dir = \"\"\n".to_string(),
        Some(("on_nonfinite" | "score_test", _) | ("kernel", "3")) => String::new(),
        _ => format!("{line}\n"),
    };
    hex(&Sha256::digest(text.lines().map(line).collect::<String>()))
}

/// What is asked of a resumed run.
pub struct Asked<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// The fingerprint of its images.
    pub images: &'a Fingerprint,
    /// How many of them it trains on.
    pub count: usize,
}

/// That the checkpoint in `dir` of `run`, trained on `data`, may be continued as `asked`. Fails with
/// [`Error::Config`], naming each setting that differs, or with [`Error::Data`] on other images. Returns a
/// note where the images cannot be checked.
pub fn check(
    asked: &Asked,
    (state, data): (&State, &TrainedOn),
    run: &RunDir,
    dir: &Path,
) -> Result<Option<String>> {
    let config = asked.config;
    let trained = settings_of(state, run, dir)?;
    let anew = format!(
        "begin a new run with its weights: pixelloom train {} --init {} --name NEW",
        config.model.kind(),
        shell_word(&run.path().display().to_string())
    );
    let same_source = fingerprint::same_source(&trained.data.name, &config.data.name);
    if same_source
        && let Some(images) = data.fingerprint.as_ref()
        && images != asked.images
    {
        return Err(Error::Data(format!(
            "{} was trained on other images: {images}; {} holds {}; restore the images, or {anew}",
            dir.display(),
            config.data.name,
            asked.images
        )));
    }
    let different = differences(&trained, config, asked.count, data.fingerprint.is_some())?;
    if !different.is_empty() {
        let other_epochs = spans_the_run(&trained) && trained.epochs != config.epochs;
        let keep_rates = if other_epochs {
            format!(
                "to change the epochs and keep the rate of each step, add --set {TOTAL}={}; ",
                trained.steps(asked.count)?
            )
        } else {
            String::new()
        };
        return Err(Error::Config(format!(
            "{} was trained with other settings ({}); leave these as they were; {keep_rates}for other \
             settings, {anew}",
            dir.display(),
            different.join("; ")
        )));
    }
    Ok(data.fingerprint.is_none().then(|| data.unknown(&run.path().display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ModelConfig;
    use crate::nn::OnNonfinite;
    use crate::settings::{Settings, presets};

    /// Settings and hash of a run that was trained before pixel models had a kernel.
    const BEFORE: &str = r#"
        preset = "digits-rowlstm"
        seed = 1
        epochs = 1
        batch = 16
        log_every = 50
        eval_every = 2
        marginal = 0
        save_every = 0
        keep = 3
        weight_prior = false
        data = { name = "first-32:digits", binarization = "dynamic", dir = "data" }
        [model]
        kind = "rowlstm"
        height = 28
        width = 28
        channels = 1
        levels = 2
        layers = 1
        hidden = 2
        head = 32
        residual = true
        skip = false
        learned_states = false
        dropout = 0.0
        mean = 0.13
        deviation = 0.31
        [optimizer]
        rule = "adam"
        rate = 0.003
        beta1 = 0.9
        beta2 = 0.999
        epsilon = 0.00000001
        decay = 0.0
        decay_kind = "coupled"
        warmup = 0
        schedule = { kind = "cosine", total = 0, floor = 0.0 }
    "#;
    const HASH: &str = "7b2cb35e608bb0ac2002cd1624fcb523e08f57fb8cd9e16e1f50ab13817dc1f3";

    #[test]
    fn the_hash_of_an_old_run_is_found_in_its_settings() {
        let mut config: Config = toml::from_str(BEFORE).unwrap();
        let ModelConfig::RowLstm(net) = &config.model else { panic!("a Row LSTM") };
        assert_eq!(net.kernel, 3);
        assert_eq!(hash_of(&config.to_toml()), HASH);
        (config.keep, config.data.dir) = (7, "elsewhere".into());
        config.optimizer.on_nonfinite = OnNonfinite::Skip;
        assert_eq!(hash_of(&config.to_toml()), HASH, "these may change");
        let mut longer = config.clone();
        longer.epochs = 2;
        assert_ne!(hash_of(&longer.to_toml()), HASH);
        if let ModelConfig::RowLstm(net) = &mut config.model {
            net.0.kernel = 5;
        }
        assert_ne!(hash_of(&config.to_toml()), HASH);
    }

    fn changed(flags: &[&str]) -> Config {
        let mut settings = Settings::new(&presets::find("digits").unwrap().config());
        flags.iter().for_each(|flag| settings.set(flag).unwrap());
        settings.config().unwrap()
    }

    fn differ(run: &[&str], asked: &[&str]) -> Vec<String> {
        differences(&changed(run), &changed(asked), 200, true).unwrap()
    }

    #[test]
    fn each_setting_that_differs_is_named_with_both_values() {
        let usual = ["optimizer.schedule=constant", "batch=60"];
        let other = ["optimizer.schedule=constant", "batch=50", "seed=2", "optimizer.clip=1"];
        let named = [
            "batch: 60 in the run, 50 asked for",
            "optimizer.clip: not set in the run, 1.0 asked for",
            "seed: 1 in the run, 2 asked for",
        ];
        assert_eq!(differ(&usual, &other), named);
        let free = ["epochs=7", "keep=9", "data.dir=x", "optimizer.on_nonfinite=skip"];
        assert_eq!(differ(&usual, &[&usual[..], &free[..]].concat()), [""; 0]);
        let of = |name: &'static str| ["optimizer.schedule=constant", name];
        assert_eq!(differ(&of("data.name=folder:a"), &of("data.name=folder:/x/b")), [""; 0]);
        let named = ["data.name: \"folder:a\" in the run, \"mnist\" asked for"];
        assert_eq!(differ(&of("data.name=folder:a"), &of("data.name=mnist")), named);
    }

    /// 200 images in batches of 50 make 4 steps an epoch.
    #[test]
    fn a_schedule_of_the_same_length_is_the_same() {
        let run = ["optimizer.schedule=cosine", "batch=50", "epochs=3"];
        let asked = |epochs, total| ["optimizer.schedule=cosine", "batch=50", epochs, total];
        assert_eq!(differ(&run, &asked("epochs=3", "seed=1")), [""; 0]);
        assert_eq!(
            differ(&run, &asked("epochs=5", "seed=1")),
            ["epochs: 3 in the run, 5 asked for"]
        );
        assert_eq!(differ(&run, &asked("epochs=5", "optimizer.schedule.total=12")), [""; 0]);
        assert_eq!(
            differ(&run, &asked("epochs=5", "optimizer.schedule.total=13")),
            ["optimizer.schedule.total: 12 in the run, 13 asked for"]
        );
    }
}
