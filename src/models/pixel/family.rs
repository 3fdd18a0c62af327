//! The pixel models as a [`Family`].

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use super::{Body, MultiScale, MultiScaleConfig, PixelConfig, PixelModel};
use crate::device::Device;
use crate::error::Result;
use crate::models::family::{Family, PLAUSIBLE_NLL, Products, Shape};
use crate::models::{Model, ModelConfig, product};
use crate::ops::mask::{Mask, Sight};
use crate::ops::masked_conv::window;

/// The layers of each [`PixelKind`].
const BODIES: [Body; 3] = [Body::PixelCnn, Body::RowLstm, Body::DiagBilstm];

/// Configuration of a pixel model whose layers are `BODIES[BODY]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PixelKind<const BODY: usize>(pub PixelConfig);

/// Configuration of a PixelCNN.
pub type PixelCnnConfig = PixelKind<0>;
/// Configuration of a Row LSTM.
pub type RowLstmConfig = PixelKind<1>;
/// Configuration of a Diagonal BiLSTM.
pub type DiagBilstmConfig = PixelKind<2>;

impl<const BODY: usize> Deref for PixelKind<BODY> {
    type Target = PixelConfig;

    fn deref(&self) -> &PixelConfig {
        &self.0
    }
}

impl<const BODY: usize> DerefMut for PixelKind<BODY> {
    fn deref_mut(&mut self) -> &mut PixelConfig {
        &mut self.0
    }
}

impl ModelConfig {
    /// A pixel model with this body.
    pub fn pixel(body: Body, config: PixelConfig) -> ModelConfig {
        match body {
            Body::PixelCnn => ModelConfig::PixelCnn(PixelKind(config)),
            Body::RowLstm => ModelConfig::RowLstm(PixelKind(config)),
            Body::DiagBilstm => ModelConfig::DiagBilstm(PixelKind(config)),
        }
    }

    /// The pixel model of this kind with the sizes of `net`; a Multi-Scale model consists of two PixelCNNs with them.
    /// `None` for other kinds.
    pub fn pixel_by_pixel(kind: &str, net: PixelConfig) -> Option<ModelConfig> {
        let chain = MultiScaleConfig::new(Body::PixelCnn, net, vec![2]);
        let single = BODIES.map(|body| ModelConfig::pixel(body, net));
        let mut all = single.into_iter().chain([ModelConfig::MultiScale(chain)]);
        all.find(|config| config.kind() == kind)
    }

    /// The network's configuration, if this is a pixel model with a single network.
    pub fn pixel_net(&mut self) -> Option<&mut PixelConfig> {
        match self {
            ModelConfig::PixelCnn(config) => Some(config),
            ModelConfig::RowLstm(config) => Some(config),
            ModelConfig::DiagBilstm(config) => Some(config),
            _ => None,
        }
    }
}

impl<const BODY: usize> Family for PixelKind<BODY> {
    fn noun(&self) -> &'static str {
        "pixel model"
    }

    fn check(&self) -> Result<()> {
        self.0.check(BODIES[BODY])
    }

    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model> {
        Box::new(PixelModel::new(device, BODIES[BODY], self.0, seed))
    }

    fn shape(&self) -> Shape {
        (self.height, self.width, self.channels)
    }

    fn set_shape(&mut self, shape: Shape) -> Result<()> {
        (self.0.height, self.0.width, self.0.channels) = shape;
        Ok(())
    }

    fn widest(&self) -> usize {
        product(&[self.height, self.width, self.0.widest()])
    }

    fn products(&self) -> Products {
        products(BODIES[BODY], self)
    }

    fn plausible(&self) -> Option<(&'static str, f64)> {
        Some(("an nll", PLAUSIBLE_NLL))
    }

    fn levels(&self) -> Option<usize> {
        Some(self.levels)
    }

    fn classes(&self) -> Option<usize> {
        (self.0.classes > 0).then_some(self.0.classes)
    }
}

impl Family for MultiScaleConfig {
    fn noun(&self) -> &'static str {
        "multiscale"
    }

    fn check(&self) -> Result<()> {
        MultiScaleConfig::check(self)
    }

    fn make(&self, device: &Device, seed: u64) -> Box<dyn Model> {
        Box::new(MultiScale::new(device, self.clone(), seed))
    }

    fn shape(&self) -> Shape {
        (self.net.height, self.net.width, self.net.channels)
    }

    fn set_shape(&mut self, shape: Shape) -> Result<()> {
        (self.net.height, self.net.width, self.net.channels) = shape;
        Ok(())
    }

    fn widest(&self) -> usize {
        let last = self.stages().last().map_or(1, PixelConfig::widest);
        product(&[self.net.height, self.net.width, last.max(self.condition)])
    }

    /// The sum over the stages' networks, without the layers that process the small images.
    fn products(&self) -> Products {
        let none = Products { all: 0, first: 0, drawing: 0 };
        self.stages().iter().map(|stage| products(self.body, stage)).fold(none, |sum, p| Products {
            all: sum.all + p.all,
            first: sum.first + p.first,
            drawing: sum.drawing + p.drawing,
        })
    }

    fn plausible(&self) -> Option<(&'static str, f64)> {
        Some(("a bound", PLAUSIBLE_NLL))
    }

    fn caveat(&self, _: bool) -> Option<&'static str> {
        self.stage.map(|_| "one stage alone is trained: the bound counts the others untrained")
    }

    fn levels(&self) -> Option<usize> {
        Some(self.net.levels)
    }
}

fn products(body: Body, config: &PixelConfig) -> Products {
    let (c, h) = (config.channels, config.hidden);
    let masked = |sight, (height, width), (inputs, outputs), stacks| {
        let mask = Mask { stacks, ..Mask::new(sight, config.groups()) };
        window::VisibleProducts::new(mask.taps(height, width), (inputs, outputs), mask).count()
    };
    let conv = |side, channels| masked(Sight::B, side, channels, 1);
    let (one, side) = ((1, 1), (config.kernel, config.kernel));
    let gates = |side| masked(Sight::B, side, (2 * h, 4 * h), 4);
    let core = match body {
        Body::PixelCnn => conv(one, (2 * h, h)) + conv(side, (h, h)),
        Body::RowLstm => gates((1, config.kernel)) + config.kernel * h * 4 * h,
        Body::DiagBilstm => 2 * (gates(one) + 2 * h * 4 * h),
    };
    let skip = if config.skip { conv(one, (2 * h, 2 * h)) } else { 0 };
    let (width, levels) = (config.head, config.outputs());
    let head = conv(one, (2 * h, width)) + conv(one, (width, width)) + conv(one, (width, levels));
    let first = masked(Sight::A, (7, 7), (c, 2 * h), 1);
    let pixels = config.height * config.width;
    let all = pixels * (first + config.layers * (core + conv(one, (h, 2 * h)) + skip) + head);
    Products { all, first: pixels * first, drawing: all }
}
