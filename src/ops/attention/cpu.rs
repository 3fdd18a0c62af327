//! Attentive read and write. Shaders: `shaders/attention/attention_read.wgsl`,
//! `shaders/attention/attention_write.wgsl` and their gradients.
//!
//! A task processes a few images; the data of one image (bank, t and their gradients) stay in L1. The matrix products
//! are those of `cpu/gemm`. Products along the rows of an image need pixels without channels in between, so operands
//! with several channels are converted to planes, \[C, ...\], and back.
//!
//! v, canvas \[B, H, W, C\], p \[B, 5\], patches \[B, S, N, N, C\], work \[B, bank + S t\] with the bank FX \[N, W\],
//! FY \[N, H\] and t \[N, W, C\].

use rayon::prelude::*;

use super::params::AttentionParams;
use crate::cpu::gemm::{Activation, Gemm, Mat, Scratch, gemm_on_this_thread};
use crate::cpu::math::sigmoid;
use crate::cpu::simd::{sum, update, vectorize};
use crate::ops::filterbank::cpu::{Grid, GridGradient};

thread_local! {
    static SCRATCH: Scratch = const { Scratch::new() };
}

/// Images per task.
const IMAGES: usize = 4;

/// The sizes of [`AttentionParams`] as usize; `image` and those below it are in floats.
#[derive(Clone, Copy)]
struct Sizes {
    filters: usize,
    height: usize,
    width: usize,
    channels: usize,
    sources: usize,
    image: usize,
    patch: usize,
    between: usize,
    bank: usize,
    work: usize,
}

impl Sizes {
    fn new(p: &AttentionParams) -> Sizes {
        let [filters, height, width, channels, sources] =
            [p.filters, p.height, p.width, p.channels, p.sources].map(|n| n as usize);
        Sizes {
            filters,
            height,
            width,
            channels,
            sources,
            image: p.image(),
            patch: p.patch(),
            between: p.between(),
            bank: p.bank(),
            work: p.work(),
        }
    }

    /// Floats in a row of an image.
    fn row(&self) -> usize {
        self.width * self.channels
    }

    /// Number of rows in the planes of t and of the patches.
    fn lines(&self) -> usize {
        self.channels * self.sources * self.filters
    }

    /// Floats of scratch memory: two images, scaled FY, scaled patches, and two copies of t and patches as planes.
    fn scratch(&self) -> usize {
        let patches = self.sources * self.patch;
        2 * self.image + self.filters * self.height + 3 * patches + 2 * self.sources * self.between
    }

    #[inline(always)]
    fn grid(&self, p: &[f32]) -> Grid {
        Grid::new(p, self.filters, (self.height, self.width))
    }

    /// FX, FY and t in an image's work.
    fn split<'a>(&self, work: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (bank, t) = work.split_at(self.bank);
        let (fx, fy) = bank.split_at(self.filters * self.width);
        (fx, fy, t)
    }

    /// Like [`Sizes::split`], for writing.
    fn split_mut<'a>(&self, work: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32], &'a mut [f32]) {
        let (bank, t) = work.split_at_mut(self.bank);
        let (fx, fy) = bank.split_at_mut(self.filters * self.width);
        (fx, fy, t)
    }
}

/// The unused rest of a task's scratch memory.
struct Space<'a>(&'a mut [f32]);

impl<'a> Space<'a> {
    #[inline(always)]
    fn take(&mut self, floats: usize) -> &'a mut [f32] {
        let (first, others) = std::mem::take(&mut self.0).split_at_mut(floats);
        self.0 = others;
        first
    }
}

/// The matrix whose columns are the consecutive runs of `n` floats in `data`.
#[inline(always)]
fn columns(data: &[f32], n: usize) -> Mat<'_> {
    Mat { data, row_stride: 1, col_stride: n }
}

/// C\[m, n\] = A\[m, k\] B\[k, n\], or C += A B.
#[inline(always)]
fn product(c: &mut [f32], [m, n, k]: [usize; 3], a: Mat, b: Mat, accumulate: bool) {
    let (bias, activation) = (None, Activation::None);
    gemm_on_this_thread(&Gemm { m, n, k, a, b: b.into(), bias, activation, accumulate }, c, n);
}

