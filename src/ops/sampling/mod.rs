//! Draws the pixels of images in one launch, for the sampler of pixel models on a GPU.
//!
//! The cached sampler (`models/pixel/sampler.rs`) launches each layer once per pixel: with 25 layers and 784 pixels
//! these are 20,000 launches that wait for each other. Here one workgroup draws all pixels of an image: it reads the
//! layers from a table, and barriers separate those that depend on each other. A launch is cut into ranges of pixels only
//! as far as a watchdog requires.
//!
//! The table has a row of `WORDS` numbers for each step, all of them integers below 2^24, which f32 represents exactly.
//! Places are indices into an image's part of a space, or into the weights.
//!
//! | entry | convolution | LSTM |
//! | --- | --- | --- |
//! | 0 | 0 | 1 |
//! | 1, 2, 3 | space and place of x, input channels | places of the gates, of h, of c |
//! | 4, 5 | place of y, output channels | hidden units, order |
//! | 6, 7 | taps, taps per row | neighbours, place of S |
//! | 8, 9 | offset of the first tap | place of c0 |
//! | 10, 11 | ReLU before, ReLU after | |
//! | 12, 13 | place of the weights, of the bias (-1 for none) | |
//! | 14, 15 | space (-1 for none) and place of the residual | |
//! | 16 | invocations that share an output | |
//!
//! Shapes: table \[steps, WORDS\], weights \[n\], x, u \[B, H, W, C\], known \[H W\] (1 for a pixel that is not drawn),
//! given \[B, given\], maps \[B, maps\].

mod cpu;
mod params;
mod reference;

use crate::device::Device;
use crate::gpu::Program;
use crate::kernel::{Cost, Kernel, shader, tile_sizes, workgroup_each};
use crate::ops::lstm_scan::Order;
use crate::ops::masked_conv::{Around, Window};
use crate::ops::pick::Scale;
use crate::tensor::Tensor;
pub use params::SamplingParams;

tile_sizes! {
    /// Numbers of a step in the table.
    WORDS = 17;
}

/// Largest number of loop iterations of a launch: about a millisecond, and within the limit of software drivers.
const BUDGET: u64 = 40_000;
/// Integers from here on are not exact in f32.
const INEXACT: usize = 1 << 24;

/// Draws pixels. Inputs: table, weights, given, u, known. States: x, maps. Only tests run it on a CPU, whose sampler
/// keeps the maps of an image in the caches.
pub static SAMPLE_PIXELS: Kernel<SamplingParams, 5, 2> = Kernel {
    program: Program {
        name: "sample_pixels",
        source: shader!(SIZES; "lib/math", "lib/lstm_state", "lib/level", "sampling/sample_pixels"),
        inputs: 5,
        outputs: 2,
    },
    cpu: cpu::sample,
    reference: reference::sample,
    stages: |p| workgroup_each("sample_pixels", p.batch as usize, p),
    // The work depends on the table: this counts what is drawn, and the budget of a launch.
    cost: |p| {
        let drawn = u64::from(p.batch) * u64::from(p.to_pixel - p.from_pixel);
        Cost { flops: 0, bytes: 8 * drawn * u64::from(p.channels), loop_iterations: BUDGET }
    },
    entries: &["sample_pixels"],
};

/// A map: the image, a given map, or a computed one, with its place in this space.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    /// The image.
    Image,
    /// A given map.
    Given(usize),
    /// A computed map.
    Computed(usize),
}

impl Map {
    fn numbers(self) -> [i64; 2] {
        match self {
            Map::Image => [0, 0],
            Map::Given(place) => [1, place as i64],
            Map::Computed(place) => [2, place as i64],
        }
    }
}

/// A step: a layer at one pixel. Places of computed maps and of weights are indices in these spaces.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// y = act(conv(x) + bias) + residual.
    Conv {
        /// x and its channels.
        x: (Map, usize),
        /// y and its channels.
        y: (usize, usize),
        /// The taps.
        window: Window,
        /// The activations.
        around: Around,
        /// Places of the weights and of the bias.
        weights: (usize, Option<usize>),
        /// A map that is added.
        residual: Option<Map>,
    },
    /// h and c from the gates.
    Lstm {
        /// Places of the gates, h and c.
        maps: [usize; 3],
        /// Number of hidden units.
        hidden: usize,
        /// Order of the scan.
        order: Order,
        /// Places of S and c0.
        weights: [usize; 2],
    },
}

impl Step {
    /// Number of invocations that share an output: as many as leave none of a workgroup's 256 idle.
    fn members(outputs: usize, terms: usize) -> usize {
        let most = (256 / outputs.max(1)).min(terms).max(1);
        1 << most.ilog2()
    }

