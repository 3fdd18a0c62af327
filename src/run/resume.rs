//! Checks that a resumed run has the same settings as before, compared value by value, and the same images, compared by
//! their fingerprint.

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

/// Shared settings by key, with the length of the schedule filled in for `images` training images.
fn values(config: &Config, images: usize) -> Result<BTreeMap<String, Value>> {
    let mut config = shared(config);
    if spans_the_run(&config) {
        config.optimizer.schedule = config.optimizer(images, config.steps(images)?).schedule;
        config.epochs = 0;
    }
    let table: Table = config.to_toml().parse().expect("settings are TOML");
    Ok(flat(&table).into_iter().collect())
}

/// Lists each setting in which `asked` differs from `run`, with both values. If `moved`, the path in the data set's
/// name is ignored.
fn differences(run: &Config, asked: &Config, images: usize, moved: bool) -> Result<Vec<String>> {
    let (old, new) = (values(run, images)?, values(asked, images)?);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let both_span = spans_the_run(run) && spans_the_run(asked);
    let differs = |key: &str| match key {
        "data.name" if moved => !fingerprint::same_source(&run.data.name, &asked.data.name),
        // With equal epochs the length follows from other settings, which are listed anyway.
        TOTAL if both_span => run.epochs != asked.epochs,
        _ => old.get(key) != new.get(key),
    };
    let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
    let line = |key: &str| match key {
        TOTAL if both_span => {
            format!("epochs: {} in the run, {} requested", run.epochs, asked.epochs)
        }
        _ => format!("{key}: {} in the run, {} requested", text(old.get(key)), text(new.get(key))),
    };
    Ok(keys.into_iter().filter(|key| differs(key)).map(|key| line(key)).collect())
}

/// The settings that the checkpoint in `dir` was trained with. A checkpoint that predates stored settings has only
/// their hash. Then the settings are taken from the run's `config.toml`, and it is an error ([`Error::Config`]) if that
/// file does not have this hash.
fn settings_of(state: &State, run: &RunDir, dir: &Path) -> Result<Config> {
    match &state.settings {
        RunSettings::Values(config) => Ok(config.as_ref().clone()),
        RunSettings::Hash(hash) => {
            let (_, config) = RunDir::open(run.path())?;
            let text = run.config_text()?;
            if hash_of(&text) != *hash {
                return Err(Error::Config(format!(
                    "{} was trained with other settings than those in {}; restore that file from a copy, \
                     or start a new run from these weights: --init {} --name NEW",
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
/// computed from the text, so that settings introduced later are not included.
fn hash_of(text: &str) -> String {
    let spans = text.contains("\ntotal = 0\n");
    let line = |line: &str| match line.split_once(" = ") {
        Some(("epochs", _)) if !spans => "epochs = 0\n".to_string(),
        Some(("keep", _)) => "keep = 0\n".to_string(),
        Some(("dir", _)) => "dir = \"\"\n".to_string(),
        Some(("on_nonfinite" | "score_test" | "patience" | "score_best", _) | ("kernel", "3")) => {
            String::new()
        }
        _ => format!("{line}\n"),
    };
    hex(&Sha256::digest(text.lines().map(line).collect::<String>()))
}

/// The requested continuation of a run.
pub struct Asked<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// The fingerprint of its images.
    pub images: &'a Fingerprint,
    /// Number of training images.
    pub count: usize,
}

/// Checks that the checkpoint in `dir` of `run`, trained on `data`, can be resumed as `asked`. Fails with
/// [`Error::Config`], which names each setting that differs, or with [`Error::Data`] if the images are different.
/// Returns a note if the images cannot be checked.
pub fn check(
    asked: &Asked,
    (state, data): (&State, &TrainedOn),
    run: &RunDir,
    dir: &Path,
) -> Result<Option<String>> {
    let config = asked.config;
    let trained = settings_of(state, run, dir)?;
    let anew = format!(
        "start a new run from its weights: pixelloom train {} --init {} --name NEW",
        config.model.kind(),
        shell_word(&run.path().display().to_string())
    );
    let same_source = fingerprint::same_source(&trained.data.name, &config.data.name);
    // Images that are read in another way have another fingerprint, but the settings already report that.
    if same_source
        && trained.data.options() == config.data.options()
        && let Some(images) = data.fingerprint.as_ref()
        && images != asked.images
    {
        return Err(Error::Data(format!(
            "{} was trained on other images: {images}; {} contains {}; restore the images, or {anew}",
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
                "to change the epochs but keep the rate of each step, add --set {TOTAL}={}; ",
                trained.steps(asked.count)?
            )
        } else {
            String::new()
        };
        return Err(Error::Config(format!(
            "{} was trained with other settings ({}); restore these settings; {keep_rates}to use other \
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

    /// Settings and hash of a run from before pixel models had a kernel setting.
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
        (config.patience, config.score_best) = (3, true);
        assert_eq!(hash_of(&config.to_toml()), HASH, "these settings may change");
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
            "batch: 60 in the run, 50 requested",
            "optimizer.clip: not set in the run, 1.0 requested",
            "seed: 1 in the run, 2 requested",
        ];
        assert_eq!(differ(&usual, &other), named);
        let free = ["epochs=7", "keep=9", "data.dir=x", "optimizer.on_nonfinite=skip"];
        assert_eq!(differ(&usual, &[&usual[..], &free[..]].concat()), [""; 0]);
        let of = |name: &'static str| ["optimizer.schedule=constant", name];
        assert_eq!(differ(&of("data.name=folder:a"), &of("data.name=folder:/x/b")), [""; 0]);
        let named = ["data.name: \"folder:a\" in the run, \"mnist\" requested"];
        assert_eq!(differ(&of("data.name=folder:a"), &of("data.name=mnist")), named);
    }

    /// 200 images in batches of 50 make 4 steps/epoch.
    #[test]
    fn a_schedule_of_the_same_length_is_the_same() {
        let run = ["optimizer.schedule=cosine", "batch=50", "epochs=3"];
        let asked = |epochs, total| ["optimizer.schedule=cosine", "batch=50", epochs, total];
        assert_eq!(differ(&run, &asked("epochs=3", "seed=1")), [""; 0]);
        assert_eq!(
            differ(&run, &asked("epochs=5", "seed=1")),
            ["epochs: 3 in the run, 5 requested"]
        );
        assert_eq!(differ(&run, &asked("epochs=5", "optimizer.schedule.total=12")), [""; 0]);
        assert_eq!(
            differ(&run, &asked("epochs=5", "optimizer.schedule.total=13")),
            ["optimizer.schedule.total: 12 in the run, 13 requested"]
        );
    }
}
