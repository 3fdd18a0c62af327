//! Sizes of the pixel models, and the paper's settings.
//!
//! Pixel Recurrent Neural Networks, table 1 and section 5:
//!
//! | data | layers x hidden | head |
//! | --- | --- | --- |
//! | MNIST | Diagonal BiLSTM 7 x 16 (or 1 x 32) | 32 |
//! | CIFAR-10 | 12 x 128 (PixelCNN 15 x 128) | 1024 |
//! | ImageNet 32 x 32 | Row LSTM 12 x 384 | 1024 |
//! | ImageNet 64 x 64 | Row LSTM 4 x 512, without residual connections | 1024 |

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::models::{indexable, product};

/// Largest number of classes: data sets store a label as a byte.
const MOST_CLASSES: usize = 256;

/// Kind of the layers between the first convolution and the output.
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
    /// Number of values of a channel: 2 (one sigmoid) to 256 (softmax).
    pub levels: usize,
    /// Number of layers of the body.
    pub layers: usize,
    /// Hidden channels h of a layer; between layers there are 2 h.
    pub hidden: usize,
    /// Side of a PixelCNN layer's masked convolution, or k of a Row LSTM's 1 x k convolutions. Odd; 3 in the paper. The
    /// Diagonal BiLSTM has kernels of fixed size, so it must be 3 there.
    #[serde(default = "paper_kernel")]
    pub kernel: usize,
    /// Channels of the two output layers.
    pub head: usize,
    /// Whether each layer's input is added to its output.
    pub residual: bool,
    /// Whether there are learned connections from every layer to the output.
    pub skip: bool,
    /// Whether the LSTM's states outside the image are learned; otherwise they are 0.
    pub learned_states: bool,
    /// Dropout rate on the input of each layer's last 1 x 1 convolution, while training; 0 in the paper.
    #[serde(default)]
    pub dropout: f32,
    /// Number of classes: every layer is conditioned on the image's label. 0 for a model without labels, as in the
    /// paper, and for the stages of a [`super::MultiScale`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub classes: usize,
    /// The network reads (x - mean) / std, where x is in \[0, 1\].
    pub mean: f32,
    /// See `mean`.
    #[serde(rename = "deviation")]
    pub std: f32,
}

/// Configuration of a [`super::MultiScale`]. Files have the settings of `net` beside the others.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiScaleConfig {
    /// Kind of the layers.
    pub body: Body,
    /// Enlargement of each conditional stage over the stage before it; the last stage has the images' size.
    /// The paper has \[2\]: s x s, then 2s x 2s.
    pub factors: Vec<usize>,
    /// The only stage to train (0 is the unconditional one); all stages if absent. Stages share no
    /// weights, so training them together gives the same result as training them one by one.
    pub stage: Option<usize>,
    /// Channels of the upsampled image that conditions the layers of a conditional stage.
    pub condition: usize,
    /// The network of the last stage; the others differ in the size of their images alone.
    #[serde(flatten)]
    pub net: PixelConfig,
}

/// In the order of configuration files, where a derived implementation would not put the settings of the chain.
impl Serialize for MultiScaleConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let PixelConfig {
            height,
            width,
            channels,
            levels,
            layers,
            hidden,
            kernel,
            head,
            residual,
            skip,
            learned_states,
            dropout,
            classes: _,
            mean,
            std,
        } = &self.net;
        let mut fields = serializer.serialize_struct("MultiScaleConfig", 18)?;
        fields.serialize_field("body", &self.body)?;
        fields.serialize_field("height", height)?;
        fields.serialize_field("width", width)?;
        fields.serialize_field("channels", channels)?;
        fields.serialize_field("levels", levels)?;
        fields.serialize_field("factors", &self.factors)?;
        fields.serialize_field("stage", &self.stage)?;
        fields.serialize_field("condition", &self.condition)?;
        fields.serialize_field("layers", layers)?;
        fields.serialize_field("hidden", hidden)?;
        fields.serialize_field("kernel", kernel)?;
        fields.serialize_field("head", head)?;
        fields.serialize_field("residual", residual)?;
        fields.serialize_field("skip", skip)?;
        fields.serialize_field("learned_states", learned_states)?;
        fields.serialize_field("dropout", dropout)?;
        fields.serialize_field("mean", mean)?;
        fields.serialize_field("deviation", std)?;
        fields.end()
    }
}

