//! The network of a pixel model: from an image to the logits of every pixel, which depend only on earlier pixels.
//!
//! Pixel Recurrent Neural Networks, table 1 and figure 5, with h = `hidden` and k = `kernel`, 3 in the paper:
//!
//! ```text
//! first:     7 x 7 convolution, mask A, C -> 2h
//! PixelCNN:  x + 1x1(relu(kxk(relu(1x1(relu(x))))))    2h -> h -> h -> 2h, mask B
//! Row LSTM:  x + 1x1(lstm(x))                          h -> 2h, its convolutions 1 x k
//! BiLSTM:    x + 1x1(left(x) + down(right(x)))         down: shifted down one row
//! output:    1x1(relu(1x1(relu(1x1(relu(y))))))        2h -> head -> head -> C levels, mask B
//! ```
//!
//! With skip connections, y is the last layer's output plus a 1 x 1 convolution (mask B) of every
//! layer's output; otherwise it is the last layer's output alone. Dropout, if any, is applied to the input of each
//! layer's last 1 x 1 convolution. In a conditional network (section 3.6), a transposed convolution enlarges the small
//! image. An unmasked 1 x 1 convolution of the result is added to every layer's input-to-state map (PixelCNN: to its
//! k x k convolution).
//!
//! Shapes: images \[B, H, W, C\], maps \[B, H, W, channels\], logits \[B, H, W, C levels\], colour by colour (\[B, H,
//! W, C\] if there are two levels).

use rand::Rng;

use super::config::{Body, PixelConfig};
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::nn::{LstmScan, MaskedConv, Module, Upsample, join, scale};
use crate::ops::lstm_scan::Order;
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::Around;
use crate::rng::Key;

/// The main part of a layer. There are only a few instances, so the size of the enum does not matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum Core {
    /// PixelCNN: 1 x 1 from 2h to h channels, then k x k.
    Cnn { down: MaskedConv, conv: MaskedConv },
    /// Row LSTM.
    Row(LstmScan),
    /// Diagonal BiLSTM.
    Diagonal { left: LstmScan, right: LstmScan },
}

/// A layer of the body with its connections.
pub(super) struct Layer {
    pub core: Core,
    /// 1 x 1, h -> 2h.
    pub up: MaskedConv,
    /// 1 x 1, 2h -> 2h, to the output.
    pub skip: Option<MaskedConv>,
    /// 1 x 1, unmasked, from the upsampled image to the gates of each direction, or to the convolution (PixelCNN).
    pub condition: Vec<MaskedConv>,
}

/// The network.
pub struct PixelNet {
    /// Sizes.
    pub config: PixelConfig,
    pub(super) first: MaskedConv,
    pub(super) layers: Vec<Layer>,
    pub(super) head: [MaskedConv; 3],
    pub(super) upsample: Option<Upsample>,
}

/// How a small image conditions a network.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Side of the image divided by the side of the small image.
    pub factor: usize,
    /// Channels of the upsampled image.
    pub maps: usize,
}

/// Gain of weights after a ReLU.
const RELU: f32 = std::f32::consts::SQRT_2;

pub(super) const PLAIN: Around = Around { relu_before: false, relu_after: false };
pub(super) const BEFORE: Around = Around { relu_before: true, relu_after: false };
pub(super) const AFTER: Around = Around { relu_before: false, relu_after: true };
pub(super) const BOTH: Around = Around { relu_before: true, relu_after: true };

impl PixelNet {
    /// A network with weights drawn from `rng`.
    pub fn new(
        device: &Device,
        body: Body,
        config: PixelConfig,
        condition: Option<Condition>,
        rng: &mut impl Rng,
    ) -> PixelNet {
        let (c, h, groups) = (config.channels, config.hidden, config.groups());
        let b = Mask::new(Sight::B, groups);
        let a = Mask::new(Sight::A, groups);
        let first = MaskedConv::new(device, (c, 2 * h), (7, 7), a, 1.0, rng);
        // The sum of all layers' contributions to the residual stream must not grow with their number.
        let last = 1.0 / (config.layers as f32).sqrt();
        let layer = |rng: &mut _| {
            let mut lstm = |order| {
                LstmScan::new(device, (2 * h, h), order, groups, config.learned_states, rng)
            };
            let core = match body {
                Body::RowLstm => Core::Row(lstm(Order::Rows(config.kernel))),
                Body::DiagBilstm => Core::Diagonal {
                    left: lstm(Order::Diagonal),
                    right: lstm(Order::MirroredDiagonal),
                },
                Body::PixelCnn => Core::Cnn {
                    down: MaskedConv::new(device, (2 * h, h), (1, 1), b, RELU, rng),
                    conv: MaskedConv::new(
                        device,
                        (h, h),
                        (config.kernel, config.kernel),
                        b,
                        RELU,
                        rng,
                    ),
                },
            };
            let gain = if config.residual { last } else { 1.0 };
            let up = MaskedConv::new(device, (h, 2 * h), (1, 1), b, gain, rng);
            let skip =
                config.skip.then(|| MaskedConv::new(device, (2 * h, 2 * h), (1, 1), b, last, rng));
            let condition = condition.map_or(Vec::new(), |condition| {
                let (count, outputs) = match body {
                    Body::PixelCnn => (1, h),
                    Body::RowLstm => (1, 4 * h),
                    Body::DiagBilstm => (2, 4 * h),
                };
                let map = |_| {
                    MaskedConv::new(device, (condition.maps, outputs), (1, 1), Mask::NONE, 1.0, rng)
                        .without_bias()
                };
                (0..count).map(map).collect()
            });
            Layer { core, up, skip, condition }
        };
        let layers = (0..config.layers).map(|_| layer(rng)).collect();
        let mut output = |i, o| MaskedConv::new(device, (i, o), (1, 1), b, RELU, rng);
        let head = [
            output(2 * h, config.head),
            output(config.head, config.head),
            output(config.head, config.outputs()),
        ];
        let upsample = condition.map(|k| Upsample::new(device, c, k.maps, k.factor, rng));
        PixelNet { config, first, layers, head, upsample }
    }

