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
//! k x k convolution). A network with classes is conditional in the same way, on a map that is 1 in the channel of the
//! label, so every layer learns a bias for each class. (That is not in this paper; Conditional Image Generation with
//! PixelCNN Decoders, arXiv 1606.05328, section 2.3, has it.)
//!
//! The wiring is written once, for anything that runs it (`Runner`). A tape runs every layer on whole images, for
//! training and scoring; the sampler records the wiring and repeats it at one pixel after another.
//!
//! Shapes: images \[B, H, W, C\], maps \[B, H, W, channels\], logits \[B, H, W, C levels\], colour by colour (\[B, H,
//! W, C\] if there are two levels).

use rand::Rng;

use super::config::{Body, PixelConfig};
use crate::Tape;
use crate::autograd::{Param, Var};
use crate::device::Device;
use crate::nn::{LstmScan, MaskedConv, Module, Upsample, join, scale};
use crate::ops::lstm_scan::Order;
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::Around;
use crate::rng::Key;
use crate::tensor::Tensor;

/// The main part of a layer. There are only a few instances, so the size of the enum does not matter.
#[allow(clippy::large_enum_variant)]
enum Core {
    /// PixelCNN: 1 x 1 from 2h to h channels, then k x k.
    Cnn { down: MaskedConv, conv: MaskedConv },
    /// Row LSTM.
    Row(LstmScan),
    /// Diagonal BiLSTM.
    Diagonal { left: LstmScan, right: LstmScan },
}

/// A layer of the body with its connections.
struct Layer {
    core: Core,
    /// 1 x 1, h -> 2h.
    up: MaskedConv,
    /// 1 x 1, 2h -> 2h, to the output.
    skip: Option<MaskedConv>,
    /// 1 x 1, unmasked, from the upsampled image or the label's map to the gates of each direction, or to the convolution (PixelCNN).
    condition: Vec<MaskedConv>,
}

/// The network.
pub struct PixelNet {
    /// Sizes.
    pub config: PixelConfig,
    first: MaskedConv,
    layers: Vec<Layer>,
    head: [MaskedConv; 3],
    upsample: Option<Upsample>,
}

/// How a small image conditions a network.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Side of the image divided by the side of the small image.
    pub factor: usize,
    /// Channels of the upsampled image.
    pub channels: usize,
}

