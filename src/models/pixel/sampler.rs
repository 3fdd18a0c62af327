//! Exact sampling with cached features: the work per pixel does not grow with the image.
//!
//! Pixel Recurrent Neural Networks, section 2.1: pixels are drawn in raster order, R then G then B, each
//! from its distribution given all earlier values. The features of a pixel depend only on earlier pixels, so they
//! are computed once, at that pixel alone, and stored in maps:
//!
//! - a convolution reads the previous layer's map at the taps of its kernel;
//! - the Row LSTM and the left direction of the BiLSTM read the states of neighbours that are already finished;
//! - the right direction of row r is scanned when row r is finished, and is read by row r + 1.
//!
//! Completion is the same, except that given pixels are copied instead of drawn.

use rayon::prelude::*;

use super::net::{AFTER, BEFORE, BOTH, Core, Layer, PLAIN, PixelNet};
use crate::Tape;
use crate::cpu::gemm::in_share;
use crate::error::Result;
use crate::models::abilities::{Known, Watch};
use crate::nn::{PackedConv, PackedLstm};
use crate::ops::binary::{self, Operation};
use crate::ops::layout;
use crate::ops::pick::{Scale, pick};
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;

/// Limit on the bytes of the maps that a CPU thread works on at a time (if that allows at least [`FEW`] images), so
/// that they stay in the caches, and memory does not grow with the batch.
const MAPS: usize = 32 << 20;

/// Smallest batch per thread that amortises reading the weights.
const FEW: usize = 8;

/// The LSTM states of one direction at every pixel.
struct State {
    lstm: PackedLstm,
    /// Input-to-state map \[B, H, W, 4h\].
    u: Tensor,
    /// \[B, H, W, h\].
    h: Tensor,
    /// \[B, H, W, h\].
    c: Tensor,
    /// Contributions of the small image and of learned states, added to u.
    extra: Option<Tensor>,
}

/// The main part of a layer. There are only a few instances, so the size of the enum does not matter.
#[allow(clippy::large_enum_variant)]
enum Step {
    Cnn { down: PackedConv, conv: PackedConv, a: Tensor, b: Tensor, extra: Option<Tensor> },
    Row(Box<State>),
    Diagonal { left: Box<State>, right: Box<State>, up_right: PackedConv, part: Tensor },
}

struct LayerCache {
    step: Step,
    up: PackedConv,
    skip: Option<PackedConv>,
    y: Tensor,
}

/// The network and its feature maps for a batch of unfinished images.
struct Sampler {
    scale: Scale,
    residual: bool,
    /// The images \[B, H, W, C\] in the scale of the network's input.
    x: Tensor,
    first: PackedConv,
    first_y: Tensor,
    layers: Vec<LayerCache>,
    /// Partial sums of the skip connections; two buffers that alternate as input and output.
    skips: [Tensor; 2],
    head: [PackedConv; 3],
    head_y: [Tensor; 3],
}

impl State {
    fn new(lstm: PackedLstm, [b, h, w, n]: [usize; 4], condition: Option<Tensor>) -> State {
        let device = lstm.device().clone();
        let map = |channels| Tensor::zeros(&device, &[b, h, w, channels]);
        let edge = lstm.edge.as_ref().map(|e| layout::expand(e, &[b, h, w, 4 * n]));
        let extra = match (condition, edge) {
            (Some(c), Some(e)) => Some(binary::apply(Operation::Add, &c, &e)),
            (c, e) => c.or(e),
        };
        State { u: map(4 * n), h: map(n), c: map(n), lstm, extra }
    }

    /// Computes the state at a pixel from the layer's input x.
    fn at(&mut self, x: &Tensor, at: (usize, usize)) {
        self.lstm.input.at(x, PLAIN, self.extra.as_ref(), at, &mut self.u);
        self.lstm.at(&self.u, at, (&mut self.h, &mut self.c));
    }
}

impl LayerCache {
    fn new(net: &PixelNet, layer: &Layer, batch: usize, maps: Option<&Tensor>) -> LayerCache {
        let config = &net.config;
        let (height, width, h) = (config.height, config.width, config.hidden);
        let up = layer.up.packed();
        let device = up.device().clone();
        let map = |channels| Tensor::zeros(&device, &[batch, height, width, channels]);
        let tape = Tape::inference();
        let mut conditions = layer.condition.iter().map(|conv| {
            let maps = tape.constant(maps.expect("a conditional network has maps").clone());
            conv.forward(&maps, PLAIN, None).value().clone()
        });
        let size = [batch, height, width, h];
        let mut state = |lstm: &crate::nn::LstmScan| {
            Box::new(State::new(lstm.packed((height, width)), size, conditions.next()))
        };
        let step = match &layer.core {
            Core::Row(lstm) => Step::Row(state(lstm)),
            Core::Diagonal { left, right } => Step::Diagonal {
                left: state(left),
                right: state(right),
                up_right: up.shifted_down(),
                part: map(2 * h),
            },
            Core::Cnn { down, conv } => Step::Cnn {
                down: down.packed(),
                conv: conv.packed(),
                a: map(h),
                b: map(h),
                extra: conditions.next(),
            },
        };
        let skip = layer.skip.as_ref().map(|s| s.packed());
        LayerCache { step, up, skip, y: map(2 * h) }
    }

