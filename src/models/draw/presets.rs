//! Presets of DRAW and of its classifier.
//!
//! DRAW, table 3 and section 4. The paper uses Adam, but states no learning rate, batch size or number of epochs.
//! Unless a preset says otherwise, the batch size is 100, the gradient norm is clipped to 5, and the learning rate
//! falls over the run, as in public implementations.

use super::{ClassifierConfig, DrawConfig};
use crate::models::preset::{
    EMBEDDED, EPOCHS, Preset, Recipe, Reference, ReferenceScore, Setting, cosine,
};
use crate::models::{ModelConfig, preset};
use crate::nn::OptimizerConfig;

pub static PRESETS: [Preset; 13] = [
    Preset {
        name: "digits-draw",
        what: "DRAW, 20 glimpses, read and write 3x3, on the digits inside the program: a few minutes",
        departures: &[EMBEDDED, SMALL, OPTIMIZER, EPOCHS],
        make: digits,
    },
    Preset {
        name: "digits-draw-plain",
        what: "DRAW without attention, 12 glimpses, on the same digits",
        departures: &[EMBEDDED, SMALL, OPTIMIZER, EPOCHS],
        make: digits_plain,
    },
    Preset {
        name: "draw-mnist",
        what: "the paper's binarized MNIST: 64 glimpses, 256 units, z 100, read 2x2, write 5x5",
        departures: &[OPTIMIZER, EPOCHS],
        make: mnist,
    },
    Preset {
        name: "draw-mnist-plain",
        what: "the paper's binarized MNIST without attention",
        departures: &[OPTIMIZER, EPOCHS],
        make: mnist_plain,
    },
    Preset {
        name: "binarized-draw",
        what: "our own small model of fixed binarized MNIST: 20 glimpses, 128 units, z 20, read and write \
               3x3: a quarter of an hour",
        departures: &[SMALL, OPTIMIZER, EPOCHS],
        make: binarized,
    },
    Preset {
        name: "binarized-draw-wide",
        what: "our own better model of fixed binarized MNIST: 8 glimpses, read and write 12x12, else the paper's \
               sizes: an hour of one thread",
        departures: &[
            "model: 8 glimpses of 12 x 12 read and written; the paper has 64, reads 2 x 2 and writes 5 x 5",
            "optimizer.average: the weights that are scored are moving averages, which the paper does not have",
            OPTIMIZER,
            EPOCHS,
        ],
        make: binarized_wide,
    },
    Preset {
        name: "draw-two-mnist",
        what: "two digits on 60 x 60 pixels out of MNIST; the paper states no sizes: 32 glimpses, \
               256 units, z 100, read and write 5x5",
        departures: &[SCENES, OPTIMIZER, EPOCHS],
        make: two_mnist,
    },
    Preset {
        name: "draw-svhn",
        what: "the paper's house numbers, 54 x 54 crops: 32 glimpses, 800 units, read and write 12x12 (sizes from \
               memory)",
        departures: &[MEMORY, BERNOULLI, OPTIMIZER, EPOCHS],
        make: svhn,
    },
    Preset {
        name: "draw-cifar10",
        what: "the paper's CIFAR-10: 64 glimpses, 400 units, z 200, read and write 5x5 (sizes from memory)",
        departures: &[MEMORY, BERNOULLI, OPTIMIZER, EPOCHS],
        make: cifar10,
    },
    Preset {
        name: "digits-two",
        what: "two digits on 60 x 60 pixels out of the digits inside the program",
        departures: &[EMBEDDED, SCENES, OPTIMIZER, EPOCHS],
        make: two_digits,
    },
    Preset {
        name: "digits-cluttered",
        what: "a classifier of cluttered digits on 100 x 100 pixels, out of those inside the program: \
               8 glimpses of 12x12",
        departures: &[
            EMBEDDED,
            "data: clutter of our own making, after the paper's description",
            OPTIMIZER,
            EPOCHS,
        ],
        make: cluttered_digits,
    },
    Preset {
        name: "cluttered-mnist-4",
        what: "the paper's cluttered translated MNIST: 4 glimpses of 12x12, 256 units (sizes from memory)",
        departures: &[
            MEMORY,
            "data: clutter of our own making, after the paper's description",
            OPTIMIZER,
            EPOCHS,
        ],
        make: || cluttered("cluttered-mnist-4", 4),
    },
    Preset {
        name: "cluttered-mnist-8",
        what: "the paper's cluttered translated MNIST: 8 glimpses of 12x12, 256 units (sizes from memory)",
        departures: &[
            MEMORY,
            "data: clutter of our own making, after the paper's description",
            OPTIMIZER,
            EPOCHS,
        ],
        make: || cluttered("cluttered-mnist-8", 8),
    },
];

const OPTIMIZER: &str = "optimizer, batch: Adam as in the paper; its rate, its schedule, clipping and the batch are ours, the paper states none";
const SMALL: &str = "model: fewer and smaller glimpses and LSTMs than the paper's (64 glimpses, 256 units, z 100, read 2 x 2, write 5 x 5)";
const MEMORY: &str =
    "model: the sizes are from memory, as no copy of the paper's table was at hand";
