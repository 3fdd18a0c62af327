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
//! The layers and their order are the network's own: `program.rs` records them.
//!
//! Completion is the same, except that given pixels are copied instead of drawn.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::net::PixelNet;
use super::program::{Program, Step};
use super::whole::Whole;
use crate::Tape;
use crate::cpu::gemm::in_share;
use crate::error::Result;
use crate::models::abilities::{Known, Watch};
use crate::ops::layout;
use crate::ops::pick::{Scale, pick};
use crate::ops::unary::{self, Function};
use crate::tensor::Tensor;

/// Limit on the bytes of the maps that a CPU thread works on at a time (if that allows at least [`FEW`] images), so
/// that they stay in the caches, and memory does not grow with the batch.
const MAPS: usize = 32 << 20;

/// Smallest batch per thread that amortises reading the weights.
const FEW: usize = 8;

/// Largest batch whose images are drawn by one workgroup each. The launches of single layers fill a GPU with more images
/// than that, and a workgroup of 256 is large for a small network.
const WHOLE: usize = 1 << 10;

/// The feature maps of a batch of unfinished images.
struct Sampler<'p> {
    program: &'p Program<'p>,
    scale: Scale,
    /// \[B, H, W, channels\] each, by number. The first is the image in the scale of the network's input.
    maps: Vec<Tensor>,
}

impl<'p> Sampler<'p> {
    /// A sampler that starts from images `x` \[B, H, W, C\] in \[0, 1\] and, for a conditional network, `given`.
    fn new(
        net: &PixelNet,
        program: &'p Program<'p>,
        x: &Tensor,
        given: Option<&Tensor>,
    ) -> Sampler<'p> {
        let [batch, height, width, _] = *x.shape() else { unreachable!("images are checked") };
        let (mut image, given) = start(net, program, x, given);
        layout::unshare(&mut image);
        // The other maps start unwritten: a step writes a map at a pixel before anything reads it there.
        let mut maps = vec![image];
        for (number, &channels) in program.channels.iter().enumerate().skip(1) {
            let given = given.iter().find(|(map, _)| *map == number);
            maps.push(match given {
                Some((_, given)) => given.clone(),
                None => Tensor::unwritten(x.device(), &[batch, height, width, channels]),
            });
        }
        Sampler { program, scale: net.scale(), maps }
    }

    /// Runs one layer at a pixel. A step writes maps after those that it reads.
    fn step(&mut self, step: &Step, at: (usize, usize)) {
        match step {
            Step::Conv { conv, x, around, residual, y } => {
                let (read, write) = self.maps.split_at_mut(*y);
                conv.at(&read[*x], *around, residual.map(|map| &read[map]), at, &mut write[0]);
            }
            Step::Lstm { lstm, x, extra, u } => {
                let (read, write) = self.maps.split_at_mut(*u);
                let [u, h, c, ..] = write else { unreachable!("u, h and c") };
                lstm.at(&read[*x], extra.map(|map| &read[map]), at, (u, h, c));
            }
        }
    }

    /// Computes the features of a pixel from the pixels drawn so far.
    fn features(&mut self, at: (usize, usize)) {
        self.program.features.iter().for_each(|step| self.step(step, at));
    }

    /// Computes the logits of a pixel from its features.
    fn logits(&mut self, at: (usize, usize)) {
        self.program.logits.iter().for_each(|step| self.step(step, at));
    }

    /// Draws a pixel; if it is `known`, only computes its features.
    fn pixel(&mut self, at: (usize, usize), known: bool, u: &Tensor) {
        if known {
            return self.features(at);
        }
        for channel in 0..u.shape()[3] {
            self.features(at);
            self.logits(at);
            let place = (at.0, at.1, channel);
            let [x, .., logits] = &mut self.maps[..] else { unreachable!("an image and logits") };
            pick((logits, u), self.scale, place, x);
        }
    }

    /// Scans a finished row from right to left, layer by layer.
    fn finish_row(&mut self, row: usize) {
        for step in &self.program.scans {
            let width = self.maps[0].shape()[2];
            (0..width).rev().for_each(|column| self.step(step, (row, column)));
        }
    }

    /// The images in \[0, 1\].
    fn images(&self) -> Result<Vec<f32>> {
        rounded(&self.maps[0], self.scale)
    }
}

/// The images `x` in the scale of the network's input, and the maps that are computed before sampling, by number.
fn start(
    net: &PixelNet,
    program: &Program,
    x: &Tensor,
    given: Option<&Tensor>,
) -> (Tensor, Vec<(usize, Tensor)>) {
    let tape = Tape::inference();
    let given = given.map(|given| tape.constant(given.clone()));
    let seen = net.condition_map(given.as_ref());
    let image = net.scaled(&tape.constant(x.clone())).value().clone();
    let given = program.given.iter();
    let given = given.map(|given| (given.map, given.value(x.shape()[0], seen.as_ref())));
    (image, given.collect())
}

