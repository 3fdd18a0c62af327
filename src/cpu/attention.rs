//! Attentive read and write. Shaders: `shaders/attention_read.wgsl`, `shaders/attention_write.wgsl` and
//! their gradients.
//!
//! A task takes a few images; all that one needs (bank, t and their gradients) stays in L1. The loops
//! run along the rows of an image, W C numbers, so that they are vector code.
//!
//! v, canvas \[B, H, W, C\], p \[B, 5\], patches \[B, S, N, N, C\], work \[B, bank + S t\] with the bank FX \[N, W\], FY
//! \[N, H\] and t \[N, W, C\].

use rayon::prelude::*;

use super::filterbank::{Grid, GridGradient};
use super::gemm::Scratch;
use super::math::sigmoid;
use super::simd::vectorize;
use crate::ops::attention::Params;

thread_local! {
    static SCRATCH: Scratch = const { Scratch::new() };
}

/// Images of a task.
const IMAGES: usize = 4;

/// Sizes.
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
    fn new(p: &Params) -> Sizes {
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

    /// Numbers of a row of an image.
    fn row(&self) -> usize {
        self.width * self.channels
    }

    fn grid(&self, p: &[f32]) -> Grid {
        Grid::new(p, self.filters, (self.height, self.width))
    }

    /// FX, FY and t out of an image's work.
    fn split<'a>(&self, work: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (bank, t) = work.split_at(self.bank);
        let (fx, fy) = bank.split_at(self.filters * self.width);
        (fx, fy, t)
    }

    /// As [`Sizes::split`], to be written.
    fn split_mut<'a>(&self, work: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32], &'a mut [f32]) {
        let (bank, t) = work.split_at_mut(self.bank);
        let (fx, fy) = bank.split_at_mut(self.filters * self.width);
        (fx, fy, t)
    }
}

/// y\[i\] += a x\[i\], in blocks of sixteen and four: rows of images are short, and a loop of unknown length
/// would be made for long ones.
#[inline(always)]
fn add(y: &mut [f32], a: f32, x: &[f32]) {
    #[inline(always)]
    fn blocks<'y, 'x, const N: usize>(
        y: &'y mut [f32],
        a: f32,
        x: &'x [f32],
    ) -> (&'y mut [f32], &'x [f32]) {
        let ((y, y_rest), (x, x_rest)) = (y.as_chunks_mut::<N>(), x.as_chunks::<N>());
        for (y, x) in y.iter_mut().zip(x) {
            for i in 0..N {
                y[i] += a * x[i];
            }
        }
        (y_rest, x_rest)
    }
    let (y, x) = blocks::<16>(y, a, x);
    let (y, x) = blocks::<4>(y, a, x);
    blocks::<1>(y, a, x);
}

/// sum x\[i\] y\[i\], in blocks as [`add`] and a fixed tree.
#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    #[inline(always)]
    fn blocks<'a, const N: usize>(
        x: &'a [f32],
        y: &'a [f32],
        lanes: &mut [f32; N],
    ) -> (&'a [f32], &'a [f32]) {
        let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<N>(), y.as_chunks::<N>());
        for (x, y) in x.iter().zip(y) {
            for i in 0..N {
                lanes[i] += x[i] * y[i];
            }
        }
        (x_rest, y_rest)
    }
    let (mut sixteen, mut four, mut one) = ([0.0; 16], [0.0; 4], [0.0]);
    let (x, y) = blocks(x, y, &mut sixteen);
    let (x, y) = blocks(x, y, &mut four);
    blocks(x, y, &mut one);
    let eight: [f32; 8] = std::array::from_fn(|i| sixteen[i] + sixteen[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4] + four[i]);
    (four[0] + four[2]) + (four[1] + four[3]) + one[0]
}

/// y\[w, c\] += scale a\[c\] f\[w\].
#[inline(always)]
fn spread(y: &mut [f32], scale: f32, a: &[f32], f: &[f32]) {
    if let [a] = a {
        return add(y, scale * a, f);
    }
    for (y, &f) in y.chunks_exact_mut(a.len()).zip(f) {
        add(y, scale * f, a);
    }
}

/// a\[c\] = scale sum_w f\[w\] y\[w, c\].
#[inline(always)]
fn collect(a: &mut [f32], scale: f32, f: &[f32], y: &[f32]) {
    if let [a] = a {
        *a = scale * dot(f, y);
        return;
    }
    a.fill(0.0);
    for (y, &f) in y.chunks_exact(a.len()).zip(f) {
        add(a, f, y);
    }
    a.iter_mut().for_each(|a| *a *= scale);
}

