//! Attentive read and write. DRAW, equations 27 to 29, with the filterbanks FX, FY and gamma of
//! [`crate::ops::filterbank`], for each colour channel c:
//!
//! ```text
//! t[i, x] = sum_y FY[i, y] v[y, x]     read(v)[i, j]  = gamma sum_x t[i, x] FX[j, x]
//! t[i, x] = sum_j w[i, j] FX[j, x]     write(w)[y, x] = 1/gamma sum_i FY[i, y] t[i, x]
//! ```
//!
//! The sources of a read are the image x and, if S is 2, the error image x - sigmoid(canvas).
//!
//! Shapes: images \[B, H, W, C\], p \[B, 5\], patches \[B, S, N, N, C\], w \[B, N, N, C\], work \[B, bank + t\]: FX
//! \[N, W\], FY \[N, H\] and t \[S, N, W, C\]. The gradients recompute the bank and t in f64 instead of reading work,
//! and write the gradients of both to dwork.

use super::params::AttentionParams;
use crate::ops::filterbank::reference::Attention;

/// One image's sizes and filters.
struct Image {
    n: usize,
    height: usize,
    width: usize,
    channels: usize,
    attention: Attention,
    fx: Vec<f64>,
    fy: Vec<f64>,
}

impl Image {
    fn new(q: &AttentionParams, p: &[f32], b: usize) -> Image {
        let [n, height, width, channels] =
            [q.filters, q.height, q.width, q.channels].map(|n| n as usize);
        let attention = Attention::new(&p[q.strides()[1] * b..][..5], n, [width, height]);
        let (fx, fy) = (attention.filters(0), attention.filters(1));
        Image { n, height, width, channels, attention, fx, fy }
    }

    /// t\[i, x, c\] = sum_y FY\[i, y\] v\[y, x, c\].
    fn rows_of(&self, v: &[f64]) -> Vec<f64> {
        let mut t = vec![0.0; self.n * self.width * self.channels];
        for i in 0..self.n {
            for y in 0..self.height {
                for xc in 0..self.width * self.channels {
                    t[i * self.width * self.channels + xc] +=
                        self.fy[i * self.height + y] * v[y * self.width * self.channels + xc];
                }
            }
        }
        t
    }

    /// v\[y, x, c\] = sum_i FY\[i, y\] t\[i, x, c\]: the transpose of [`Image::rows_of`].
    fn rows_to(&self, t: &[f64]) -> Vec<f64> {
        let mut v = vec![0.0; self.height * self.width * self.channels];
        for i in 0..self.n {
            for y in 0..self.height {
                for xc in 0..self.width * self.channels {
                    v[y * self.width * self.channels + xc] +=
                        self.fy[i * self.height + y] * t[i * self.width * self.channels + xc];
                }
            }
        }
        v
    }

    /// r\[i, j, c\] = sum_x t\[i, x, c\] FX\[j, x\].
    fn columns_of(&self, t: &[f64]) -> Vec<f64> {
        let mut r = vec![0.0; self.n * self.n * self.channels];
        for i in 0..self.n {
            for j in 0..self.n {
                for x in 0..self.width {
                    for c in 0..self.channels {
                        r[(i * self.n + j) * self.channels + c] += self.fx[j * self.width + x]
                            * t[(i * self.width + x) * self.channels + c];
                    }
                }
            }
        }
        r
    }

    /// t\[i, x, c\] = sum_j r\[i, j, c\] FX\[j, x\]: the transpose of [`Image::columns_of`].
    fn columns_to(&self, r: &[f64]) -> Vec<f64> {
        let mut t = vec![0.0; self.n * self.width * self.channels];
        for i in 0..self.n {
            for j in 0..self.n {
                for x in 0..self.width {
                    for c in 0..self.channels {
                        t[(i * self.width + x) * self.channels + c] +=
                            self.fx[j * self.width + x] * r[(i * self.n + j) * self.channels + c];
                    }
                }
            }
        }
        t
    }

    /// dFX\[j, x\] += sum_ic r\[i, j, c\] t\[i, x, c\].
    fn add_dfx(&self, r: &[f64], t: &[f64], dfx: &mut [f64]) {
        for i in 0..self.n {
            for j in 0..self.n {
                for x in 0..self.width {
                    for c in 0..self.channels {
                        dfx[j * self.width + x] += r[(i * self.n + j) * self.channels + c]
                            * t[(i * self.width + x) * self.channels + c];
                    }
                }
            }
        }
    }

