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
        what: "784-500-20 on the embedded digits, Adam; trains in half a minute",
        departures: &[EMBEDDED, ADAM, NO_PRIOR, EPOCHS],
        make: digits,
    },
    Preset {
        name: "aevb-mnist",
        what: "figure 2 of the paper on fixed binarized MNIST: 784-500-20, Adagrad at 0.02, weight prior",
        departures: &[
            FIXED,
            RATE,
            EPOCHS,
            "model.latent = 20: one of the five values in the paper",
        ],
        make: aevb_mnist,
    },
    Preset {
        name: "binarized-mnist",
        what: "784-500-20 on fixed binarized MNIST, Adam with a cosine schedule; a better bound than aevb-mnist",
        departures: &[FIXED, ADAM, NO_PRIOR, EPOCHS],
        make: binarized_mnist,
    },
    Preset {
        name: "aevb-frey",
        what: "figure 2 of the paper on Frey faces: 560-200-10, Gaussian decoder",
        departures: &[
            RATE,
            EPOCHS,
            "data: shuffled with a seed and split into 1,565, 200 and 200 images; the paper states no split",
            "model.latent = 10: one of the four values in the paper (from memory)",
        ],
        make: aevb_frey,
    },
    Preset {
        name: "aevb-manifold",
        what: "figure 4 of the paper: two latent dimensions, for sample --manifold",
        departures: &[FIXED, RATE, EPOCHS],
        make: aevb_manifold,
    },
    Preset {
        name: "aevb-marginal",
        what: "figure 3 of the paper: 784-100-3, estimates log p(x) while it trains; choose model.method = sgvb, \
               wake-sleep or monte-carlo-em, and data.limit = 1000 for the small training set",
        departures: &[
            FIXED,
            RATE,
            EPOCHS,
            "marginal: log p(x) of 1,000 training and 1,000 validation images; the paper uses training and test images",
            "marginal: burn-in and thinning of the chains are our choice; the paper does not state them",
        ],
        make: aevb_marginal,
    },
];

const ADAM: &str = "optimizer: Adam with a cosine schedule; the paper uses Adagrad";
const NO_PRIOR: &str = "weight_prior = false: no prior over the weights; the paper uses N(0, I)";
const RATE: &str = "optimizer.rate = 0.02: the paper chose 0.01, 0.02 or 0.1 by the progress of the first training steps";
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