/// Converts \[..., C\] to planes \[C, ...\]; copies nothing if there is one channel.
#[inline(always)]
fn planes<'a, 'b: 'a>(x: &'a [f32], s: &Sizes, space: &mut Space<'b>) -> &'a [f32] {
    if s.channels == 1 {
        return x;
    }
    let y = space.take(x.len());
    let plane = y.len() / s.channels;
    for (c, plane) in y.chunks_exact_mut(plane).enumerate() {
        for (y, x) in plane.iter_mut().zip(x.chunks_exact(s.channels)) {
            *y = x[c];
        }
    }
    y
}

/// Fills y \[..., C\] from planes \[C, ...\] that `f` writes.
#[inline(always)]
fn by_planes(y: &mut [f32], s: &Sizes, space: &mut Space, f: impl FnOnce(&mut [f32])) {
    if s.channels == 1 {
        return f(y);
    }
    let x = space.take(y.len());
    f(x);
    for (c, plane) in x.chunks_exact(x.len() / s.channels).enumerate() {
        for (y, x) in y.chunks_exact_mut(s.channels).zip(plane) {
            y[c] = *x;
        }
    }
}

/// A copy of x, multiplied by `scale`.
#[inline(always)]
fn scaled<'a>(x: &[f32], scale: f32, space: &mut Space<'a>) -> &'a [f32] {
    let y = space.take(x.len());
    update(
        y,
        [x],
        #[inline(always)]
        move |_, [x]| scale * x,
    );
    y
}

/// x *= scale.
#[inline(always)]
fn scale_by(x: &mut [f32], scale: f32) {
    update(
        x,
        [],
        #[inline(always)]
        move |x, []| scale * x,
    );
}

/// <x, y>.
#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    sum(
        [x, y],
        #[inline(always)]
        |[x, y]| x * y,
    )
}

/// The error image x - sigmoid(canvas).
#[inline(always)]
fn error<'a>(x: &[f32], canvas: &[f32], space: &mut Space<'a>) -> &'a [f32] {
    let y = space.take(x.len());
    update(
        y,
        [x, canvas],
        #[inline(always)]
        |_, [x, c]| x - sigmoid(c),
    );
    y
}

/// Calls `f(image index, the image's part of each output, scratch space)` for every image, [`IMAGES`] per task. Each
/// output comes with its number of floats per image; the space has `scratch` floats.
fn images<const K: usize>(
    outputs: [(&mut [f32], usize); K],
    scratch: usize,
    f: impl Fn(usize, [&mut [f32]; K], Space) + Sync,
) {
    let sizes = outputs.each_ref().map(|(_, size)| *size);
    let mut parts = outputs.map(|(y, size)| y.chunks_mut(IMAGES * size));
    let count = parts[0].len();
    let tasks: Vec<[&mut [f32]; K]> = (0..count)
        .map(|_| parts.each_mut().map(|part| part.next().expect("a task's part")))
        .collect();
    tasks.into_par_iter().enumerate().for_each(|(task, outputs)| {
        SCRATCH.with(|buffer| {
            buffer.slice(scratch, |scratch| {
                vectorize(
                    #[inline(always)]
                    || {
                        let images = outputs[0].len() / sizes[0];
                        let mut rest = outputs;
                        for i in 0..images {
                            let mut size = sizes.iter();
                            let own = rest.each_mut().map(|part| {
                                let (own, after) = std::mem::take(part)
                                    .split_at_mut(*size.next().expect("a size each"));
                                *part = after;
                                own
                            });
                            f(task * IMAGES + i, own, Space(&mut *scratch));
                        }
                    },
                );
            });
        });
    });
}

