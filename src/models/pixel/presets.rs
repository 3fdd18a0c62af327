//! Presets of the pixel models.
//!
//! Pixel Recurrent Neural Networks, section 5, uses RMSProp with a learning rate chosen by hand for every data
//! set (it states none; 1e-3 is ours), minibatches of 16 on MNIST and CIFAR-10 and of 32 to 64 on
//! ImageNet, and at most scaling and centring of the inputs. It states no number of epochs, and no sizes of a
//! PixelCNN or a Row LSTM on MNIST.

use super::{Body, MultiScaleConfig, PixelConfig};
use crate::models::ModelConfig;
use crate::models::preset::{
    EMBEDDED, EPOCHS, Preset, Recipe, Reference, ReferenceScore, Setting, base, cosine,
};
use crate::nn::{Decay, OptimizerConfig, Schedule};
use crate::ops::optimizer::Rule;

pub static PRESETS: [Preset; 24] = [
    Preset {
        name: "digits-pixelcnn",
        what: "PixelCNN, 5 layers of 16 with 7 x 7 convolutions (the paper: 3 x 3), on the embedded digits, Adam; trains \
               in a few minutes",
        departures: &[EMBEDDED, ADAM, WIDE, NO_SIZE, EPOCHS, CENTRED],
        make: || digits("digits-pixelcnn", ModelConfig::pixel(Body::PixelCnn, wide(5, 16))),
    },
    Preset {
        name: "digits-classes",
        what: "class-conditional PixelCNN, like digits-pixelcnn with the label of each image as an input; draws the digit \
               that --class names; trains in a few minutes",
        departures: &[EMBEDDED, ADAM, WIDE, CLASSES, NO_SIZE, EPOCHS, CENTRED],
        make: || {
            let net = PixelConfig { classes: 10, ..wide(5, 16) };
            digits("digits-classes", ModelConfig::pixel(Body::PixelCnn, net))
        },
    },
    Preset {
        name: "digits-rowlstm",
        what: "Row LSTM, 2 layers of 16, on the embedded digits, Adam; trains in a few minutes",
        departures: &[EMBEDDED, ADAM, NO_SIZE, ZERO_STATES, EPOCHS, CENTRED],
        make: || digits("digits-rowlstm", ModelConfig::pixel(Body::RowLstm, centred(2, 16))),
    },
    Preset {
        name: "digits-diagbilstm",
        what: "Diagonal BiLSTM, 2 layers of 16, on the embedded digits, Adam; trains in a few minutes",
        departures: &[
            EMBEDDED,
            ADAM,
            "model.layers = 2: the paper's models have 7 layers of 16, or 1 of 32",
            ZERO_STATES,
            EPOCHS,
            CENTRED,
        ],
        make: || digits("digits-diagbilstm", ModelConfig::pixel(Body::DiagBilstm, centred(2, 16))),
    },
    Preset {
        name: "digits-multiscale",
        what: "Multi-Scale (14 x 14, then 28 x 28) of two PixelCNNs like digits-pixelcnn, on the embedded digits, Adam; \
               trains in a few minutes",
        departures: &[
            EMBEDDED,
            ADAM,
            "model: the stages are PixelCNNs; the paper uses Row LSTMs, on ImageNet",
            WIDE,
            EPOCHS,
            CENTRED,
        ],
        make: digits_multiscale,
    },
    Preset {
        name: "mnist-pixelcnn",
        what: "the paper's settings for fixed binarized MNIST: PixelCNN, RMSProp, batch size 16; 7 layers of 32, as the \
               paper states no size",
        departures: &[NO_SIZE, RATE, EPOCHS, CENTRED],
        make: || mnist("mnist-pixelcnn", Body::PixelCnn, 7, 32),
    },
    Preset {
        name: "mnist-rowlstm",
        what: "the paper's settings for fixed binarized MNIST: Row LSTM, RMSProp, batch size 16; 7 layers of 16, as the \
               paper states no size",
        departures: &[NO_SIZE, RATE, EPOCHS, CENTRED],
        make: || mnist("mnist-rowlstm", Body::RowLstm, 7, 16),
    },
    Preset {
        name: "mnist-diagbilstm-1",
        what: "the paper's smaller model of fixed binarized MNIST: Diagonal BiLSTM, 1 layer of 32, RMSProp, batch size \
               16",
        departures: &[RATE, EPOCHS, CENTRED],
        make: || mnist("mnist-diagbilstm-1", Body::DiagBilstm, 1, 32),
    },
    Preset {
        name: "mnist-diagbilstm-7",
        what: "the paper's best model of fixed binarized MNIST: Diagonal BiLSTM, 7 layers of 16, RMSProp, batch size \
               16",
        departures: &[RATE, EPOCHS, CENTRED],
        make: || mnist("mnist-diagbilstm-7", Body::DiagBilstm, 7, 16),
    },
    Preset {
        name: "binarized-pixelcnn",
        what: "fixed binarized MNIST with our training: PixelCNN, 12 layers of 16, Adam with a rate that falls in steps, \
               averaged weights",
        departures: &[ADAM, NO_SIZE, CLIPPED, MEAN_WEIGHTS, EPOCHS, CENTRED],
        make: binarized_pixelcnn,
    },
    Preset {
        name: "binarized-pixelcnn-32",
        what: "fixed binarized MNIST with our training: PixelCNN, 12 layers of 32, Adam, cosine, averaged weights",
        departures: &[
            ADAM,
            NO_SIZE,
            CLIPPED,
            MEAN_WEIGHTS,
            "batch = 32: it is 16 in the paper",
            EPOCHS,
            CENTRED,
        ],
        make: binarized_pixelcnn_32,
    },
    Preset {
        name: "binarized-pixelcnn-64",
        what: "fixed binarized MNIST with our training: PixelCNN, 12 layers of 64, Adam, cosine, averaged weights, dropout; \
               for a GPU",
        departures: &[
            ADAM,
            NO_SIZE,
            CLIPPED,
            MEAN_WEIGHTS,
            "batch = 64: it is 16 in the paper",
            "model.head = 64, model.dropout = 0.2: the paper has a head of 32 and no dropout",
            EPOCHS,
            CENTRED,
        ],
        make: binarized_pixelcnn_64,
    },
    Preset {
        name: "binarized-pixelcnn-wide",
        what: "fixed binarized MNIST with our training: PixelCNN, 7 layers of 32 with 7 x 7 convolutions (the paper: \
               3 x 3), Adam, cosine, weight decay, averaged weights; trains in less than two hours",
        departures: &[ADAM, WIDE, NO_SIZE, AVERAGED, EPOCHS, CENTRED],
        make: || binarized_wide("binarized-pixelcnn-wide", Body::PixelCnn, (7, 32), 0.03),
    },
    Preset {
        name: "binarized-rowlstm",
        what: "fixed binarized MNIST with our training: Row LSTM, 7 layers of 16, Adam, cosine",
        departures: &[ADAM, NO_SIZE, CLIPPED, ZERO_STATES, EPOCHS, CENTRED],
        make: || binarized("binarized-rowlstm", Body::RowLstm, (7, 16), 24),
    },
    Preset {
        name: "binarized-rowlstm-wide",
        what: "fixed binarized MNIST with our training: Row LSTM, 7 layers of 16 with k = 7 (the paper: 3), Adam, cosine, \
               weight decay, averaged weights; trains in an hour",
        departures: &[ADAM, WIDE, NO_SIZE, AVERAGED, ZERO_STATES, EPOCHS, CENTRED],
        make: || binarized_wide("binarized-rowlstm-wide", Body::RowLstm, (7, 16), 0.04),
    },
    Preset {
        name: "binarized-diagbilstm-1",
        what: "fixed binarized MNIST with our training: Diagonal BiLSTM, 1 layer of 32 as in the paper, Adam, cosine",
        departures: &[ADAM, CLIPPED, ZERO_STATES, EPOCHS, CENTRED],
        make: || binarized("binarized-diagbilstm-1", Body::DiagBilstm, (1, 32), 36),
    },
    Preset {
        name: "binarized-diagbilstm",
        what: "fixed binarized MNIST with our training: Diagonal BiLSTM, 7 layers of 16 as in the paper, Adam, cosine",
        departures: &[ADAM, CLIPPED, ZERO_STATES, EPOCHS, CENTRED],
        make: || binarized("binarized-diagbilstm", Body::DiagBilstm, (7, 16), 24),
    },
    Preset {
        name: "cifar10-pixelcnn",
        what: "the paper's settings for CIFAR-10: PixelCNN, 15 layers of 128, RMSProp, batch size 16",
        departures: &[RATE, EPOCHS, COLOUR],
        make: || cifar10("cifar10-pixelcnn", Body::PixelCnn, 15),
    },
    Preset {
        name: "cifar10-rowlstm",
        what: "the paper's settings for CIFAR-10: Row LSTM, 12 layers of 128, RMSProp, batch size 16",
        departures: &[RATE, EPOCHS, COLOUR],
        make: || cifar10("cifar10-rowlstm", Body::RowLstm, 12),
    },
    Preset {
        name: "cifar10-diagbilstm",
        what: "the paper's settings for CIFAR-10: Diagonal BiLSTM, 12 layers of 128, RMSProp, batch size 16",
        departures: &[RATE, EPOCHS, COLOUR],
        make: || cifar10("cifar10-diagbilstm", Body::DiagBilstm, 12),
    },
    Preset {
        name: "cifar10-small",
        what: "the first fifth of CIFAR-10 with a small model, not in the paper: PixelCNN, 4 layers of 48, Adam",
        departures: &[
            "data: the first fifth of the training images",
            ADAM,
            "model: 4 layers of 48 and a head of 128; the paper has 15 layers of 128 and a head of 1024",
            CLIPPED,
            EPOCHS,
            COLOUR,
        ],
        make: cifar10_small,
    },
    Preset {
        name: "imagenet32-rowlstm",
        what: "the paper's settings for ImageNet 32 x 32 (PNG files in data/imagenet32, or --data folder:PATH): Row LSTM, \
               12 layers of 384, RMSProp, batch size 64",
        departures: &[RATE, EPOCHS, COLOUR],
        make: || imagenet("imagenet32-rowlstm", 32, 64, rows(imagenet32())),
    },
    Preset {
        name: "imagenet64-rowlstm",
        what: "the paper's settings for ImageNet 64 x 64 (PNG files in data/imagenet64, or --data folder:PATH): Row LSTM, \
               4 layers of 512, no residual connections, RMSProp, batch size 32",
        departures: &[RATE, EPOCHS, COLOUR],
        make: || imagenet("imagenet64-rowlstm", 64, 32, rows(imagenet64())),
    },
    Preset {
        name: "imagenet64-multiscale",
        what: "the paper's Multi-Scale model of ImageNet 64 x 64 (files as for imagenet64-rowlstm): Row LSTMs, 32 x 32, \
               then 64 x 64, both of the sizes of imagenet64-rowlstm",
        departures: &[
            RATE,
            EPOCHS,
            "model: both stages have the sizes of imagenet64-rowlstm; the paper does not state theirs",
            COLOUR,
        ],
        make: || {
            let chain = MultiScaleConfig::new(Body::RowLstm, imagenet64(), vec![2]);
            imagenet("imagenet64-multiscale", 64, 32, ModelConfig::MultiScale(chain))
        },
    },
];

