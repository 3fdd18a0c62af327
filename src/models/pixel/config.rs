//! Sizes of the pixel models, and the paper's settings.
//!
//! Pixel Recurrent Neural Networks, table 1 and section 5: MNIST with a Diagonal BiLSTM of 7 layers of
//! 16 (or 1 of 32); CIFAR-10 with 12 layers of 128 (PixelCNN 15); ImageNet 32 x 32 with a Row LSTM of
//! 12 layers of 384, 64 x 64 of 4 layers of 512 without residual connections. Output layers have
//! 32 maps for MNIST and 1024 for the colour sets.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::models::{indexable, product};

/// What the layers between the first convolution and the output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// Residual blocks with a masked convolution, 3 x 3 in the paper.
    PixelCnn,
    /// Row LSTM layers.
    RowLstm,
    /// Diagonal BiLSTM layers.
    DiagBilstm,
}

/// Configuration of a [`super::PixelModel`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelConfig {
    /// Image height.
    pub height: usize,
    /// Image width.
    pub width: usize,
    /// 1 (grey, binary) or 3 (red, green, blue, in this order).
    pub channels: usize,
    /// Values of a channel: 2 (one sigmoid) to 256 (softmax).
    pub levels: usize,
    /// Layers of the body.
    pub layers: usize,
    /// Maps h of a layer; between layers there are 2 h.
    pub hidden: usize,
    /// Side of a PixelCNN layer's masked convolution; k of a Row LSTM's 1 x k ones. Odd; 3 is the paper, and
    /// what the Diagonal BiLSTM, whose convolutions have a size of their own, leaves it at.
    #[serde(default = "paper_kernel")]
    pub kernel: usize,
    /// Maps of the two output layers.
    pub head: usize,
    /// Add each layer's input to its output.
    pub residual: bool,
    /// Learned connections from every layer to the output.
    pub skip: bool,
    /// Learn the LSTM's states outside the image; else they are 0.
    pub learned_states: bool,
    /// The rate of dropout on what the last 1 x 1 convolution of a layer reads, while training; 0 is the paper.
    #[serde(default)]
    pub dropout: f32,
    /// The network reads (x - mean) / deviation, x in \[0, 1\].
    pub mean: f32,
    /// See `mean`.
    pub deviation: f32,
}

/// Configuration of a [`super::MultiScale`]: sizes of the images, and of each of its networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiScaleConfig {
    /// What the layers are.
    pub body: Body,
    /// Image height.
    pub height: usize,
    /// Image width.
    pub width: usize,
    /// 1 (grey, binary) or 3 (red, green, blue, in this order).
    pub channels: usize,
    /// Values of a channel: 2 (one sigmoid) to 256 (softmax).
    pub levels: usize,
    /// How much larger each conditional stage's images are than the stage's before; the last stage
    /// has the images' size. \[2\] is the paper's: s x s, then 2s x 2s.
    pub factors: Vec<usize>,
    /// Train this stage alone (0 is the unconditional one); all of them if absent. They share no
    /// weight, so training all together is training each.
    pub stage: Option<usize>,
    /// Maps of the upsampled image that the layers of a conditional stage see.
    pub condition: usize,
    /// Layers of each network.
    pub layers: usize,
    /// Maps h of a layer; between layers there are 2 h.
    pub hidden: usize,
    /// Side of a PixelCNN layer's masked convolution; k of a Row LSTM's 1 x k ones. Odd; 3 is the paper, and
    /// what the Diagonal BiLSTM, whose convolutions have a size of their own, leaves it at.
    #[serde(default = "paper_kernel")]
    pub kernel: usize,
    /// Maps of the two output layers.
    pub head: usize,
    /// Add each layer's input to its output.
    pub residual: bool,
    /// Learned connections from every layer to the output.
    pub skip: bool,
    /// Learn the LSTM's states outside the image; else they are 0.
    pub learned_states: bool,
    /// The rate of dropout on what the last 1 x 1 convolution of a layer reads, while training; 0 is the paper.
    #[serde(default)]
    pub dropout: f32,
    /// The networks read (x - mean) / deviation, x in \[0, 1\].
    pub mean: f32,
    /// See `mean`.
    pub deviation: f32,
}

fn paper_kernel() -> usize {
    3
}

fn bad<T>(key: &str, value: impl std::fmt::Debug, rule: &str) -> Result<T> {
    Err(Error::Config(format!("model.{key} = {value:?}: it must {rule}")))
}

impl PixelConfig {
    /// Numbers of an image.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Colour groups of the masks.
    pub fn groups(&self) -> usize {
        self.channels
    }

    /// Maps of the last layer: a logit for a binary channel, else one for every level.
    pub fn outputs(&self) -> usize {
        product(&[self.channels, if self.levels == 2 { 1 } else { self.levels }])
    }

    /// The widest map of a pixel.
    pub fn widest(&self) -> usize {
        product(&[8, self.hidden]).max(self.head).max(self.outputs())
    }