/// f\[w\] += scale sum_c a\[c\] y\[w, c\].
#[inline(always)]
fn weigh(f: &mut [f32], scale: f32, a: &[f32], y: &[f32]) {
    if let [a] = a {
        return add(f, scale * a, y);
    }
    for (f, y) in f.iter_mut().zip(y.chunks_exact(a.len())) {
        let mut total = 0.0;
        for (&a, &y) in a.iter().zip(y) {
            total += a * y;
        }
        *f += scale * total;
    }
}

/// A row of the error image x - sigmoid(canvas).
#[inline(always)]
fn error(to: &mut [f32], x: &[f32], canvas: &[f32]) {
    for ((to, &x), &c) in to.iter_mut().zip(x).zip(canvas) {
        *to = x - sigmoid(c);
    }
}

/// Runs `f(image, its part of each output, scratch of that many floats)` for every image, a few a task;
/// an output comes with its floats of an image.
fn images<const K: usize>(
    outputs: [(&mut [f32], usize); K],
    scratch: usize,
    f: impl Fn(usize, [&mut [f32]; K], &mut [f32]) + Sync,
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
                            f(task * IMAGES + i, own, scratch);
                        }
                    },
                );
            });
        });
    });
}

/// Patches and work.
pub fn read(q: &Params, [x, canvas, p]: [&[f32]; 3], [r, work]: [&mut [f32]; 2]) {
    let s = Sizes::new(q);
    let row = s.row();
    images(
        [(r, s.sources * s.patch), (work, s.work)],
        row,
        #[inline(always)]
        |image, [r, work], scratch| {
            let grid = s.grid(&p[5 * image..][..5]);
            let (fx, fy, t) = s.split_mut(work);
            grid.rows(0, fx, s.width);
            grid.rows(1, fy, s.height);
            t.fill(0.0);
            let at = image * s.image;
            for h in 0..s.height {
                let from = at + h * row..at + (h + 1) * row;
                let of_x = &x[from.clone()];
                for (source, t) in t.chunks_exact_mut(s.between).enumerate() {
                    let v = if source == 0 {
                        of_x
                    } else {
                        error(scratch, of_x, &canvas[from.clone()]);
                        &*scratch
                    };
                    for (t, fy) in t.chunks_exact_mut(row).zip(fy.chunks_exact(s.height)) {
                        add(t, fy[h], v);
                    }
                }
            }
            // Rows of t, of both sources, become rows of patches.
            let to = r.chunks_exact_mut(s.filters * s.channels);
            for (r, t) in to.zip(t.chunks_exact(row)) {
                for (r, fx) in r.chunks_exact_mut(s.channels).zip(fx.chunks_exact(s.width)) {
                    collect(r, grid.gamma, fx, t);
                }
            }
        },
    );
}

/// dp, the gradient of the canvas (with two sources) or of x, and that of the bank and of t.
pub fn read_gradient(
    q: &Params,
    [dr, x, canvas, p, work]: [&[f32]; 5],
    [dp, dv, dwork]: [&mut [f32]; 3],
) {
    let s = Sizes::new(q);
    let row = s.row();
    images(
        [(dp, 5), (dv, s.image), (dwork, s.work)],
        row,
        #[inline(always)]
        |image, [dp, dv, dwork], scratch| {
            let grid = s.grid(&p[5 * image..][..5]);
            let (fx, fy, t) = s.split(&work[image * s.work..][..s.work]);
            let (dfx, dfy, dt) = s.split_mut(dwork);
            dfx.fill(0.0);
            dfy.fill(0.0);
            dt.fill(0.0);
            let dr = &dr[image * s.sources * s.patch..][..s.sources * s.patch];
            let patches = dr.chunks_exact(s.filters * s.channels);
            for ((dr, t), dt) in patches.zip(t.chunks_exact(row)).zip(dt.chunks_exact_mut(row)) {
                let filters = fx.chunks_exact(s.width).zip(dfx.chunks_exact_mut(s.width));
                for (dr, (fx, dfx)) in dr.chunks_exact(s.channels).zip(filters) {
                    spread(dt, grid.gamma, dr, fx);
                    weigh(dfx, grid.gamma, dr, t);
                }
            }
            let at = image * s.image;
            for (h, dv) in dv.chunks_exact_mut(row).enumerate() {
                let from = at + h * row..at + (h + 1) * row;
                let of_x = &x[from.clone()];
                for (source, dt) in dt.chunks_exact(s.between).enumerate() {
                    let v = if source == 0 {
                        of_x
                    } else {
                        error(scratch, of_x, &canvas[from.clone()]);
                        &*scratch
                    };
                    let each = dt.chunks_exact(row).zip(dfy.chunks_exact_mut(s.height));
                    for (dt, dfy) in each {
                        dfy[h] += dot(dt, v);
                    }
                }
                // The last source is the one whose image has a gradient.
                dv.fill(0.0);
                let last = &dt[(s.sources - 1) * s.between..];
                for (dt, fy) in last.chunks_exact(row).zip(fy.chunks_exact(s.height)) {
                    add(dv, fy[h], dt);
                }
                if s.sources == 2 {
                    // The row of x^ is still there: sigmoid(c) = x - x^.
                    for ((dv, &x), &error) in dv.iter_mut().zip(of_x).zip(&*scratch) {
                        let y = x - error;
                        *dv *= y * (y - 1.0);
                    }
                }
            }
            let mut to = GridGradient::default();
            grid.rows_gradient((0, s.width), (fx, dfx), &mut to);
            grid.rows_gradient((1, s.height), (fy, dfy), &mut to);
            // The patches are linear in FX.
            grid.parameters(&to, dot(fx, dfx), dp);
        },
    );
}