const ADAM: &str =
    "optimizer: Adam with a falling rate; the paper uses RMSProp with a rate chosen by hand";
const RATE: &str =
    "optimizer.rate = 0.001: our choice; the paper chose a rate for each data set and states none";
const ZERO_STATES: &str = "model.learned_states = false: the states outside the image are 0; in the paper they are learned";
const CENTRED: &str = "model.mean, model.deviation: those of MNIST; the paper scales and centres its inputs, but does not state how";
const AVERAGED: &str = "optimizer: gradient clipping, decoupled weight decay and averaged weights; the paper mentions none of them";
const CLIPPED: &str = "optimizer.clip: gradients are clipped; the paper does not mention it";
const MEAN_WEIGHTS: &str =
    "optimizer.average: a moving average of the weights is scored; the paper does not mention one";
const WIDE: &str = "model.kernel = 7: it is 3 in the paper";
const CLASSES: &str = "model.classes = 10: a bias for each class in every layer; the models of this paper use no labels";
const NO_SIZE: &str = "model.layers, model.hidden: our choice; the paper does not state the size of this model on MNIST";
const COLOUR: &str = "model.mean = 0.5, model.deviation = 0.25: our choice; the paper scales and centres its inputs, but does not state how";

/// With MNIST's mean and standard deviation. After centring, black differs from the zeros outside the image, so a PixelCNN,
/// whose receptive field is limited, can tell its position near a border.
fn centred(layers: usize, hidden: usize) -> PixelConfig {
    PixelConfig { mean: 0.13, std: 0.31, ..PixelConfig::mnist(layers, hidden) }
}

