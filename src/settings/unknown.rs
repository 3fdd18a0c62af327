//! The error about a setting that does not exist: what it is called here, or the nearest name, or all names.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::layers::{OPTIONAL, choice, short, table_of};
use super::presets;
use crate::error::Error;

/// Names of other programs and what the setting is called here. The last part of a key decides.
const SYNONYMS: [(&str, &[&str]); 18] = [
    ("optimizer.rate", &["lr", "learning_rate", "learningrate", "base_lr", "step_size", "alpha"]),
    ("optimizer.beta1", &["momentum", "beta_1", "rho"]),
    ("optimizer.beta2", &["beta_2"]),
    ("optimizer.decay", &["weight_decay", "wd", "l2"]),
    ("optimizer.clip", &["grad_clip", "gradient_clip", "clip_norm", "max_grad_norm", "max_norm"]),
    ("optimizer.average", &["ema", "ema_decay", "polyak"]),
    ("optimizer.warmup", &["warmup_steps", "num_warmup_steps", "lr_warmup"]),
    ("optimizer.schedule.kind", &["scheduler", "lr_scheduler", "lr_schedule"]),
    ("batch", &["batch_size", "batchsize", "bs", "minibatch"]),
    ("epochs", &["n_epochs", "num_epochs", "max_epochs", "nb_epoch"]),
    ("model.beta", &["kl_weight", "kld_weight", "kl_beta", "beta_vae", "kl_coef"]),
    (
        "model.kl_warmup",
        &["kl_annealing", "kl_anneal", "kl_anneal_steps", "anneal_steps", "beta_warmup"],
    ),
    ("model.latent", &["latent_dim", "latent_dims", "z_dim", "latent_size", "n_latent", "nz"]),
    ("model.hidden", &["hidden_dim", "hidden_size", "hidden_units", "n_hidden", "num_hidden"]),
    ("model.layers", &["num_layers", "n_layers", "depth"]),
    ("seed", &["random_seed", "manual_seed", "rng_seed"]),
    ("data.name", &["dataset", "data_set"]),
    ("patience", &["early_stopping", "early_stop", "early_stopping_patience"]),
];

/// The error about the key that `base`, the table it would be in, does not have.
pub(super) fn unknown(key: &str, base: &Table) -> Error {
    let known = known_keys();
    if known.contains(key) {
        let chosen = base.get("kind").or(base.get("name")).and_then(Value::as_str);
        return Error::Config(format!(
            "the setting \"{key}\" does not apply to {}; leave it out",
            chosen.unwrap_or("the chosen variant")
        ));
    }
    let last = last(key);
    let lower = last.to_lowercase().replace('-', "_");
    let synonym = SYNONYMS.iter().find(|(_, names)| names.contains(&lower.as_str()));
    if let Some((here, _)) = synonym {
        return Error::Config(format!(
            "unknown setting \"{}\"; it is called \"{here}\" here",
            short(&key)
        ));
    }
    let distance = |other: &str| {
        let whole = strsim::damerau_levenshtein(key, other);
        (whole.min(strsim::damerau_levenshtein(last, self::last(other))), whole)
    };
    let nearest = known.iter().min_by_key(|other| distance(other));
    // A third of the letters may differ.
    let near = nearest.filter(|other| distance(other).0 <= (last.chars().count() / 3).max(1));
    match near {
        Some(nearest) => Error::Config(format!(
            "unknown setting \"{}\"; the closest known setting is \"{nearest}\"",
            short(&key)
        )),
        None => Error::Config(format!(
            "unknown setting \"{}\"; the settings are {}",
            short(&key),
            known.into_iter().collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The part of a key behind its last dot.
fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

/// Every key of every preset and variant.
fn known_keys() -> BTreeSet<String> {
    fn walk(table: &Table, path: &str, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                Value::Table(below) => walk(below, &full, keys),
                _ => {
                    keys.insert(full);
                }
            }
        }
    }
    let mut keys: BTreeSet<String> = OPTIONAL.iter().map(|(key, _)| key.to_string()).collect();
    presets::all().for_each(|p| walk(&table_of(&p.config()), "", &mut keys));
    for path in ["model.method", "optimizer.schedule"] {
        let (_, variants) = choice(path).expect("a path of variants");
        variants.iter().for_each(|variant| walk(variant, path, &mut keys));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_programs_are_known() {
        let known = known_keys();
        for (here, names) in SYNONYMS {
            assert!(known.contains(here), "{here} is no setting");
            for name in names {
                assert!(!known.iter().any(|key| last(key) == *name), "{name} is a setting");
            }
        }
        let message = |key: &str| unknown(key, &Table::new()).to_string();
        assert!(message("lr").ends_with("it is called \"optimizer.rate\" here"));
        assert!(message("optimizer.momentum").contains("\"optimizer.beta1\""));
        assert!(message("kl-weight").contains("\"model.beta\""));
        assert!(message("optimizer.rte").contains("closest known setting is \"optimizer.rate\""));
        let listed = message("frobnicate");
        assert!(listed.contains("the settings are batch, ") && listed.contains("model.hidden"));
    }
}
