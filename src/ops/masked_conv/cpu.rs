//! Convolution over the visible taps. Shaders: `shaders/masked_conv*.wgsl`.
//!
//! A task processes a few rows of an image. It gathers the inputs of all taps into a matrix
//! A \[pixels, taps * channels\] that stays in the cache (im2col), applies the ReLU before the convolution on the way,
//! and multiplies A by the weights. A 1 x 1 kernel without ReLU reads x directly. If a mask hides channels from each
//! other, each run of columns is a product with fewer terms (`ops/masked_conv/window.rs`).
//!
//! Shapes: x \[B, H, W, I\], w \[T, I, O\], y, d \[B, H, W, O\].

use std::ops::Range;

use rayon::prelude::*;

use super::params::MaskedConvParams;
use super::taps::{Line, Taps};
use super::weights::{Rows, Weights, turned, with_weights};
use super::window::Columns;
use crate::cpu::gemm::{Activation, Gemm, Mat, Scratch, gemm, gemm_on_this_thread};
use crate::cpu::simd::vectorize;

/// Floats in a gathered block: 128 KiB, an eighth of a common L2 cache.
const BLOCK: usize = 32 * 1024;
/// Smallest number of pixels in a block, so that products have enough rows.
const PIXELS: usize = 64;
/// The same for the weight gradient, which reads and writes all of its sums once per block.
const TERMS: usize = 256;
/// Largest number of weights for which each thread can keep separate sums in a common L2 cache.
const LARGE: usize = 128 * 1024;

thread_local! {
    static GATHERED: Scratch = const { Scratch::new() };
    static SUMS: Scratch = const { Scratch::new() };
}

/// Number of rows in a block of at least `fewest` pixels (or the whole image).
fn block_rows((height, width): (usize, usize), depth: usize, fewest: usize) -> usize {
    let pixels = (BLOCK / depth.max(1)).max(fewest);
    (pixels / width).clamp(1, height)
}

/// Calls `f(A)` with the gathered matrix A of `rows` of an image.
fn with_gathered<R>(
    taps: &Taps,
    image: &[f32],
    (height, width): (usize, usize),
    rows: Range<usize>,
    f: impl FnOnce(&[f32]) -> R,
) -> R {
    let depth = taps.depth();
    if taps.plain() {
        return f(&image[rows.start * width * depth..rows.end * width * depth]);
    }
    GATHERED.with(|scratch| {
        scratch.slice(rows.len() * width * depth, |a| {
            vectorize(
                #[inline(always)]
                || {
                    let lines = a.chunks_exact_mut((width * depth).max(1));
                    for (r, to) in rows.clone().zip(lines) {
                        taps.gather(image, (height, width), Line::row(r, width), to);
                    }
                },
            );
            f(a)
        })
    })
}

/// y = act(conv(x) + bias), block by block; `after(index in y, block of y)` runs on each block while it is in the
/// cache.
fn convolve(
    (taps, weights): (&Taps, &Weights),
    x: &[f32],
    (height, width, outputs): (usize, usize, usize),
    (bias, activation): (Option<&[f32]>, Activation),
    y: &mut [f32],
    after: impl Fn(usize, &mut [f32]) + Sync,
) {
    let (depth, image) = (taps.depth(), height * width * taps.channels());
    let block = block_rows((height, width), depth, PIXELS) * width * outputs;
    y.par_chunks_mut(height * width * outputs).enumerate().for_each(|(b, whole)| {
        let x = &x[b * image..][..image];
        whole.par_chunks_mut(block).enumerate().for_each(|(i, y)| {
            let first = i * block / (width * outputs);
            let rows = first..first + y.len() / (width * outputs);
            with_gathered(taps, x, (height, width), rows, |a| {
                let rows = Rows { count: y.len() / outputs, a, depth, stride: outputs };
                weights.multiply(&rows, (bias, activation), y);
            });
            after(b * height * width * outputs + i * block, y);
        });
    });
}

/// y = act(conv(x) + bias) + residual.
pub fn forward(p: &MaskedConvParams, [x, w, bias, residual]: [&[f32]; 4], [y]: [&mut [f32]; 1]) {
    let shape = (p.height as usize, p.width as usize, p.outputs as usize);
    let activation = if p.relu_after != 0 { Activation::Relu } else { Activation::None };
    let bias = (p.has_bias != 0).then_some(bias);
    let (taps, runs) = (&Taps::forward(p), p.products().by_output());
    let b = (Mat::row_major(w, p.outputs as usize), taps.depth());
    with_weights(&[b], p.outputs as usize, &runs, |weights| {
        convolve((taps, weights), x, shape, (bias, activation), y, |at, y| {
            if p.has_residual != 0 {
                add(y, &residual[at..][..y.len()]);
            }
        });
    });
}

/// y += x.
fn add(y: &mut [f32], x: &[f32]) {
    vectorize(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
        },
    );
}

/// dx = a'(x) times the sum of d w^T over the taps.
pub fn input_gradient(p: &MaskedConvParams, [x, w, d]: [&[f32]; 3], [dx]: [&mut [f32]; 1]) {
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let shape = (p.height as usize, p.width as usize, inputs);
    let taps = &Taps::forward(p).reversed(outputs);
    let b = turned(w, p.taps as usize, (inputs, outputs));
    with_weights(&b, inputs, &p.products().by_input(), |weights| {
        convolve((taps, weights), d, shape, (None, Activation::None), dx, |at, dx| {
            if p.relu_before != 0 {
                hide(dx, &x[at..][..dx.len()]);
            }
        });
    });
}