/// Runs the layers of a network in the order of its wiring.
pub(super) trait Runner<'n> {
    /// A handle of a map \[B, H, W, channels\].
    type Map: Clone;

    /// act(conv(x) + b) + residual.
    fn conv(
        &mut self,
        conv: &'n MaskedConv,
        x: &Self::Map,
        around: Around,
        residual: Option<&Self::Map>,
    ) -> Self::Map;

    /// The states h of an LSTM; `condition` is added to its gates.
    fn lstm(
        &mut self,
        lstm: &'n LstmScan,
        x: &Self::Map,
        condition: Option<&Self::Map>,
    ) -> Self::Map;

    /// left + right, the states of two LSTMs, with right shifted down by one row: in its own row it has seen later
    /// pixels. The sum is the input of a 1 x 1 convolution without ReLU.
    fn both_directions(
        &mut self,
        lstms: [&'n LstmScan; 2],
        x: &Self::Map,
        conditions: [Option<&Self::Map>; 2],
    ) -> Self::Map;

    /// A convolution of the upsampled small image or of the label's map.
    fn condition(&mut self, conv: &'n MaskedConv) -> Self::Map;

    /// Dropout of layer `number`, while training.
    fn dropout(&mut self, h: Self::Map, number: usize) -> Self::Map;

    /// Adds a skip connection, a 1 x 1 convolution of a layer's output x, to those that [`Runner::with_skips`] sums.
    fn skip(&mut self, conv: &'n MaskedConv, x: &Self::Map);

    /// The last layer's output x plus all skip connections.
    fn with_skips(&mut self, x: Self::Map) -> Self::Map;
}

/// Runs a network on whole images and records it on their tape.
struct OnTape<'t> {
    /// The upsampled small image, or the map of the label.
    condition: Option<Var<'t>>,
    skips: Option<Var<'t>>,
    /// The rate, and the key of layer 0.
    dropout: Option<(f32, Key)>,
}

/// Gain of weights after a ReLU.
const RELU: f32 = std::f32::consts::SQRT_2;

pub(super) const PLAIN: Around = Around { relu_before: false, relu_after: false };
const BEFORE: Around = Around { relu_before: true, relu_after: false };
const AFTER: Around = Around { relu_before: false, relu_after: true };
const BOTH: Around = Around { relu_before: true, relu_after: true };

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
        let by_class = (config.classes > 0).then_some(config.classes);
        let channels = condition.map(|condition| condition.channels).or(by_class);
        let layer = |rng: &mut _| Layer::new(device, body, &config, channels, rng);
        let layers = (0..config.layers).map(|_| layer(rng)).collect();
        let mut output = |i, o| MaskedConv::new(device, (i, o), (1, 1), b, RELU, rng);
        let head = [
            output(2 * h, config.head),
            output(config.head, config.head),
            output(config.head, config.outputs()),
        ];
        let upsample = condition.map(|k| Upsample::new(device, c, k.channels, k.factor, rng));
        PixelNet { config, first, layers, head, upsample }
    }

    /// Divides all logits by `temperature` from now on. They are linear in the last layer, so its weights and
    /// biases are divided.
    pub(super) fn temper(&self, temperature: f32) {
        let last = &self.head[2];
        std::iter::once(&last.weight).chain(&last.bias).for_each(|p| scale(p, 1.0 / temperature));
    }

    /// Converts an image in \[0, 1\] to the network's input, (x - mean) / std.
    pub fn scaled<'t>(&self, x: &Var<'t>) -> Var<'t> {
        let (mean, std) = (self.config.mean, self.config.std);
        if (mean, std) == (0.0, 1.0) {
            return x.clone();
        }
        x.affine(1.0 / std, -mean / std)
    }

    /// Logits for images x \[B, H, W, C\] in \[0, 1\]. A conditional network also needs `given`: the small images, which
    /// it enlarges, or the labels (\[B, 1, 1, classes\], [`PixelNet::one_hot`]). Panics if `given` is there for an
    /// unconditional network or missing for a conditional one.
    #[track_caller]
    pub fn forward<'t>(&self, x: &Var<'t>, given: Option<&Var<'t>>) -> Var<'t> {
        self.forward_with(x, given, None)
    }

    /// Whether the layers are conditional.
    pub fn is_conditional(&self) -> bool {
        self.upsample.is_some() || self.config.classes > 0
    }

    /// The labels \[B\], numbers of classes, as a network with classes expects them: \[B, 1, 1, classes\], 1 for the
    /// class and 0 for the others.
    pub fn one_hot(&self, labels: &Tensor) -> Tensor {
        let (rows, classes) = (labels.len(), self.config.classes);
        let numbers: Vec<f32> = (0..classes).map(|class| class as f32).collect();
        let tape = Tape::inference();
        let numbers = tape.constant(Tensor::new(labels.device(), &numbers, &[1, classes]));
        let distance = tape.constant(labels.reshape(&[rows, 1])).sub(&numbers);
        // 1 - d^2 is 1 at the label and at most 0 elsewhere.
        let one_hot = distance.square().affine(-1.0, 1.0).relu();
        one_hot.value().reshape(&[rows, 1, 1, classes])
    }

    /// Like [`PixelNet::forward`], for training: with dropout if there is a `key`. Layer i uses the key's stream plus
    /// i.
    #[track_caller]
    pub fn forward_with<'t>(
        &self,
        x: &Var<'t>,
        given: Option<&Var<'t>>,
        key: Option<Key>,
    ) -> Var<'t> {
        assert_eq!(given.is_some(), self.is_conditional(), "a condition, just if conditional");
        let mut tape = OnTape {
            condition: self.condition_map(given),
            skips: None,
            dropout: key.map(|key| (self.config.dropout, key)).filter(|(rate, _)| *rate > 0.0),
        };
        let features = self.features(&mut tape, &self.scaled(x));
        self.logits(&mut tape, features)
    }

    /// The map \[B, H, W, channels\] of `given` that the layers of a conditional network see.
    pub(super) fn condition_map<'t>(&self, given: Option<&Var<'t>>) -> Option<Var<'t>> {
        let PixelConfig { height, width, classes, .. } = self.config;
        given.map(|given| match &self.upsample {
            Some(upsample) => upsample.forward(&self.scaled(given)),
            None => given.expand(&[given.shape()[0], height, width, classes]),
        })
    }

    /// The last layer's output of an image as [`PixelNet::scaled`] makes it.
    pub(super) fn features<'n, R: Runner<'n>>(&'n self, run: &mut R, x: &R::Map) -> R::Map {
        let mut x = run.conv(&self.first, x, PLAIN, None);
        for (number, layer) in self.layers.iter().enumerate() {
            x = layer.output(run, number, &x, self.config.residual);
            if let Some(skip) = &layer.skip {
                run.skip(skip, &x);
            }
        }
        x
    }

    /// The logits, from the last layer's output.
    pub(super) fn logits<'n, R: Runner<'n>>(&'n self, run: &mut R, features: R::Map) -> R::Map {
        let x = run.with_skips(features);
        let y = run.conv(&self.head[0], &x, BOTH, None);
        let y = run.conv(&self.head[1], &y, AFTER, None);
        run.conv(&self.head[2], &y, PLAIN, None)
    }
}