    /// Computes the layer's output at a pixel from its input x.
    fn at(&mut self, x: &Tensor, residual: bool, at: (usize, usize)) {
        let residual = residual.then_some(x);
        match &mut self.step {
            Step::Cnn { down, conv, a, b, extra } => {
                down.at(x, BOTH, None, at, a);
                let conditional = extra.is_some();
                conv.at(a, if conditional { PLAIN } else { AFTER }, extra.as_ref(), at, b);
                let around = if conditional { BEFORE } else { PLAIN };
                self.up.at(b, around, residual, at, &mut self.y);
            }
            Step::Row(state) => {
                state.at(x, at);
                self.up.at(&state.h, PLAIN, residual, at, &mut self.y);
            }
            Step::Diagonal { left, right, up_right, part } => {
                left.at(x, at);
                up_right.at(&right.h, PLAIN, residual, at, part);
                self.up.at(&left.h, PLAIN, Some(part), at, &mut self.y);
            }
        }
    }

    /// Scans a finished row in the right direction.
    fn finish_row(&mut self, x: &Tensor, row: usize) {
        if let Step::Diagonal { right, .. } = &mut self.step {
            (0..x.shape()[2]).rev().for_each(|column| right.at(x, (row, column)));
        }
    }
}

impl Sampler {
    /// A sampler that starts from images `x` \[B, H, W, C\] and, for a conditional network, `small`, in \[0, 1\].
    fn new(net: &PixelNet, x: &Tensor, small: Option<&Tensor>) -> Sampler {
        let config = &net.config;
        let [batch, height, width, _] = *x.shape() else { unreachable!("images are checked") };
        let map = |channels| Tensor::zeros(x.device(), &[batch, height, width, channels]);
        let tape = Tape::inference();
        let scaled = |x: &Tensor| net.scaled(&tape.constant(x.clone()));
        let maps = net.upsample.as_ref().zip(small).map(|(u, s)| u.forward(&scaled(s)));
        let maps = maps.as_ref().map(|m| m.value());
        let layers = net.layers.iter().map(|l| LayerCache::new(net, l, batch, maps)).collect();
        let mut own = scaled(x).value().clone();
        layout::unshare(&mut own);
        Sampler {
            scale: net.scale(),
            residual: config.residual,
            x: own,
            first: net.first.packed(),
            first_y: map(2 * config.hidden),
            layers,
            skips: [(); 2].map(|()| map(if config.skip { 2 * config.hidden } else { 0 })),
            head: std::array::from_fn(|i| net.head[i].packed()),
            head_y: [config.head, config.head, config.outputs()].map(map),
        }
    }

    /// Computes the features of a pixel from the pixels drawn so far.
    fn features(&mut self, at: (usize, usize)) {
        self.first.at(&self.x, PLAIN, None, at, &mut self.first_y);
        let mut x = &self.first_y;
        for layer in &mut self.layers {
            layer.at(x, self.residual, at);
            x = &layer.y;
        }
    }

    /// Computes the logits of a pixel from its features.
    fn logits(&mut self, at: (usize, usize)) {
        let last = self.layers.last().map_or(&self.first_y, |layer| &layer.y);
        let [mut from, mut to] = {
            let [a, b] = &mut self.skips;
            [a, b]
        };
        let mut summed = false;
        for layer in self.layers.iter().rev() {
            let Some(skip) = &layer.skip else { continue };
            let sum = if summed { &*from } else { last };
            skip.at(&layer.y, PLAIN, Some(sum), at, to);
            std::mem::swap(&mut from, &mut to);
            summed = true;
        }
        let y = if summed { &*from } else { last };
        let [a, b, c] = &mut self.head_y;
        self.head[0].at(y, BOTH, None, at, a);
        self.head[1].at(a, AFTER, None, at, b);
        self.head[2].at(b, PLAIN, None, at, c);
    }

    /// Draws a pixel; if it is `known`, only computes its features.
    fn pixel(&mut self, at: (usize, usize), known: bool, u: &Tensor) {
        if known {
            return self.features(at);
        }
        for channel in 0..self.x.shape()[3] {
            self.features(at);
            self.logits(at);
            let place = (at.0, at.1, channel);
            pick((&self.head_y[2], u), self.scale, place, &mut self.x);
        }
    }