    fn numbers(&self) -> [f32; WORDS] {
        let mut all = [0; WORDS];
        match *self {
            Step::Conv { x: (x, inputs), y: (y, outputs), window, around, weights, residual } => {
                let [space, x] = x.numbers();
                let [residual_space, residual] = residual.map_or([-1, 0], Map::numbers);
                let members = Step::members(outputs, window.taps * inputs);
                let sizes = [inputs, y, outputs, window.taps, window.width].map(|n| n as i64);
                all[1..3].copy_from_slice(&[space, x]);
                all[3..8].copy_from_slice(&sizes);
                all[8..10].copy_from_slice(&[window.top, window.left].map(i64::from));
                all[10..12]
                    .copy_from_slice(&[around.relu_before, around.relu_after].map(i64::from));
                all[12] = weights.0 as i64;
                all[13] = weights.1.map_or(-1, |bias| bias as i64);
                all[14..].copy_from_slice(&[residual_space, residual, members as i64]);
            }
            Step::Lstm { maps, hidden, order, weights } => {
                let number = match order {
                    Order::Rows(_) => 0,
                    Order::Diagonal => 1,
                    Order::MirroredDiagonal => 2,
                };
                all[0] = 1;
                all[1..4].copy_from_slice(&maps.map(|n| n as i64));
                all[4..7].copy_from_slice(&[hidden, number, order.neighbours()].map(|n| n as i64));
                all[7..9].copy_from_slice(&weights.map(|n| n as i64));
            }
        }
        all.map(|n| n as f32)
    }

    /// Loop iterations of an invocation.
    fn iterations(&self) -> u64 {
        let n = match *self {
            Step::Conv { x: (_, inputs), y: (_, outputs), window, .. } => {
                let terms = window.taps * inputs;
                let members = Step::members(outputs, terms);
                outputs.div_ceil(256 / members) * (1 + terms.div_ceil(members) + members)
            }
            Step::Lstm { hidden, order, .. } => {
                hidden.div_ceil(256) * (1 + order.neighbours() * (1 + hidden))
            }
        };
        1 + n as u64
    }
}

/// What a launch needs to know about a network.
pub struct Network {
    /// From the image to the last layer's output, from there to the logits, and the scans of a finished row.
    pub steps: [Vec<Step>; 3],
    /// Number of packed weights, biases and initial states together.
    pub weights: usize,
    /// Floats of the computed maps of an image, and before its logits.
    pub maps: [usize; 2],
    /// Conversion of levels to the network's input.
    pub scale: Scale,
}

impl Network {
    /// The table, on `device`.
    pub fn table(&self, device: &Device) -> Tensor {
        let numbers: Vec<f32> = self.steps.iter().flatten().flat_map(Step::numbers).collect();
        let rows = numbers.len() / WORDS;
        Tensor::new(device, &numbers, &[rows, WORDS])
    }

    /// Ranges of the pixels of images \[_, height, width, channels\], each for one launch. A range ends after a pixel for
    /// which `stops` is true. `None` if a place is too large for the table, or a single pixel for a launch.
    pub fn launches(
        &self,
        [height, width, channels]: [usize; 3],
        stops: impl Fn(usize) -> bool,
    ) -> Option<Vec<(usize, usize)>> {
        let [features, logits, scans] =
            self.steps.each_ref().map(|steps| steps.iter().map(Step::iterations).sum::<u64>());
        let pick = if self.scale.levels == 2 { 1 } else { 3 * self.scale.levels as u64 };
        let each = channels as u64 * (1 + features + logits + pick);
        let row_end = width as u64 * (1 + scans);
        let exact = self.weights.max(self.maps[0]) < INEXACT;
        if !exact || each + row_end > BUDGET {
            return None;
        }
        let (mut ranges, mut start, mut spent) = (Vec::new(), 0, 0);
        for pixel in 0..height * width {
            let cost = 1 + each + if (pixel + 1) % width == 0 { row_end } else { 0 };
            if spent + cost > BUDGET {
                ranges.push((start, pixel));
                (start, spent) = (pixel, 0);
            }
            spent += cost;
            if stops(pixel) || pixel + 1 == height * width {
                ranges.push((start, pixel + 1));
                (start, spent) = (pixel + 1, 0);
            }
        }
        Some(ranges)
    }
}

/// Draws the pixels of `range` into `x`, and writes their features into `maps`.
///
/// # Panics
///
/// When the shapes do not fit, or x or maps shares its memory with another tensor.
#[track_caller]
pub fn sample_pixels(
    network: &Network,
    [table, weights, given, u, known]: [&Tensor; 5],
    (from, to): (usize, usize),
    x: &mut Tensor,
    maps: &mut Tensor,
) {
    let [batch, height, width, channels] = *x.shape() else {
        panic!("sample_pixels: {:?} is not [B, H, W, C]", x.shape())
    };
    assert!(
        u.shape() == x.shape()
            && known.len() == height * width
            && weights.shape() == [network.weights]
            && maps.shape() == [batch, network.maps[0]]
            && given.shape()[0] == batch
            && from <= to
            && to <= height * width,
        "sample_pixels: x {:?}, u {:?}, known {:?}, weights {:?}, given {:?}, maps {:?}, pixels {from} to {to}",
        x.shape(),
        u.shape(),
        known.shape(),
        weights.shape(),
        given.shape(),
        maps.shape()
    );
    let [features, logits, scans] = network.steps.each_ref().map(|steps| steps.len() as u32);
    let params = SamplingParams {
        batch: batch as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        levels: network.scale.levels as u32,
        mean: network.scale.mean,
        std_dev: network.scale.std,
        features,
        logits,
        scans,
        from_pixel: from as u32,
        to_pixel: to as u32,
        maps: network.maps[0] as u32,
        given: (given.len() / batch.max(1)) as u32,
        logits_at: network.maps[1] as u32,
    };
    SAMPLE_PIXELS.update(params, [table, weights, given, u, known], [x, maps]);
}