    /// dFY\[i, y\] += sum_xc t\[i, x, c\] v\[y, x, c\].
    fn add_dfy(&self, t: &[f64], v: &[f64], dfy: &mut [f64]) {
        let row = self.width * self.channels;
        for i in 0..self.n {
            for y in 0..self.height {
                for xc in 0..row {
                    dfy[i * self.height + y] += t[i * row + xc] * v[y * row + xc];
                }
            }
        }
    }
}

/// Patch b of a write, as f64.
fn patch_of(q: &AttentionParams, w: &[f32], b: usize) -> Vec<f64> {
    w[q.strides()[0] * b..][..q.patch()].iter().map(|&w| f64::from(w)).collect()
}

/// Image b of a batch of images of `size` numbers, as f64.
fn image(x: &[f32], b: usize, size: usize) -> Vec<f64> {
    x[b * size..][..size].iter().map(|&x| f64::from(x)).collect()
}

/// Writes image b of a batch, rounded to f32.
fn put(y: &mut [f32], b: usize, values: &[f64]) {
    for (y, value) in y[b * values.len()..].iter_mut().zip(values) {
        *y = *value as f32;
    }
}

/// The sources of a read: x and, if there are two, x - sigmoid(canvas).
fn sources(q: &AttentionParams, x: &[f64], canvas: &[f64]) -> Vec<Vec<f64>> {
    let error = x.iter().zip(canvas).map(|(x, c)| x - 1.0 / (1.0 + (-c).exp())).collect();
    let mut all = vec![x.to_vec(), error];
    all.truncate(q.sources as usize);
    all
}

