//! Presets of the variational auto-encoder.
//!
//! Auto-Encoding Variational Bayes, section 5: Adagrad with a global step size chosen from {0.01, 0.02,
//! 0.1}, minibatches of 100, L = 1, and weight decay for the prior N(0, I) over the
//! weights. The paper states no number of epochs.

use super::{METHODS, VaeConfig};
use crate::models::preset::{EMBEDDED, EPOCHS, Preset, Recipe, Reference, cosine};
use crate::models::{ModelConfig, preset};
use crate::nn::OptimizerConfig;
use crate::ops::optimizer::Rule;

pub static PRESETS: [Preset; 6] = [
    Preset {
        name: "digits",
        what: "784-500-20 on the digits inside the program, Adam: a first run of half a minute",
        departures: &[EMBEDDED, ADAM, NO_PRIOR, EPOCHS],
        make: digits,
    },
    Preset {
        name: "aevb-mnist",
        what: "the paper's Figure 2 on fixed binarized MNIST: 784-500-20, Adagrad 0.02, weight prior",
        departures: &[FIXED, RATE, EPOCHS, "model.latent = 20: one of the paper's five values"],
        make: aevb_mnist,
    },
    Preset {
        name: "binarized-mnist",
        what: "the same model with Adam and a cosine schedule: the best bound in reasonable time",
        departures: &[FIXED, ADAM, NO_PRIOR, EPOCHS],
        make: binarized_mnist,
    },
    Preset {
        name: "aevb-frey",
        what: "the paper's Figure 2 on Frey face: 560-200-10, Gaussian decoder",
        departures: &[
            RATE,
            EPOCHS,
            "data: a seeded shuffle into 1,565, 200 and 200 images; the paper states no split",
            "model.latent = 10: one of the paper's four values (from memory)",
        ],
        make: aevb_frey,
    },
    Preset {
        name: "aevb-manifold",
        what: "the paper's Figure 4: two latent dimensions, for `sample --manifold`",
        departures: &[FIXED, RATE, EPOCHS],
        make: aevb_manifold,
    },
    Preset {
        name: "aevb-marginal",
        what: "the paper's Figure 3: 100 hidden, 3 latent, marginal likelihood as it trains; \
               model.method = sgvb | wake-sleep | monte-carlo-em, data.limit = 1000 for the small set",
        departures: &[
            FIXED,
            RATE,
            EPOCHS,
            "marginal: 1,000 images each of the training and the validation split; the paper: training and test images",
            "marginal: the burn-in and thinning of the chains are ours, the paper states none",
        ],
        make: aevb_marginal,
    },
];

const ADAM: &str = "optimizer: Adam with a cosine schedule; the paper: Adagrad";
const NO_PRIOR: &str = "weight_prior = false: no prior over the weights; the paper has N(0, I)";
const RATE: &str =
    "optimizer.rate = 0.02: the paper chose 0.01, 0.02 or 0.1 by the first training steps";
const FIXED: &str =
    "data: the fixed binarization of MNIST; the paper does not say how it binarized";

fn base(name: &str, data: &str, model: VaeConfig) -> Recipe {
    preset::base(name, data, ModelConfig::Vae(model))
}

fn digits() -> Recipe {
    let config = base("digits", "digits", VaeConfig::mnist(20));
    Recipe { epochs: 120, eval_every: 10, optimizer: cosine(3e-3), ..config }
}

/// The paper's optimiser and prior.
fn paper(config: Recipe) -> Recipe {
    Recipe { weight_prior: true, optimizer: OptimizerConfig::new(Rule::Adagrad, 0.02), ..config }
}

fn aevb_mnist() -> Recipe {
    paper(base("aevb-mnist", "binarized-mnist", VaeConfig::mnist(20)))
}

fn binarized_mnist() -> Recipe {
    let config = base("binarized-mnist", "binarized-mnist", VaeConfig::mnist(20));
    Recipe { epochs: 150, optimizer: cosine(1e-3), ..config }
}

fn aevb_frey() -> Recipe {
    let config = base("aevb-frey", "frey", VaeConfig::frey(10));
    Recipe { epochs: 1000, eval_every: 50, ..paper(config) }
}

fn aevb_manifold() -> Recipe {
    paper(base("aevb-manifold", "binarized-mnist", VaeConfig::mnist(2)))
}

fn aevb_marginal() -> Recipe {
    let config = base("aevb-marginal", "binarized-mnist", VaeConfig::marginal(METHODS[0]));
    Recipe { marginal: 1000, ..paper(config) }
}

/// Empty: the AEVB paper shows curves but states no numbers.
pub static REFERENCES: &[Reference] = &[];