    /// Divides all logits by `temperature` from now on. They are linear in the last layer, so its weights and
    /// biases are divided.
    pub(super) fn temper(&self, temperature: f32) {
        let last = &self.head[2];
        std::iter::once(&last.weight).chain(&last.bias).for_each(|p| scale(p, 1.0 / temperature));
    }

    /// Converts an image in \[0, 1\] to the network's input, (x - mean) / deviation.
    pub fn scaled<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let (mean, deviation) = (self.config.mean, self.config.deviation);
        if (mean, deviation) == (0.0, 1.0) {
            return x.clone();
        }
        x.affine(1.0 / deviation, -mean / deviation)
    }

    /// Logits for images x \[B, H, W, C\] in \[0, 1\]. A conditional network also needs the `small` images, which it
    /// enlarges. Panics if `small` is given to an unconditional network or missing for a conditional one.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, small: Option<&Var<'t>>) -> Var<'t> {
        self.forward_with(x, small, None)
    }

    /// Like [`PixelNet::forward`], for training: with dropout if there is a `key`. Layer i uses the key's stream plus
    /// i.
    #[track_caller]
    pub fn forward_with<'t>(
        &self,
        x: &Var<'t>,
        small: Option<&Var<'t>>,
        key: Option<Key>,
    ) -> Var<'t> {
        assert_eq!(small.is_some(), self.upsample.is_some(), "a small image, just if conditional");
        let maps = self.upsample.as_ref().zip(small).map(|(u, s)| u.forward(&self.scaled(s)));
        let mut x = self.first.forward(&self.scaled(x), PLAIN, None);
        let mut skips: Option<Var<'t>> = None;
        let rate = self.config.dropout;
        let key = key.filter(|_| rate > 0.0);
        for (i, layer) in self.layers.iter().enumerate() {
            let dropout = key.map(|key| (rate, Key { stream: key.stream + i as u32, ..key }));
            x = layer.forward(&x, maps.as_ref(), self.config.residual, dropout);
            if let Some(skip) = &layer.skip {
                skips = Some(skip.forward(&x, PLAIN, skips.as_ref()));
            }
        }
        if let Some(skips) = skips {
            x = x.add(&skips);
        }
        let y = self.head[0].forward(&x, BOTH, None);
        let y = self.head[1].forward(&y, AFTER, None);
        self.head[2].forward(&y, PLAIN, None)
    }
}

impl Layer {
    fn forward<'t>(
        &self,
        x: &Var<'t>,
        maps: Option<&Var<'t>>,
        residual: bool,
        dropout: Option<(f32, Key)>,
    ) -> Var<'t> {
        let mut conditions = self.condition.iter();
        let mut condition =
            || conditions.next().zip(maps).map(|(conv, maps)| conv.forward(maps, PLAIN, None));
        let (h, around) = match &self.core {
            Core::Cnn { down, conv } => {
                let y = down.forward(x, BOTH, None);
                match condition() {
                    None => (conv.forward(&y, AFTER, None), PLAIN),
                    Some(c) => (conv.forward(&y, PLAIN, Some(&c)), BEFORE),
                }
            }
            Core::Row(lstm) => (lstm.forward(x, condition().as_ref()), PLAIN),
            Core::Diagonal { left, right } => {
                let conditions = [condition(), condition()];
                let [left, right] = LstmScan::forward_both(
                    [left, right],
                    x,
                    conditions.each_ref().map(Option::as_ref),
                );
                // Shifted down one row: what the right has seen of this row lies in the future.
                (left.add(&right.slice(1, -1, x.shape()[1])), PLAIN)
            }
        };
        let h = match dropout {
            Some((rate, key)) => h.dropout(rate, key),
            None => h,
        };
        self.up.forward(&h, around, residual.then_some(x))
    }
}

impl Module for PixelNet {
    fn visit<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        self.first.visit(&join(path, "first"), f);
        for (i, layer) in self.layers.iter().enumerate() {
            let path = &join(path, &format!("layers.{i}"));
            match &layer.core {
                Core::Cnn { down, conv } => {
                    down.visit(&join(path, "down"), f);
                    conv.visit(&join(path, "conv"), f);
                }
                Core::Row(lstm) => lstm.visit(&join(path, "lstm"), f),
                Core::Diagonal { left, right } => {
                    left.visit(&join(path, "left"), f);
                    right.visit(&join(path, "right"), f);
                }
            }
            layer.up.visit(&join(path, "up"), f);
            if let Some(skip) = &layer.skip {
                skip.visit(&join(path, "skip"), f);
            }
            for (k, condition) in layer.condition.iter().enumerate() {
                condition.visit(&join(path, &format!("condition.{k}")), f);
            }
        }
        for (i, conv) in self.head.iter().enumerate() {
            conv.visit(&join(path, &format!("head.{i}")), f);
        }
        if let Some(upsample) = &self.upsample {
            upsample.visit(&join(path, "upsample"), f);
        }
    }
}