const SCENES: &str = "model: the paper states no sizes for two digits";
const BERNOULLI: &str = "loss: grey levels and colours as Bernoulli probabilities, as in the paper; such a bound is no code length";

/// Limit of the gradient norm.
const CLIP: f32 = 5.0;

fn optimizer(rate: f32) -> OptimizerConfig {
    OptimizerConfig { clip: Some(CLIP), ..cosine(rate) }
}

fn draw(name: &str, data: &str, model: DrawConfig) -> Recipe {
    let config = preset::base(name, data, ModelConfig::Draw(model));
    Recipe { optimizer: optimizer(1e-3), ..config }
}

/// With small windows, the model traces digits stroke by stroke.
fn digits() -> Recipe {
    let sizes = DrawConfig { glimpses: 20, hidden: 128, latent: 20, ..DrawConfig::mnist() };
    let config = draw("digits-draw", "digits", DrawConfig { read: 3, write: 3, ..sizes });
    Recipe { epochs: 60, batch: 50, optimizer: optimizer(3e-3), ..config }
}

fn digits_plain() -> Recipe {
    let sizes = DrawConfig { glimpses: 12, hidden: 128, latent: 20, ..DrawConfig::mnist() };
    let config = draw("digits-draw-plain", "digits", DrawConfig { attention: false, ..sizes });
    Recipe { epochs: 40, batch: 50, optimizer: optimizer(3e-3), ..config }
}

fn mnist() -> Recipe {
    draw("draw-mnist", "binarized-mnist", DrawConfig::mnist())
}

/// The small model of [`digits`], on ten times more images.
fn binarized() -> Recipe {
    let small = digits();
    let config = draw("binarized-draw", "binarized-mnist", DrawConfig::mnist());
    let Recipe { model, optimizer, batch, .. } = small;
    Recipe { model, optimizer, batch, epochs: 24, eval_every: 2, ..config }
}

/// The paper's sizes with fewer and wider glimpses, which learn faster per image and per hour.
fn binarized_wide() -> Recipe {
    let model = DrawConfig { glimpses: 8, read: 12, write: 12, ..DrawConfig::mnist() };
    let config = draw("binarized-draw-wide", "binarized-mnist", model);
    let optimizer = OptimizerConfig { average: Some(0.999), warmup: 300, ..optimizer(1.5e-3) };
    Recipe { epochs: 60, batch: 25, optimizer, ..config }
}

fn mnist_plain() -> Recipe {
    let model = DrawConfig { attention: false, ..DrawConfig::mnist() };
    draw("draw-mnist-plain", "binarized-mnist", model)
}

fn two_config() -> DrawConfig {
    DrawConfig { height: 60, width: 60, glimpses: 32, read: 5, ..DrawConfig::mnist() }
}

/// With smaller steps: with a rate of 2e-3 and a norm of 5, the loss diverged after 800 steps.
fn two(name: &str, data: &str, model: DrawConfig) -> Recipe {
    let optimizer = OptimizerConfig { clip: Some(1.0), ..optimizer(8e-4) };
    Recipe { batch: 50, optimizer, ..draw(name, data, model) }
}

fn two_mnist() -> Recipe {
    two("draw-two-mnist", "two-mnist", two_config())
}

fn two_digits() -> Recipe {
    let model = DrawConfig { glimpses: 20, hidden: 192, latent: 30, ..two_config() };
    Recipe { epochs: 60, ..two("digits-two", "two-digits", model) }
}

fn svhn() -> Recipe {
    draw("draw-svhn", "svhn", DrawConfig::svhn())
}

fn cifar10() -> Recipe {
    draw("draw-cifar10", "cifar10", DrawConfig::cifar10())
}

fn classifier(name: &str, data: &str, model: ClassifierConfig) -> Recipe {
    let config = preset::base(name, data, ModelConfig::Classifier(model));
    Recipe { optimizer: optimizer(1e-3), ..config }
}

fn cluttered(name: &str, glimpses: usize) -> Recipe {
    classifier(name, "cluttered-mnist", ClassifierConfig::cluttered(glimpses))
}

fn cluttered_digits() -> Recipe {
    classifier("digits-cluttered", "cluttered-digits", ClassifierConfig::cluttered(8))
}

/// DRAW, tables 1 and 2: error rates on cluttered translated MNIST; upper bounds in nats/image on binarized MNIST.
pub static REFERENCES: &[Reference] = &[
    Reference {
        kind: "draw",
        data: "binarized-mnist",
        settings: &[("attention", Setting::Flag(true))],
        label: "DRAW in the paper",
        score: ReferenceScore::Nats(80.97),
    },
    Reference {
        kind: "draw",
        data: "binarized-mnist",
        settings: &[("attention", Setting::Flag(false))],
        label: "DRAW without attention in the paper, from memory",
        score: ReferenceScore::Nats(87.40),
    },
    Reference {
        kind: "classifier",
        data: "cluttered-mnist",
        settings: &[("glimpses", Setting::Number(4))],
        label: "4 glimpses in the paper, from memory",
        score: ReferenceScore::Percent(4.18),
    },
    Reference {
        kind: "classifier",
        data: "cluttered-mnist",
        settings: &[("glimpses", Setting::Number(8))],
        label: "8 glimpses in the paper, from memory",
        score: ReferenceScore::Percent(3.36),
    },
];