    /// Rejects sizes that make no model of such layers. Fails with [`Error::Config`].
    pub fn check(&self, body: Body) -> Result<()> {
        for (key, value, most) in [
            ("height", self.height, 4096),
            ("width", self.width, 4096),
            ("layers", self.layers, 1000),
            ("hidden", self.hidden, 1 << 14),
            ("head", self.head, 1 << 14),
        ] {
            if value == 0 || value > most {
                return bad(key, value, &format!("lie between 1 and {most}"));
            }
        }
        if ![1, 3].contains(&self.channels) {
            return bad("channels", self.channels, "be 1 (grey) or 3 (red, green, blue)");
        }
        if !(2..=256).contains(&self.levels) {
            return bad("levels", self.levels, "lie between 2 and 256");
        }
        for (key, value) in [("hidden", self.hidden), ("head", self.head)] {
            if value < self.channels {
                return bad(key, value, "be at least the number of channels, one map a colour");
            }
        }
        if body == Body::DiagBilstm && self.kernel != paper_kernel() {
            return bad("kernel", self.kernel, "be 3: a Diagonal BiLSTM has no kernel to widen");
        }
        if self.kernel.is_multiple_of(2) || self.kernel > 31 {
            return bad("kernel", self.kernel, "be odd and at most 31");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bad("dropout", self.dropout, "be at least 0 and below 1");
        }
        if !self.mean.is_finite() {
            return bad("mean", self.mean, "be finite");
        }
        if !(self.deviation > 0.0 && self.deviation.is_finite()) {
            return bad("deviation", self.deviation, "be above 0 and finite");
        }
        // Of all weights only these grow beyond 32 bits within the limits above.
        let (h, k) = (self.hidden, self.kernel);
        match body {
            Body::PixelCnn => {
                indexable("a layer's convolution", &[h, h, k, k], "model.hidden or model.kernel")
            }
            Body::RowLstm => {
                indexable("an LSTM's weights", &[4 * h, 2 * h, k], "model.hidden or model.kernel")
            }
            Body::DiagBilstm => indexable("an LSTM's weights", &[4 * h, 2 * h], "model.hidden"),
        }
    }

    /// MNIST, section 5.5: `layers` layers of `hidden`, one sigmoid a pixel.
    pub fn mnist(layers: usize, hidden: usize) -> PixelConfig {
        PixelConfig {
            height: 28,
            width: 28,
            channels: 1,
            levels: 2,
            layers,
            hidden,
            kernel: paper_kernel(),
            head: 32,
            residual: true,
            skip: false,
            learned_states: false,
            dropout: 0.0,
            mean: 0.0,
            deviation: 1.0,
        }
    }

    /// CIFAR-10 and ImageNet, sections 5.6 and 5.7: 256-way softmax, inputs scaled and centred.
    pub fn colour(side: usize, layers: usize, hidden: usize) -> PixelConfig {
        PixelConfig {
            height: side,
            width: side,
            channels: 3,
            levels: 256,
            head: 1024,
            mean: 0.5,
            deviation: 0.25,
            ..PixelConfig::mnist(layers, hidden)
        }
    }
}

impl MultiScaleConfig {
    /// The networks' configurations, the unconditional one first.
    pub fn stages(&self) -> Vec<PixelConfig> {
        let mut factor = product(&self.factors).max(1);
        let mut sizes = vec![factor];
        for f in &self.factors {
            factor /= (*f).max(1);
            sizes.push(factor);
        }
        let stage = |factor: usize| PixelConfig {
            height: self.height / factor,
            width: self.width / factor,
            channels: self.channels,
            levels: self.levels,
            layers: self.layers,
            hidden: self.hidden,
            kernel: self.kernel,
            head: self.head,
            residual: self.residual,
            skip: self.skip,
            learned_states: self.learned_states,
            dropout: self.dropout,
            mean: self.mean,
            deviation: self.deviation,
        };
        sizes.into_iter().map(stage).collect()
    }

    /// Numbers of an image.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Rejects sizes that make no model. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        let total = self.factors.iter().try_fold(1_usize, |a, &f| a.checked_mul(f));
        let few = !self.factors.is_empty() && self.factors.len() <= 4;
        if !few || self.factors.iter().any(|&f| !(2..=64).contains(&f)) {
            return bad("factors", &self.factors, "be one to four numbers from 2 to 64");
        }
        let total = total.unwrap_or(usize::MAX);
        for (key, value) in [("height", self.height), ("width", self.width)] {
            if value == 0 || !value.is_multiple_of(total) {
                return bad(
                    key,
                    value,
                    &format!("be a multiple of {total}, the product of model.factors"),
                );
            }
        }
        if let Some(stage) = self.stage
            && stage > self.factors.len()
        {
            return bad("stage", stage, &format!("lie between 0 and {}", self.factors.len()));
        }
        if self.condition == 0 || self.condition > 1 << 14 {
            return bad("condition", self.condition, "lie between 1 and 16384");
        }
        self.stages().iter().try_for_each(|stage| stage.check(self.body))
    }

    /// Section 3.6: a chain whose last stage is `net`, each conditional stage larger than the one before by its
    /// number of `factors`.
    pub fn new(body: Body, net: PixelConfig, factors: Vec<usize>) -> MultiScaleConfig {
        MultiScaleConfig {
            body,
            height: net.height,
            width: net.width,
            channels: net.channels,
            levels: net.levels,
            factors,
            stage: None,
            condition: net.hidden,
            layers: net.layers,
            hidden: net.hidden,
            kernel: net.kernel,
            head: net.head,
            residual: net.residual,
            skip: net.skip,
            learned_states: net.learned_states,
            dropout: net.dropout,
            mean: net.mean,
            deviation: net.deviation,
        }
    }
}
