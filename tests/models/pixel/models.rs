//! Small models of every kind with large random weights.

use pixelloom::models::pixel::{Body, MultiScale, MultiScaleConfig, PixelConfig, PixelModel};
use pixelloom::nn::Module;
use pixelloom::rng::{Key, stream};
use pixelloom::{Device, Tensor};

pub const BODIES: [Body; 3] = [Body::PixelCnn, Body::RowLstm, Body::DiagBilstm];

/// The configuration of a small network.
pub fn config(
    (height, width): (usize, usize),
    channels: usize,
    levels: usize,
    hidden: usize,
) -> PixelConfig {
    let head = hidden + 1;
    PixelConfig { height, width, channels, levels, head, ..PixelConfig::mnist(2, hidden) }
}

/// Draws every parameter uniformly from \[low, high), including hidden weights, which must not matter.
pub fn redraw(model: &dyn Module, seed: u64, (low, high): (f32, f32)) {
    for (number, (_, param)) in model.parameters().into_iter().enumerate() {
        let key = Key::new(seed, stream::TEST, number as u32);
        let value = param.value();
        let values: Vec<f32> =
            (0..value.len() as u64).map(|i| low + (high - low) * key.uniform(i)).collect();
        param.set(Tensor::new(value.device(), &values, value.shape()));
    }
}

/// A model with weights so large that its predictions are far from uniform.
pub fn model(device: &Device, body: Body, config: PixelConfig, seed: u64) -> PixelModel {
    let model = PixelModel::new(device, body, config, 0);
    redraw(&model, seed, (-0.9, 0.9));
    model
}

/// A Multi-Scale chain with such weights.
pub fn chain(
    device: &Device,
    body: Body,
    config: PixelConfig,
    factors: &[usize],
    seed: u64,
) -> MultiScale {
    let config = MultiScaleConfig::new(body, config, factors.to_vec());
    let model = MultiScale::new(device, config, 0);
    redraw(&model, seed, (-0.9, 0.9));
    model
}