fn scaled(x: &[f64], by: f64) -> Vec<f64> {
    x.iter().map(|x| x * by).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Patches gamma FY v FX^T of each source, and work.
pub fn read(q: &AttentionParams, [x, canvas, p]: [&[f32]; 3], [patches, work]: [&mut [f32]; 2]) {
    for b in 0..q.batch as usize {
        let own = Image::new(q, p, b);
        let mut work_ = [own.fx.clone(), own.fy.clone()].concat();
        let mut patches_ = Vec::new();
        for v in sources(q, &image(x, b, q.image()), &image(canvas, b, q.image())) {
            let t = own.rows_of(&v);
            patches_.extend(scaled(&own.columns_of(&t), own.attention.gamma));
            work_.extend(t);
        }
        put(patches, b, &patches_);
        put(work, b, &work_);
    }
}

/// Rows \[patches, h, state\] and work.
pub fn read_input(
    q: &AttentionParams,
    [x, canvas, p, h, state]: [&[f32]; 5],
    [input, work]: [&mut [f32]; 2],
) {
    let (patches, units) = (q.sources as usize * q.patch(), q.beside() / 2);
    let mut r = vec![0.0; q.batch as usize * patches];
    read(&AttentionParams { row: 0, ..*q }, [x, canvas, p], [&mut r, work]);
    for b in 0..q.batch as usize {
        let [h, state] = [h, state].map(|v| &v[units * b..][..units]);
        let row = [&r[patches * b..][..patches], h, state].concat();
        input[b * row.len()..][..row.len()].copy_from_slice(&row);
    }
}

/// dp; the gradient of the canvas if there are two sources, else of x; and the gradients of bank and t. With
/// `accumulate`, the gradient of the canvas is added to `dv`.
pub fn read_gradient(
    q: &AttentionParams,
    [dpatches, x, canvas, p, _]: [&[f32]; 5],
    [dp, dv, dwork]: [&mut [f32]; 3],
) {
    let patch = q.patch();
    for b in 0..q.batch as usize {
        let own = Image::new(q, p, b);
        let (x, canvas) = (image(x, b, q.image()), image(canvas, b, q.image()));
        let dpatches = image(dpatches, b, q.sources as usize * patch);
        let (mut dfx, mut dfy) = (vec![0.0; own.fx.len()], vec![0.0; own.fy.len()]);
        let (mut dts, mut dlog_gamma, mut dimage) = (Vec::new(), 0.0, Vec::new());
        for (v, dr) in sources(q, &x, &canvas).iter().zip(dpatches.chunks_exact(patch)) {
            // r = gamma t FX^T, t = FY v.
            let dr = scaled(dr, own.attention.gamma);
            let t = own.rows_of(v);
            dlog_gamma += dot(&dr, &own.columns_of(&t));
            own.add_dfx(&dr, &t, &mut dfx);
            let dt = own.columns_to(&dr);
            own.add_dfy(&dt, v, &mut dfy);
            dimage = own.rows_to(&dt);
            dts.extend(dt);
        }
        if q.sources == 2 {
            // d(x - sigmoid(c)) / dc = -s (1 - s).
            for (d, c) in dimage.iter_mut().zip(&canvas) {
                let s = 1.0 / (1.0 + (-c).exp());
                *d *= -s * (1.0 - s);
            }
        }
        let gradient = own.attention.gradient([&dfx, &dfy], dlog_gamma);
        dp[5 * b..][..5].copy_from_slice(&gradient);
        if q.accumulate != 0 {
            let before = image(dv, b, q.image());
            dimage.iter_mut().zip(before).for_each(|(d, before)| *d += before);
        }
        put(dv, b, &dimage);
        put(dwork, b, &[dfx, dfy, dts].concat());
    }
}

/// canvas + 1/gamma FY^T w FX, and work.
pub fn write(q: &AttentionParams, [w, p, canvas]: [&[f32]; 3], [c, work]: [&mut [f32]; 2]) {
    for b in 0..q.batch as usize {
        let own = Image::new(q, p, b);
        let t = own.columns_to(&patch_of(q, w, b));
        let written = scaled(&own.rows_to(&t), 1.0 / own.attention.gamma);
        let canvas = image(canvas, b, q.image());
        let sum: Vec<f64> = canvas.iter().zip(&written).map(|(c, w)| c + w).collect();
        put(c, b, &sum);
        put(work, b, &[own.fx, own.fy, t].concat());
    }
}

/// dw, dp, and the gradients of bank and t.
pub fn write_gradient(
    q: &AttentionParams,
    [dc, w, p, _]: [&[f32]; 4],
    [dw, dp, dwork]: [&mut [f32]; 3],
) {
    for b in 0..q.batch as usize {
        let own = Image::new(q, p, b);
        let w = patch_of(q, w, b);
        // write(w) = FY^T t / gamma with t = w FX.
        let dc = scaled(&image(dc, b, q.image()), 1.0 / own.attention.gamma);
        let t = own.columns_to(&w);
        let (mut dfx, mut dfy) = (vec![0.0; own.fx.len()], vec![0.0; own.fy.len()]);
        own.add_dfy(&t, &dc, &mut dfy);
        let dt = own.rows_of(&dc);
        own.add_dfx(&w, &dt, &mut dfx);
        let dlog_gamma = -dot(&dc, &own.rows_to(&t));
        let gradient = own.attention.gradient([&dfx, &dfy], dlog_gamma);
        dp[5 * b..][..5].copy_from_slice(&gradient);
        put(dw, b, &own.columns_of(&dt));
        put(dwork, b, &[dfx, dfy, dt].concat());
    }
}

/// A write with rows \[w, p, parameters of the next read\]; copies the last to `next`.
pub fn write_heads(
    q: &AttentionParams,
    [heads, canvas]: [&[f32]; 2],
    [c, work, next]: [&mut [f32]; 3],
) {
    let (row, patch) = (q.row as usize, q.patch());
    write(q, [heads, &heads[patch..], canvas], [c, work]);
    for b in 0..q.batch as usize {
        next[5 * b..][..5].copy_from_slice(&heads[row * b + patch + 5..][..5]);
    }
}

/// Gradient of the rows.
pub fn write_heads_gradient(
    q: &AttentionParams,
    [dc, heads, work, dnext]: [&[f32]; 4],
    [dheads, dwork]: [&mut [f32]; 2],
) {
    let (batch, row, patch) = (q.batch as usize, q.row as usize, q.patch());
    let (mut dw, mut dp) = (vec![0.0; batch * patch], vec![0.0; batch * 5]);
    write_gradient(q, [dc, heads, &heads[patch..], work], [&mut dw, &mut dp, dwork]);
    for b in 0..batch {
        let dheads = &mut dheads[row * b..][..row];
        dheads[..patch].copy_from_slice(&dw[patch * b..][..patch]);
        dheads[patch..patch + 5].copy_from_slice(&dp[5 * b..][..5]);
        dheads[patch + 5..].copy_from_slice(&dnext[5 * b..][..5]);
    }
}