/// The same with 7 x 7 convolutions. With the same number of layers they are far better than 3 x 3: the receptive field
/// includes more rows above, and more pixels to the right in them.
fn wide(layers: usize, hidden: usize) -> PixelConfig {
    PixelConfig { kernel: 7, ..centred(layers, hidden) }
}

/// Our own settings, for training runs of a few minutes.
fn digits(name: &str, model: ModelConfig) -> Recipe {
    let config = base(name, "digits", model);
    Recipe { epochs: 12, batch: 16, eval_every: 2, optimizer: cosine(3e-3), ..config }
}

fn digits_multiscale() -> Recipe {
    let chain = MultiScaleConfig::new(Body::PixelCnn, wide(5, 16), vec![2]);
    digits("digits-multiscale", ModelConfig::MultiScale(chain))
}

/// The paper's optimiser and batch size; the learning rate is ours.
fn paper(config: Recipe, batch: usize) -> Recipe {
    let optimizer = OptimizerConfig::new(Rule::RmsProp, 1e-3);
    Recipe { batch, eval_every: 1, optimizer, ..config }
}

/// Whether a model has states outside the image, which the paper learns (section 3.1).
fn has_states(body: Body) -> bool {
    body != Body::PixelCnn
}

/// Section 5.5.
fn mnist(name: &str, body: Body, layers: usize, hidden: usize) -> Recipe {
    let net = PixelConfig { learned_states: has_states(body), ..centred(layers, hidden) };
    paper(base(name, "binarized-mnist", ModelConfig::pixel(body, net)), 16)
}