/// Sets dx to 0 unless x > 0: the gradient of the ReLU.
fn hide(dx: &mut [f32], x: &[f32]) {
    vectorize(
        #[inline(always)]
        || {
            for (dx, &x) in dx.iter_mut().zip(x) {
                *dx = if x > 0.0 { *dx } else { 0.0 };
            }
        },
    );
}

/// Number of partial sums of a weight gradient, each over some of the images. It depends only on the shape, so results
/// are bitwise identical for any number of threads.
fn parts(batch: usize, size: usize) -> usize {
    batch.clamp(1, 16).min((1 << 22) / size.max(1)).max(1)
}

/// dw += A^T d for the visible weights.
fn add_products(
    multiply: impl Fn(&Gemm, &mut [f32], usize),
    runs: &[Columns],
    (a, depth): (&[f32], usize),
    (d, outputs): (&[f32], usize),
    dw: &mut [f32],
) {
    for Columns { columns, terms } in runs {
        let product = Gemm {
            m: terms[0].len(),
            n: columns.len(),
            k: d.len() / outputs,
            a: Mat { data: a, row_stride: 1, col_stride: depth },
            b: Mat::row_major(&d[columns.start..], outputs).into(),
            bias: None,
            activation: Activation::None,
            accumulate: true,
        };
        multiply(&product, &mut dw[columns.start..], outputs);
    }
}

/// dw = sum of A^T d, dbias = sum of d, over all pixels. The third output is scratch memory of the GPU.
///
/// Threads divide the images, and each accumulates partial sums. For a 1 x 1 kernel with many weights, threads divide
/// the weights instead, so that the sums of each thread stay in its cache.
pub fn weight_gradient(p: &MaskedConvParams, [x, d]: [&[f32]; 2], [dw, dbias, _]: [&mut [f32]; 3]) {
    let (batch, height, width) = (p.batch as usize, p.height as usize, p.width as usize);
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let taps = Taps::forward(p);
    let (depth, pixels) = (taps.depth(), height * width);
    let shared = taps.plain() && depth * outputs > LARGE;
    let weights = if shared { 0 } else { depth * outputs };
    let size = weights + outputs;
    let (parts, runs) = (parts(batch, size), p.products().by_output());
    let add_part = |(part, sum): (usize, &mut [f32])| {
        sum.fill(0.0);
        let (dw, dbias) = sum.split_at_mut(weights);
        for b in part * batch / parts..(part + 1) * batch / parts {
            let x = &x[b * pixels * inputs..][..pixels * inputs];
            let d = &d[b * pixels * outputs..][..pixels * outputs];
            let rows = block_rows((height, width), depth, TERMS);
            for first in (0..height).step_by(rows) {
                let rows = first..height.min(first + rows);
                let d = &d[rows.start * width * outputs..rows.end * width * outputs];
                if !shared {
                    with_gathered(&taps, x, (height, width), rows, |a| {
                        let d = (d, outputs);
                        add_products(gemm_on_this_thread, &runs, (a, depth), d, dw);
                    });
                }
                vectorize(
                    #[inline(always)]
                    || {
                        for d in d.chunks_exact(outputs) {
                            for (sum, d) in dbias.iter_mut().zip(d) {
                                *sum += d;
                            }
                        }
                    },
                );
            }
        }
    };
    SUMS.with(|scratch| {
        scratch.slice(parts * size, |sums| {
            sums.par_chunks_mut(size).enumerate().for_each(add_part);
            let (first, rest) = sums.split_at_mut(size);
            rest.chunks_exact(size).for_each(|part| add(first, part));
            dw[..weights].copy_from_slice(&first[..weights]);
            dbias.copy_from_slice(&first[weights..]);
        });
    });
    if shared {
        dw.fill(0.0);
        add_products(gemm, &runs, (x, depth), (d, outputs), dw);
    }
}

/// Computes y at one pixel of every image; the rest of y is unchanged.
pub fn at_pixel(p: &MaskedConvParams, [x, w, bias, residual]: [&[f32]; 4], [y]: [&mut [f32]; 1]) {
    let (batch, height, width) = (p.batch as usize, p.height as usize, p.width as usize);
    let (inputs, outputs) = (p.inputs as usize, p.outputs as usize);
    let at = (p.row as usize, p.column as usize);
    let pixel = at.0 * width + at.1;
    let (pixels, taps) = (height * width, Taps::forward(p));
    let depth = taps.depth();
    if batch == 0 {
        return;
    }
    let gathered = if taps.plain() { 0 } else { batch * depth };
    GATHERED.with(|scratch| {
        scratch.slice(gathered, |a| {
            vectorize(
                #[inline(always)]
                || {
                    for (a, x) in
                        a.chunks_exact_mut(depth.max(1)).zip(x.chunks_exact(pixels * inputs))
                    {
                        taps.gather_pixel(x, (height, width), at, a);
                    }
                },
            );
            let weights = Weights::lying(w, outputs, &p.products().by_output());
            let (a, depth) = match taps.plain() {
                true => (&x[pixel * inputs..], pixels * inputs),
                false => (&*a, depth),
            };
            let rows = Rows { count: batch, a, depth, stride: pixels * outputs };
            let bias = (p.has_bias != 0).then_some(bias);
            let activation = if p.relu_after != 0 { Activation::Relu } else { Activation::None };
            weights.multiply(&rows, (bias, activation), &mut y[pixel * outputs..]);
        });
    });
    if p.has_residual != 0 {
        vectorize(
            #[inline(always)]
            || {
                let maps = y.chunks_exact_mut(pixels * outputs);
                for (y, residual) in maps.zip(residual.chunks_exact(pixels * outputs)) {
                    let here = pixel * outputs..(pixel + 1) * outputs;
                    for (y, x) in y[here.clone()].iter_mut().zip(&residual[here]) {
                        *y += x;
                    }
                }
            },
        );
    }
}