    /// Scans a finished row in the right direction, layer by layer.
    fn finish_row(&mut self, row: usize) {
        let mut x = &self.first_y;
        for layer in &mut self.layers {
            layer.finish_row(x, row);
            x = &layer.y;
        }
    }

    /// The images in \[0, 1\], with each value rounded to the nearest level.
    fn images(&self) -> Result<Vec<f32>> {
        let top = (self.scale.levels - 1) as f32;
        let x = unary::apply(Function::Affine, &self.x, self.scale.deviation, self.scale.mean);
        Ok(x.to_vec()?.into_iter().map(|x| (x * top).round() / top).collect())
    }
}

/// Elements per pixel of all maps, except those of the small image and of learned states.
fn numbers(net: &PixelNet) -> usize {
    let of_layer = |layer: &Layer| match &layer.core {
        Core::Cnn { .. } => 4,
        Core::Row(_) => 8,
        Core::Diagonal { .. } => 16,
    };
    let layers: usize = net.layers.iter().map(of_layer).sum();
    net.config.hidden * (2 + layers) + 2 * net.config.head + net.config.outputs()
}

/// Draws every pixel that is not given, with uniform random numbers `u` \[B, H, W, C\]. Returns images
/// \[B, H, W, C\] in \[0, 1\]. A conditional network enlarges `small`.
///
/// On a CPU, threads divide the images of the batch, a few at a time, unless a film is recorded, which shows all of
/// them together. The images do not depend on how they are divided. Fails if the device fails, or with the error of
/// [`Watch::progress`]. Panics if the shapes differ.
pub fn fill(
    net: &PixelNet,
    known: Option<Known>,
    u: &Tensor,
    small: Option<&Tensor>,
    watch: &mut Watch,
) -> Result<Tensor> {
    let shape = u.shape().to_vec();
    let device = u.device();
    let blank = Tensor::zeros(device, &shape);
    let x = known.map_or(&blank, |known| known.images);
    assert_eq!(x.shape(), shape, "fill: images and uniform numbers differ in shape");
    let given = |pixel: usize| known.is_some_and(|known| known.mask[pixel]);
    let pixels = shape[1] * shape[2];

    let run = |x: &Tensor,
               u: &Tensor,
               small: Option<&Tensor>,
               each: &mut dyn FnMut(usize, &Sampler) -> Result<()>| {
        let mut sampler = Sampler::new(net, x, small);
        for pixel in 0..pixels {
            let at = (pixel / shape[2], pixel % shape[2]);
            sampler.pixel(at, given(pixel), u);
            if at.1 + 1 == shape[2] && pixel + 1 < pixels {
                sampler.finish_row(at.0);
            }
            each(pixel, &sampler)?;
        }
        sampler.images()
    };
    let at_a_time = (MAPS / (4 * pixels * numbers(net))).max(FEW);
    let parts = shape[0].div_ceil(at_a_time).next_multiple_of(rayon::current_num_threads());
    let parts = parts.min(shape[0]);
    let data = if !device.is_cpu() || parts == 1 || watch.film.is_some() {
        let (progress, film) = (watch.progress, &mut watch.film);
        run(x, u, small, &mut |pixel, sampler| {
            progress(pixel + 1, pixels)?;
            match film {
                Some((every, film)) if pixel % *every == 0 || pixel + 1 == pixels => {
                    film(sampler.images()?);
                }
                _ => {}
            }
            Ok(())
        })?
    } else {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let progress = watch.progress;
        let part = |part: usize| {
            let (from, to) = (part * shape[0] / parts, (part + 1) * shape[0] / parts);
            let of = |t: &Tensor| layout::slice(t, 0, from as i64, to - from);
            run(&of(x), &of(u), small.map(of).as_ref(), &mut |_, _| {
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress(done / parts, pixels)
            })
        };
        let drawn: Result<Vec<Vec<f32>>> =
            (0..parts).into_par_iter().map(|i| in_share(parts, || part(i))).collect();
        drawn?.concat()
    };
    Ok(Tensor::new(device, &data, &shape))
}

/// Logits of every pixel of a given x \[B, H, W, C\], computed pixel by pixel as in sampling. They equal those of
/// [`PixelNet::forward`] up to rounding; tests compare the two.
pub fn logits(net: &PixelNet, x: &Tensor, small: Option<&Tensor>) -> Tensor {
    let mut sampler = Sampler::new(net, x, small);
    for row in 0..x.shape()[1] {
        for column in 0..x.shape()[2] {
            sampler.features((row, column));
            sampler.logits((row, column));
        }
        sampler.finish_row(row);
    }
    let [_, _, logits] = sampler.head_y;
    logits
}