/// The same data, with training methods that the paper does not use.
fn binarized(name: &str, body: Body, (layers, hidden): (usize, usize), epochs: u64) -> Recipe {
    let model = ModelConfig::pixel(body, centred(layers, hidden));
    let optimizer = OptimizerConfig { clip: Some(1.0), ..cosine(3e-3) };
    let config = base(name, "binarized-mnist", model);
    Recipe { epochs, batch: 16, eval_every: 1, optimizer, ..config }
}

/// Ten epochs at each learning rate, so that training can be extended.
fn binarized_pixelcnn() -> Recipe {
    let config = binarized("binarized-pixelcnn", Body::PixelCnn, (12, 16), 60);
    let schedule = Schedule::Step { every: 31_250, factor: 0.3 };
    let optimizer = OptimizerConfig { schedule, average: Some(0.999), ..config.optimizer };
    Recipe { optimizer, ..config }
}

/// Eight epochs, which take a GPU minutes.
fn binarized_pixelcnn_32() -> Recipe {
    let config = binarized("binarized-pixelcnn-32", Body::PixelCnn, (12, 32), 8);
    let optimizer = OptimizerConfig { warmup: 300, average: Some(0.999), ..config.optimizer };
    Recipe { batch: 32, optimizer, ..config }
}

/// Forty epochs, eight minutes of an H100.
fn binarized_pixelcnn_64() -> Recipe {
    let config = binarized("binarized-pixelcnn-64", Body::PixelCnn, (12, 64), 40);
    let net = PixelConfig { head: 64, dropout: 0.2, ..centred(12, 64) };
    let optimizer =
        OptimizerConfig { rate: 2e-3, warmup: 300, average: Some(0.9995), ..config.optimizer };
    Recipe { batch: 64, optimizer, model: ModelConfig::pixel(Body::PixelCnn, net), ..config }
}

/// With [`wide`] kernels, and weight decay against overfitting. An hour or more on two cores.
fn binarized_wide(name: &str, body: Body, (layers, hidden): (usize, usize), decay: f32) -> Recipe {
    let config = binarized(name, body, (layers, hidden), 16);
    let optimizer = OptimizerConfig {
        rate: 2.5e-3,
        decay,
        decay_kind: Decay::Decoupled,
        warmup: 300,
        average: Some(0.9995),
        ..config.optimizer
    };
    Recipe { optimizer, model: ModelConfig::pixel(body, wide(layers, hidden)), ..config }
}

/// Section 5.6.
fn cifar10(name: &str, body: Body, layers: usize) -> Recipe {
    let sizes = PixelConfig::colour(32, layers, 128);
    let net = PixelConfig { learned_states: has_states(body), ..sizes };
    paper(base(name, "cifar10", ModelConfig::pixel(body, net)), 16)
}

fn cifar10_small() -> Recipe {
    let net = PixelConfig { head: 128, ..PixelConfig::colour(32, 4, 48) };
    let config = base("cifar10-small", "cifar10-batch1", ModelConfig::pixel(Body::PixelCnn, net));
    let optimizer = OptimizerConfig { clip: Some(1.0), ..cosine(1e-3) };
    Recipe { epochs: 20, batch: 16, eval_every: 2, optimizer, ..config }
}