impl Layer {
    fn new(
        device: &Device,
        body: Body,
        config: &PixelConfig,
        condition: Option<usize>,
        rng: &mut impl Rng,
    ) -> Layer {
        let (h, groups) = (config.hidden, config.groups());
        let b = Mask::new(Sight::B, groups);
        // The sum of all layers' contributions to the residual stream must not grow with their number.
        let last = 1.0 / (config.layers as f32).sqrt();
        let mut lstm =
            |order| LstmScan::new(device, (2 * h, h), order, groups, config.learned_states, rng);
        let core = match body {
            Body::RowLstm => Core::Row(lstm(Order::Rows(config.kernel))),
            Body::DiagBilstm => {
                Core::Diagonal { left: lstm(Order::Diagonal), right: lstm(Order::MirroredDiagonal) }
            }
            Body::PixelCnn => {
                let side = (config.kernel, config.kernel);
                Core::Cnn {
                    down: MaskedConv::new(device, (2 * h, h), (1, 1), b, RELU, rng),
                    conv: MaskedConv::new(device, (h, h), side, b, RELU, rng),
                }
            }
        };
        let gain = if config.residual { last } else { 1.0 };
        let up = MaskedConv::new(device, (h, 2 * h), (1, 1), b, gain, rng);
        let skip =
            config.skip.then(|| MaskedConv::new(device, (2 * h, 2 * h), (1, 1), b, last, rng));
        let condition = condition.map_or(Vec::new(), |channels| {
            let (count, outputs) = match body {
                Body::PixelCnn => (1, h),
                Body::RowLstm => (1, 4 * h),
                Body::DiagBilstm => (2, 4 * h),
            };
            let sizes = (channels, outputs);
            let map =
                |_| MaskedConv::new(device, sizes, (1, 1), Mask::NONE, 1.0, rng).without_bias();
            (0..count).map(map).collect()
        });
        Layer { core, up, skip, condition }
    }

    fn output<'n, R: Runner<'n>>(
        &'n self,
        run: &mut R,
        number: usize,
        x: &R::Map,
        residual: bool,
    ) -> R::Map {
        let condition =
            |run: &mut R, i: usize| self.condition.get(i).map(|conv| run.condition(conv));
        let (h, around) = match &self.core {
            Core::Cnn { down, conv } => {
                let y = run.conv(down, x, BOTH, None);
                match condition(run, 0) {
                    None => (run.conv(conv, &y, AFTER, None), PLAIN),
                    Some(c) => (run.conv(conv, &y, PLAIN, Some(&c)), BEFORE),
                }
            }
            Core::Row(lstm) => {
                let c = condition(run, 0);
                (run.lstm(lstm, x, c.as_ref()), PLAIN)
            }
            Core::Diagonal { left, right } => {
                let conditions = [condition(run, 0), condition(run, 1)];
                let conditions = conditions.each_ref().map(Option::as_ref);
                (run.both_directions([left, right], x, conditions), PLAIN)
            }
        };
        let h = run.dropout(h, number);
        run.conv(&self.up, &h, around, residual.then_some(x))
    }
}

impl<'n, 't> Runner<'n> for OnTape<'t> {
    type Map = Var<'t>;

    fn conv(
        &mut self,
        conv: &'n MaskedConv,
        x: &Var<'t>,
        around: Around,
        residual: Option<&Var<'t>>,
    ) -> Var<'t> {
        conv.forward(x, around, residual)
    }

    fn lstm(&mut self, lstm: &'n LstmScan, x: &Var<'t>, condition: Option<&Var<'t>>) -> Var<'t> {
        lstm.forward(x, condition)
    }

    fn both_directions(
        &mut self,
        lstms: [&'n LstmScan; 2],
        x: &Var<'t>,
        conditions: [Option<&Var<'t>>; 2],
    ) -> Var<'t> {
        let [left, right] = LstmScan::forward_both(lstms, x, conditions);
        left.add(&right.slice(1, -1, x.shape()[1]))
    }

    fn condition(&mut self, conv: &'n MaskedConv) -> Var<'t> {
        conv.forward(self.condition.as_ref().expect("a conditional network"), PLAIN, None)
    }

    fn dropout(&mut self, h: Var<'t>, number: usize) -> Var<'t> {
        let Some((rate, key)) = self.dropout else { return h };
        h.dropout(rate, Key { stream: key.stream + number as u32, ..key })
    }

    fn skip(&mut self, conv: &'n MaskedConv, x: &Var<'t>) {
        self.skips = Some(conv.forward(x, PLAIN, self.skips.as_ref()));
    }

    fn with_skips(&mut self, x: Var<'t>) -> Var<'t> {
        self.skips.take().map_or(x.clone(), |skips| x.add(&skips))
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
