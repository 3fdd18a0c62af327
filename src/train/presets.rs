//! Named settings: the papers' experiments, and settings of our own that say so.
//!
//! Auto-Encoding Variational Bayes, section 5: Adagrad with a global step size out of {0.01, 0.02,
//! 0.1}, minibatches of 100, L = 1, a weight-decay term that stands for the prior N(0, I) over the
//! weights. The paper states no number of epochs.

use std::path::PathBuf;

use super::{Config, DataConfig, ModelConfig};
use crate::error::{Error, Result};
use crate::models::vae::{Estimator, Method, VaeConfig};
use crate::nn::{OptimizerConfig, Schedule};
use crate::ops::optimizer::Rule;

/// A named group of settings.
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub what: &'static str,
    make: fn() -> Config,
}

/// All presets; the first of a model kind is that kind's default.
pub const PRESETS: [Preset; 6] = [
    Preset {
        name: "digits",
        what: "784-500-20 on the digits inside the program, Adam: a first run of a minute",
        make: digits,
    },
    Preset {
        name: "aevb-mnist",
        what: "the paper's Figure 2 on fixed binarized MNIST: 784-500-20, Adagrad 0.02, weight prior",
        make: aevb_mnist,
    },
    Preset {
        name: "binarized-mnist",
        what: "the same model with Adam and a cosine schedule: the best bound in reasonable time",
        make: binarized_mnist,
    },
    Preset {
        name: "aevb-frey",
        what: "the paper's Figure 2 on Frey face: 560-200-10, Gaussian decoder",
        make: aevb_frey,
    },
    Preset {
        name: "aevb-manifold",
        what: "the paper's Figure 4: two latent dimensions, for `sample --manifold`",
        make: aevb_manifold,
    },
    Preset {
        name: "aevb-marginal",
        what: "the paper's Figure 3: 100 hidden, 3 latent, marginal likelihood as it trains; \
               model.method = sgvb | wake-sleep | monte-carlo-em, data.limit = 1000 for the small set",
        make: aevb_marginal,
    },
];

impl Preset {
    /// The settings.
    pub fn config(&self) -> Config {
        (self.make)()
    }
}

/// The preset of this name. Fails with [`Error::Config`], naming the presets there are.
pub fn find(name: &str) -> Result<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        Error::Config(format!(
            "unknown preset \"{name}\"; there are {}; `pixelloom presets` says what they are",
            names.join(", ")
        ))
    })
}

/// Every method of training the variational auto-encoder, with its usual numbers.
pub const METHODS: [Method; 3] = [
    Method::Sgvb { estimator: Estimator::B, samples: 1 },
    Method::WakeSleep,
    Method::MonteCarloEm { leapfrog: 10, updates: 5 },
];

/// Every schedule, with its usual numbers.
pub const SCHEDULES: [Schedule; 3] = [
    Schedule::Constant,
    Schedule::Step { every: 10_000, factor: 0.5 },
    Schedule::Cosine { total: 0, floor: 0.0 },
];

fn base(name: &str, data: &str, model: VaeConfig) -> Config {
    Config {
        preset: name.into(),
        seed: 1,
        epochs: 100,
        batch: 100,
        log_every: 50,
        eval_every: 5,
        marginal: 0,
        save_every: 0,
        keep: 3,
        weight_prior: false,
        data: DataConfig {
            name: data.into(),
            binarization: None,
            limit: None,
            dir: PathBuf::from("data"),
        },
        model: ModelConfig::Vae(model),
        optimizer: OptimizerConfig::new(Rule::Adam, 1e-3),
    }
}

fn digits() -> Config {
    let config = base("digits", "digits", VaeConfig::mnist(20));
    let schedule = Schedule::Cosine { total: 0, floor: 0.0 };
    let optimizer = OptimizerConfig { rate: 3e-3, schedule, ..config.optimizer };
    Config { epochs: 120, eval_every: 10, optimizer, ..config }
}

/// The paper's optimiser and prior.
fn paper(config: Config) -> Config {
    Config { weight_prior: true, optimizer: OptimizerConfig::new(Rule::Adagrad, 0.02), ..config }
}

fn aevb_mnist() -> Config {
    paper(base("aevb-mnist", "binarized-mnist", VaeConfig::mnist(20)))
}

fn binarized_mnist() -> Config {
    let config = base("binarized-mnist", "binarized-mnist", VaeConfig::mnist(20));
    let schedule = Schedule::Cosine { total: 0, floor: 0.0 };
    let optimizer = OptimizerConfig { schedule, ..config.optimizer };
    Config { epochs: 150, optimizer, ..config }
}

fn aevb_frey() -> Config {
    let config = base("aevb-frey", "frey", VaeConfig::frey(10));
    Config { epochs: 1000, eval_every: 50, ..paper(config) }
}

fn aevb_manifold() -> Config {
    paper(base("aevb-manifold", "binarized-mnist", VaeConfig::mnist(2)))
}

fn aevb_marginal() -> Config {
    let config = base("aevb-marginal", "binarized-mnist", VaeConfig::marginal(METHODS[0]));
    Config { marginal: 1000, ..paper(config) }
}