/// Images in the scale of a network's input, converted to \[0, 1\] and rounded to the nearest level.
fn rounded(x: &Tensor, scale: Scale) -> Result<Vec<f32>> {
    let top = (scale.levels - 1) as f32;
    let x = unary::apply(Function::Affine, x, scale.std, scale.mean);
    Ok(x.to_vec()?.into_iter().map(|x| (x * top).round() / top).collect())
}

/// The inputs of sampling: images of which some pixels may be given, uniform random numbers, and what a conditional
/// network is given.
struct Batch {
    x: Tensor,
    u: Tensor,
    given: Option<Tensor>,
}

impl Batch {
    /// Rows `from..to` of the batch.
    fn rows(&self, from: usize, to: usize) -> Batch {
        let of = |t: &Tensor| layout::slice(t, 0, from as i64, to - from);
        Batch { x: of(&self.x), u: of(&self.u), given: self.given.as_ref().map(of) }
    }

    /// Draws the pixels that are not `known`, one image per workgroup. `None` if the network does not fit.
    fn draw_whole(
        &self,
        (net, program): (&PixelNet, &Program),
        known: Option<Known>,
        watch: &mut Watch,
    ) -> Option<Result<Vec<f32>>> {
        let [_, height, width, channels] = *self.x.shape() else { unreachable!("checked") };
        let scale = net.scale();
        let whole = Whole::new(program, [height, width, channels], scale);
        let (x, given) = start(net, program, &self.x, self.given.as_ref());
        whole.draw([&x, &self.u], &given, known, watch, &|x| rounded(x, scale))
    }

    /// Draws the pixels that are not `known`, and calls `each` after every pixel, given or drawn.
    fn draw(
        &self,
        (net, program): (&PixelNet, &Program),
        known: Option<Known>,
        each: &mut dyn FnMut(usize, &Sampler) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let mut sampler = Sampler::new(net, program, &self.x, self.given.as_ref());
        let (height, width) = (self.x.shape()[1], self.x.shape()[2]);
        let pixels = height * width;
        for pixel in 0..pixels {
            let at = (pixel / width, pixel % width);
            sampler.pixel(at, known.is_some_and(|known| known.mask[pixel]), &self.u);
            if at.1 + 1 == width && pixel + 1 < pixels {
                sampler.finish_row(at.0);
            }
            each(pixel, &sampler)?;
        }
        sampler.images()
    }
}

/// Draws every pixel that is not given, with uniform random numbers `u` \[B, H, W, C\]. Returns images
/// \[B, H, W, C\] in \[0, 1\]. A conditional network needs `given`, as in
/// [`PixelNet::forward`].
///
/// On a GPU, one workgroup draws each image (`whole.rs`) if the network fits and there are at most 1,024 images. On a
/// CPU, threads divide the images of the batch, a few at a time, unless a film is recorded, which shows all of them
/// together. The images do not depend on how they are divided. Fails if the device fails, or with the error of
/// [`Watch::progress`]. Panics if the shapes differ.
pub fn fill(
    net: &PixelNet,
    known: Option<Known>,
    u: &Tensor,
    given: Option<&Tensor>,
    watch: &mut Watch,
) -> Result<Tensor> {
    let shape = u.shape().to_vec();
    let device = u.device();
    let x = known.map_or_else(|| Tensor::zeros(device, &shape), |known| known.images.clone());
    assert_eq!(x.shape(), shape, "fill: images and uniform numbers differ in shape");
    let batch = Batch { x, u: u.clone(), given: given.cloned() };
    let program = Program::of(net);
    let net = (net, &program);
    if !device.is_cpu()
        && shape[0] <= WHOLE
        && let Some(drawn) = batch.draw_whole(net, known, watch)
    {
        return Ok(Tensor::new(device, &drawn?, &shape));
    }

    let (rows, pixels) = (shape[0], shape[1] * shape[2]);
    let at_a_time = (MAPS / (4 * pixels * program.numbers())).max(FEW);
    let parts = rows.div_ceil(at_a_time).next_multiple_of(rayon::current_num_threads()).min(rows);
    let progress = watch.progress;
    let data = if !device.is_cpu() || parts == 1 || watch.film.is_some() {
        let film = &mut watch.film;
        batch.draw(net, known, &mut |pixel, sampler| {
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
        let done = AtomicUsize::new(0);
        let part = |part: usize| {
            let part = batch.rows(part * rows / parts, (part + 1) * rows / parts);
            part.draw(net, known, &mut |_, _| {
                progress((done.fetch_add(1, Ordering::Relaxed) + 1) / parts, pixels)
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
pub fn logits(net: &PixelNet, x: &Tensor, given: Option<&Tensor>) -> Tensor {
    let program = Program::of(net);
    let mut sampler = Sampler::new(net, &program, x, given);
    for row in 0..x.shape()[1] {
        for column in 0..x.shape()[2] {
            sampler.features((row, column));
            sampler.logits((row, column));
        }
        sampler.finish_row(row);
    }
    sampler.maps.pop().expect("the logits are the last map")
}