fn paper_kernel() -> usize {
    3
}

fn is_zero(classes: &usize) -> bool {
    *classes == 0
}

fn bad<T>(key: &str, value: impl std::fmt::Debug, rule: &str) -> Result<T> {
    Err(Error::Config(format!("model.{key} = {value:?}: it must {rule}")))
}

impl PixelConfig {
    /// Numbers per image.
    pub fn dims(&self) -> usize {
        product(&[self.height, self.width, self.channels])
    }

    /// Number of colour groups in the masks.
    pub fn groups(&self) -> usize {
        self.channels
    }

    /// Channels of the last layer: one logit per binary channel, or one per level of each channel.
    pub fn outputs(&self) -> usize {
        product(&[self.channels, if self.levels == 2 { 1 } else { self.levels }])
    }

    /// Elements per pixel of the largest map.
    pub fn widest(&self) -> usize {
        product(&[8, self.hidden]).max(self.head).max(self.outputs())
    }

    /// Rejects sizes that are invalid for such layers. Fails with [`Error::Config`].
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
        if self.classes == 1 || self.classes > MOST_CLASSES {
            return bad("classes", self.classes, "be 0 (no labels) or lie between 2 and 256");
        }
        if !self.mean.is_finite() {
            return bad("mean", self.mean, "be finite");
        }
        if !(self.std > 0.0 && self.std.is_finite()) {
            return bad("deviation", self.std, "be above 0 and finite");
        }
        // Within the limits above, only these weights can exceed 32-bit indices.
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

    /// MNIST, section 5.5: `layers` layers with `hidden` channels, one sigmoid per pixel.
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
            classes: 0,
            mean: 0.0,
            std: 1.0,
        }
    }

    /// CIFAR-10 and ImageNet, sections 5.6 and 5.7: 256-way softmax, with inputs scaled and centred.
    pub fn colour(side: usize, layers: usize, hidden: usize) -> PixelConfig {
        PixelConfig {
            height: side,
            width: side,
            channels: 3,
            levels: 256,
            head: 1024,
            mean: 0.5,
            std: 0.25,
            ..PixelConfig::mnist(layers, hidden)
        }
    }
}

impl MultiScaleConfig {
    /// The configurations of the networks; the unconditional one is first.
    pub fn stages(&self) -> Vec<PixelConfig> {
        let mut factor = product(&self.factors).max(1);
        let mut sizes = vec![factor];
        for f in &self.factors {
            factor /= (*f).max(1);
            sizes.push(factor);
        }
        let (height, width) = (self.net.height, self.net.width);
        let stage = |factor: usize| PixelConfig {
            height: height / factor,
            width: width / factor,
            ..self.net
        };
        sizes.into_iter().map(stage).collect()
    }

    /// Rejects invalid sizes. Fails with [`Error::Config`].
    pub fn check(&self) -> Result<()> {
        let total = self.factors.iter().try_fold(1_usize, |a, &f| a.checked_mul(f));
        let few = !self.factors.is_empty() && self.factors.len() <= 4;
        if !few || self.factors.iter().any(|&f| !(2..=64).contains(&f)) {
            return bad("factors", &self.factors, "be one to four numbers from 2 to 64");
        }
        let total = total.unwrap_or(usize::MAX);
        for (key, value) in [("height", self.net.height), ("width", self.net.width)] {
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
        if self.net.classes != 0 {
            return bad("classes", self.net.classes, "be 0: the stages of a chain have no labels");
        }
        self.stages().iter().try_for_each(|stage| stage.check(self.body))
    }

    /// Section 3.6: a chain of networks whose last stage is `net`. Each of `factors` is the enlargement of a
    /// conditional stage over the stage before it.
    pub fn new(body: Body, net: PixelConfig, factors: Vec<usize>) -> MultiScaleConfig {
        MultiScaleConfig { body, factors, stage: None, condition: net.hidden, net }
    }
}