/// The canvas written on, and work.
pub fn write(q: &Params, [w, p, canvas]: [&[f32]; 3], [c, work]: [&mut [f32]; 2]) {
    let s = Sizes::new(q);
    let row = s.row();
    images(
        [(c, s.image), (work, s.work)],
        0,
        #[inline(always)]
        |image, [c, work], _| {
            let grid = s.grid(&p[5 * image..][..5]);
            let (fx, fy, t) = s.split_mut(work);
            grid.rows(0, fx, s.width);
            grid.rows(1, fy, s.height);
            t.fill(0.0);
            let patch = &w[image * s.patch..][..s.patch];
            let rows = patch.chunks_exact(s.filters * s.channels);
            for (w, t) in rows.zip(t.chunks_exact_mut(row)) {
                for (w, fx) in w.chunks_exact(s.channels).zip(fx.chunks_exact(s.width)) {
                    spread(t, 1.0, w, fx);
                }
            }
            let inverse = 1.0 / grid.gamma;
            c.copy_from_slice(&canvas[image * s.image..][..s.image]);
            for (h, c) in c.chunks_exact_mut(row).enumerate() {
                for (t, fy) in t.chunks_exact(row).zip(fy.chunks_exact(s.height)) {
                    add(c, inverse * fy[h], t);
                }
            }
        },
    );
}

/// dw, dp, and the gradient of the bank and of t.
pub fn write_gradient(q: &Params, [dc, w, p, work]: [&[f32]; 4], [dw, dp, dwork]: [&mut [f32]; 3]) {
    let s = Sizes::new(q);
    let row = s.row();
    images(
        [(dw, s.patch), (dp, 5), (dwork, s.work)],
        0,
        #[inline(always)]
        |image, [dw, dp, dwork], _| {
            let grid = s.grid(&p[5 * image..][..5]);
            let (fx, fy, t) = s.split(&work[image * s.work..][..s.work]);
            let (dfx, dfy, dt) = s.split_mut(dwork);
            dfx.fill(0.0);
            dt.fill(0.0);
            let inverse = 1.0 / grid.gamma;
            let dc = &dc[image * s.image..][..s.image];
            for (h, dc) in dc.chunks_exact(row).enumerate() {
                let filters = fy.chunks_exact(s.height).zip(dfy.chunks_exact_mut(s.height));
                let rows = t.chunks_exact(row).zip(dt.chunks_exact_mut(row));
                for ((fy, dfy), (t, dt)) in filters.zip(rows) {
                    add(dt, inverse * fy[h], dc);
                    dfy[h] = inverse * dot(t, dc);
                }
            }
            let patch = &w[image * s.patch..][..s.patch];
            let across = s.filters * s.channels;
            let rows = patch.chunks_exact(across).zip(dw.chunks_exact_mut(across));
            for ((w, dw), dt) in rows.zip(dt.chunks_exact(row)) {
                let filters = fx.chunks_exact(s.width).zip(dfx.chunks_exact_mut(s.width));
                let each = w.chunks_exact(s.channels).zip(dw.chunks_exact_mut(s.channels));
                for ((w, dw), (fx, dfx)) in each.zip(filters) {
                    collect(dw, 1.0, fx, dt);
                    weigh(dfx, 1.0, w, dt);
                }
            }
            let mut to = GridGradient::default();
            grid.rows_gradient((0, s.width), (fx, dfx), &mut to);
            grid.rows_gradient((1, s.height), (fy, dfy), &mut to);
            // What is written is linear in FY, and in 1 / gamma.
            grid.parameters(&to, -dot(fy, dfy), dp);
        },
    );
}