/// Computes the patches and work.
pub fn read(q: &AttentionParams, inputs: [&[f32]; 3], [r, work]: [&mut [f32]; 2]) {
    let s = Sizes::new(q);
    images(
        [(r, s.sources * s.patch), (work, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, outputs, space| read_of(&s, image, inputs, outputs, space),
    );
}

/// Computes rows \[patches, h, state\] and work.
pub fn read_input(
    q: &AttentionParams,
    [x, canvas, p, h, state]: [&[f32]; 5],
    [input, work]: [&mut [f32]; 2],
) {
    let s = Sizes::new(q);
    let units = q.beside() / 2;
    images(
        [(input, q.row as usize), (work, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, [row, work], space| {
            let (r, others) = row.split_at_mut(s.sources * s.patch);
            let (own_h, own_state) = others.split_at_mut(units);
            own_h.copy_from_slice(&h[units * image..][..units]);
            own_state.copy_from_slice(&state[units * image..][..units]);
            read_of(&s, image, [x, canvas, p], [r, work], space);
        },
    );
}

/// [`read`] of one image.
#[inline(always)]
fn read_of(
    s: &Sizes,
    image: usize,
    [x, canvas, p]: [&[f32]; 3],
    [r, work]: [&mut [f32]; 2],
    mut space: Space,
) {
    let (n, row) = (s.filters, s.row());
    let grid = s.grid(&p[5 * image..][..5]);
    let (fx, fy, t) = s.split_mut(work);
    grid.rows(0, fx, s.width);
    grid.rows(1, fy, s.height);
    let [x, canvas] = [x, canvas].map(|v| &v[image * s.image..][..s.image]);
    for (source, t) in t.chunks_exact_mut(s.between).enumerate() {
        let v = if source == 0 { x } else { error(x, canvas, &mut space) };
        product(t, [n, row, s.height], Mat::row_major(fy, s.height), Mat::row_major(v, row), false);
    }
    let t = planes(t, s, &mut space);
    by_planes(r, s, &mut space, |r| {
        let sizes = [s.lines(), n, s.width];
        product(r, sizes, Mat::row_major(t, s.width), columns(fx, s.width), false);
    });
    scale_by(r, grid.gamma);
}

/// Computes dp, the gradient of the canvas (with two sources) or of x, and the gradients of bank and t.
pub fn read_gradient(
    q: &AttentionParams,
    [dr, x, canvas, p, work]: [&[f32]; 5],
    [dp, dv, dwork]: [&mut [f32]; 3],
) {
    let s = Sizes::new(q);
    let (n, row) = (s.filters, s.row());
    images(
        [(dp, 5), (dv, s.image), (dwork, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, [dp, dv, dwork], mut space| {
            let grid = s.grid(&p[5 * image..][..5]);
            let (fx, fy, t) = s.split(&work[image * s.work..][..s.work]);
            let (dfx, dfy, dt) = s.split_mut(dwork);
            let dr = &dr[image * s.sources * s.patch..][..s.sources * s.patch];
            let dr = planes(scaled(dr, grid.gamma, &mut space), &s, &mut space);
            let t = planes(t, &s, &mut space);
            product(
                dfx,
                [n, s.width, s.lines()],
                columns(dr, n),
                Mat::row_major(t, s.width),
                false,
            );
            by_planes(dt, &s, &mut space, |dt| {
                product(
                    dt,
                    [s.lines(), s.width, n],
                    Mat::row_major(dr, n),
                    Mat::row_major(fx, s.width),
                    false,
                );
            });
            let [x, canvas] = [x, canvas].map(|v| &v[image * s.image..][..s.image]);
            let mut v = x;
            for (source, dt) in dt.chunks_exact(s.between).enumerate() {
                if source == 1 {
                    v = error(x, canvas, &mut space);
                }
                product(
                    dfy,
                    [n, s.height, row],
                    Mat::row_major(dt, row),
                    columns(v, row),
                    source == 1,
                );
            }
            // The image gradient is that of the last source.
            let last = &dt[(s.sources - 1) * s.between..];
            let adds = q.accumulate != 0;
            let aside: &mut [f32] = if adds { space.take(s.image) } else { &mut [] };
            let own = if adds { &mut *aside } else { &mut *dv };
            product(
                own,
                [s.height, row, n],
                columns(fy, s.height),
                Mat::row_major(last, row),
                false,
            );
            if s.sources == 2 {
                // sigmoid(c) = x - x^.
                update(
                    own,
                    [x, v],
                    #[inline(always)]
                    |dv, [x, error]| {
                        let y = x - error;
                        dv * y * (y - 1.0)
                    },
                );
            }
            if adds {
                update(
                    dv,
                    [&*aside],
                    #[inline(always)]
                    |dv, [own]| dv + own,
                );
            }
            let mut to = GridGradient::default();
            grid.rows_gradient((0, s.width), (fx, dfx), &mut to);
            grid.rows_gradient((1, s.height), (fy, dfy), &mut to);
            // The patches are linear in FX and in gamma, so <dFX, FX> = <dr, r>, which is dlog gamma.
            grid.parameters(&to, dot(fx, dfx), dp);
        },
    );
}

/// Computes the new canvas and work. [`AttentionParams::strides`] gives the distances between images in w and p.
pub fn write(q: &AttentionParams, [w, p, canvas]: [&[f32]; 3], [c, work]: [&mut [f32]; 2]) {
    let s = Sizes::new(q);
    let (n, row) = (s.filters, s.row());
    let [w_stride, p_stride] = q.strides();
    images(
        [(c, s.image), (work, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, [c, work], mut space| {
            let grid = s.grid(&p[p_stride * image..][..5]);
            let (fx, fy, t) = s.split_mut(work);
            grid.rows(0, fx, s.width);
            grid.rows(1, fy, s.height);
            let w = planes(&w[image * w_stride..][..s.patch], &s, &mut space);
            by_planes(t, &s, &mut space, |t| {
                product(
                    t,
                    [s.lines(), s.width, n],
                    Mat::row_major(w, n),
                    Mat::row_major(fx, s.width),
                    false,
                );
            });
            let fy = scaled(fy, 1.0 / grid.gamma, &mut space);
            c.copy_from_slice(&canvas[image * s.image..][..s.image]);
            product(c, [s.height, row, n], columns(fy, s.height), Mat::row_major(t, row), true);
        },
    );
}

/// [`write`] with rows \[patch, parameters of the write, parameters of the next read\]; copies the last to `next`.
pub fn write_heads(
    q: &AttentionParams,
    [heads, canvas]: [&[f32]; 2],
    [c, work, next]: [&mut [f32]; 3],
) {
    let (row, parameters) = (q.row as usize, q.patch());
    write(q, [heads, &heads[parameters..], canvas], [c, work]);
    for (next, heads) in next.chunks_exact_mut(5).zip(heads.chunks_exact(row)) {
        next.copy_from_slice(&heads[parameters + 5..]);
    }
}

/// Computes dw, dp, and the gradients of bank and t.
pub fn write_gradient(q: &AttentionParams, inputs: [&[f32]; 4], [dw, dp, dwork]: [&mut [f32]; 3]) {
    let s = Sizes::new(q);
    images(
        [(dw, s.patch), (dp, 5), (dwork, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, outputs, space| write_gradient_of(&s, image, q.strides(), inputs, outputs, space),
    );
}

/// Computes the gradient of the rows of [`write_heads`].
pub fn write_heads_gradient(
    q: &AttentionParams,
    [dc, heads, work, dnext]: [&[f32]; 4],
    [dheads, dwork]: [&mut [f32]; 2],
) {
    let s = Sizes::new(q);
    let inputs = [dc, heads, &heads[s.patch..], work];
    images(
        [(dheads, q.row as usize), (dwork, s.work)],
        s.scratch(),
        #[inline(always)]
        |image, [dheads, dwork], space| {
            let (dw, others) = dheads.split_at_mut(s.patch);
            let (dp, next) = others.split_at_mut(5);
            next.copy_from_slice(&dnext[5 * image..][..5]);
            write_gradient_of(&s, image, q.strides(), inputs, [dw, dp, dwork], space);
        },
    );
}

/// [`write_gradient`] of one image.
#[inline(always)]
fn write_gradient_of(
    s: &Sizes,
    image: usize,
    [w_stride, p_stride]: [usize; 2],
    [dc, w, p, work]: [&[f32]; 4],
    [dw, dp, dwork]: [&mut [f32]; 3],
    mut space: Space,
) {
    let (n, row) = (s.filters, s.row());
    let grid = s.grid(&p[p_stride * image..][..5]);
    let (fx, fy, t) = s.split(&work[image * s.work..][..s.work]);
    let (dfx, dfy, dt) = s.split_mut(dwork);
    let inverse = 1.0 / grid.gamma;
    let dc = &dc[image * s.image..][..s.image];
    let scaled_fy = scaled(fy, inverse, &mut space);
    product(
        dt,
        [n, row, s.height],
        Mat::row_major(scaled_fy, s.height),
        Mat::row_major(dc, row),
        false,
    );
    product(dfy, [n, s.height, row], Mat::row_major(t, row), columns(dc, row), false);
    scale_by(dfy, inverse);
    let dt = planes(dt, s, &mut space);
    by_planes(dw, s, &mut space, |dw| {
        let sizes = [s.lines(), n, s.width];
        product(dw, sizes, Mat::row_major(dt, s.width), columns(fx, s.width), false);
    });
    let w = planes(&w[image * w_stride..][..s.patch], s, &mut space);
    product(dfx, [n, s.width, s.lines()], columns(w, n), Mat::row_major(dt, s.width), false);
    let mut to = GridGradient::default();
    grid.rows_gradient((0, s.width), (fx, dfx), &mut to);
    grid.rows_gradient((1, s.height), (fy, dfy), &mut to);
    // The written image is linear in FY and in 1 / gamma, so dlog gamma = -<dFY, FY>.
    grid.parameters(&to, -dot(fy, dfy), dp);
}