/// Section 5.7, 32 x 32.
fn imagenet32() -> PixelConfig {
    PixelConfig { learned_states: true, ..PixelConfig::colour(32, 12, 384) }
}

/// Section 5.7, 64 x 64.
fn imagenet64() -> PixelConfig {
    PixelConfig { residual: false, learned_states: true, ..PixelConfig::colour(64, 4, 512) }
}

fn rows(net: PixelConfig) -> ModelConfig {
    ModelConfig::pixel(Body::RowLstm, net)
}

/// The paper's minibatches: 64 images of 32 x 32, 32 of 64 x 64.
fn imagenet(name: &str, side: usize, batch: usize, model: ModelConfig) -> Recipe {
    let data = format!("folder:data/imagenet{side}");
    Recipe { epochs: 10, ..paper(base(name, &data, model), batch) }
}

/// Tables 4, 5 and 6. There are none for dynamically binarized MNIST, whose scores cannot be compared. 3.14 is a
/// result, not pi. ImageNet is recognised by the folder in the presets.
#[allow(clippy::approx_constant)]
pub static REFERENCES: &[Reference] = &[
    Reference {
        kind: "pixelcnn",
        data: "binarized-mnist",
        settings: &[],
        label: "PixelCNN in the paper, from memory",
        score: ReferenceScore::Nats(81.30),
    },
    Reference {
        kind: "rowlstm",
        data: "binarized-mnist",
        settings: &[],
        label: "Row LSTM in the paper, from memory",
        score: ReferenceScore::Nats(80.54),
    },
    Reference {
        kind: "diagbilstm",
        data: "binarized-mnist",
        settings: &[("layers", Setting::Number(1))],
        label: "Diagonal BiLSTM of 1 layer in the paper",
        score: ReferenceScore::Nats(80.75),
    },
    Reference {
        kind: "diagbilstm",
        data: "binarized-mnist",
        settings: &[("layers", Setting::Number(7))],
        label: "Diagonal BiLSTM of 7 layers in the paper",
        score: ReferenceScore::Nats(79.20),
    },
    Reference {
        kind: "pixelcnn",
        data: "cifar10",
        settings: &[("levels", Setting::Number(256))],
        label: "PixelCNN in the paper (3.14 bits/dim)",
        score: ReferenceScore::Bits(3.14, 3072.0),
    },
    Reference {
        kind: "rowlstm",
        data: "cifar10",
        settings: &[("levels", Setting::Number(256))],
        label: "Row LSTM in the paper (3.07 bits/dim)",
        score: ReferenceScore::Bits(3.07, 3072.0),
    },
    Reference {
        kind: "diagbilstm",
        data: "cifar10",
        settings: &[("levels", Setting::Number(256))],
        label: "Diagonal BiLSTM in the paper (3.00 bits/dim)",
        score: ReferenceScore::Bits(3.00, 3072.0),
    },
    Reference {
        kind: "rowlstm",
        data: "folder:data/imagenet32",
        settings: &[],
        label: "Row LSTM in the paper (3.86 bits/dim)",
        score: ReferenceScore::Bits(3.86, 3072.0),
    },
    Reference {
        kind: "rowlstm",
        data: "folder:data/imagenet64",
        settings: &[],
        label: "Row LSTM in the paper (3.63 bits/dim)",
        score: ReferenceScore::Bits(3.63, 12_288.0),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every known departure from the PixelRNN paper must be listed, by the key of its setting, and no other.
    #[test]
    fn departures_of_pixel_models_are_named() {
        for preset in &PRESETS {
            let config = preset.recipe();
            let (net, has_states) = match &config.model {
                ModelConfig::PixelCnn(net) => (net.0, false),
                ModelConfig::RowLstm(net) => (net.0, true),
                ModelConfig::DiagBilstm(net) => (net.0, true),
                ModelConfig::MultiScale(chain) => (chain.stages()[0], chain.body != Body::PixelCnn),
                other => panic!("{} is no pixel model", other.kind()),
            };
            let departs = [
                ("model.learned_states", has_states && !net.learned_states),
                ("model.kernel", net.kernel != 3),
                ("optimizer: Adam", config.optimizer.rule != Rule::RmsProp),
                ("optimizer.rate", config.optimizer.rule == Rule::RmsProp),
                ("model.mean", net.mean != 0.0),
                ("epochs", true),
            ];
            for (key, departs) in departs {
                let says = preset.departures.iter().any(|text| text.starts_with(key));
                assert_eq!(says, departs, "{}: {key}", preset.name);
            }
        }
    }
}
