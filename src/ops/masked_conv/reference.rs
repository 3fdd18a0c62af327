//! Convolution over the taps of a window, in plain loops. Pixel Recurrent Neural Networks, section 3.4.
//!
//! With a(x) = x, or max(x, 0) if a ReLU precedes the convolution, and 0 outside the image:
//!
//! ```text
//! y[b, r, c, o] = act(bias[o] + sum_t sum_i a(x[b, r + dy_t, c + dx_t, i]) w[t, i, o])
//!                 + residual[b, r, c, o]
//! ```
//!
//! Hidden weights are 0 in w, so the mask is not needed here. The gradient of the mask discards dw of hidden weights.
//!
//! Shapes: x, dx \[B, H, W, I\], w, dw \[T, I, O\], bias, dbias \[O\], y, d, residual \[B, H, W, O\].

use super::params::MaskedConvParams;

/// The sizes as usize.
struct Sizes {
    batch: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    taps: usize,
}

fn sizes(p: &MaskedConvParams) -> Sizes {
    Sizes {
        batch: p.batch as usize,
        height: p.height as usize,
        width: p.width as usize,
        inputs: p.inputs as usize,
        outputs: p.outputs as usize,
        taps: p.taps as usize,
    }
}

/// Index of the pixel that tap `t` reads for pixel (r, c) of image b; `None` if it is outside the image.
fn seen(p: &MaskedConvParams, t: usize, (b, r, c): (usize, usize, usize)) -> Option<usize> {
    let (height, width, across) = (p.height as i64, p.width as i64, i64::from(p.across));
    let row = r as i64 + i64::from(p.top) + t as i64 / across;
    let column = c as i64 + i64::from(p.left) + t as i64 % across;
    let inside = 0 <= row && row < height && 0 <= column && column < width;
    inside.then_some(((b as i64 * height + row) * width + column) as usize)
}

/// a(x).
fn before(p: &MaskedConvParams, x: f32) -> f64 {
    if p.relu_before != 0 && x < 0.0 { 0.0 } else { f64::from(x) }
}

/// y of one pixel of one image.
fn pixel(
    p: &MaskedConvParams,
    [x, w, bias, residual]: [&[f32]; 4],
    (b, r, c): (usize, usize, usize),
    y: &mut [f32],
) {
    let s = sizes(p);
    let at = ((b * s.height + r) * s.width + c) * s.outputs;
    for o in 0..s.outputs {
        let mut sum = if p.has_bias != 0 { f64::from(bias[o]) } else { 0.0 };
        for t in 0..s.taps {
            let Some(from) = seen(p, t, (b, r, c)) else { continue };
            for i in 0..s.inputs {
                let weight = f64::from(w[(t * s.inputs + i) * s.outputs + o]);
                sum += before(p, x[from * s.inputs + i]) * weight;
            }
        }
        if p.relu_after != 0 && sum < 0.0 {
            sum = 0.0;
        }
        if p.has_residual != 0 {
            sum += f64::from(residual[at + o]);
        }
        y[at + o] = sum as f32;
    }
}

/// y of all pixels.
pub fn forward(p: &MaskedConvParams, inputs: [&[f32]; 4], [y]: [&mut [f32]; 1]) {
    let s = sizes(p);
    for b in 0..s.batch {
        for r in 0..s.height {
            for c in 0..s.width {
                pixel(p, inputs, (b, r, c), y);
            }
        }
    }
}

/// y of pixel (row, column) of every image; the rest of y is unchanged.
pub fn at_pixel(p: &MaskedConvParams, inputs: [&[f32]; 4], [y]: [&mut [f32]; 1]) {
    for b in 0..p.batch as usize {
        pixel(p, inputs, (b, p.row as usize, p.column as usize), y);
    }
}

/// dx\[q, i\] = a'(x\[q, i\]) times the sum of d\[pixel, o\] w\[t, i, o\] over o and all (pixel, t) for which tap t of
/// the pixel reads q.
pub fn input_gradient(p: &MaskedConvParams, [x, w, d]: [&[f32]; 3], [dx]: [&mut [f32]; 1]) {
    let s = sizes(p);
    let mut sums = vec![0.0_f64; dx.len()];
    for b in 0..s.batch {
        for r in 0..s.height {
            for c in 0..s.width {
                let d = &d[((b * s.height + r) * s.width + c) * s.outputs..][..s.outputs];
                for t in 0..s.taps {
                    let Some(from) = seen(p, t, (b, r, c)) else { continue };
                    for i in 0..s.inputs {
                        for o in 0..s.outputs {
                            let weight = f64::from(w[(t * s.inputs + i) * s.outputs + o]);
                            sums[from * s.inputs + i] += f64::from(d[o]) * weight;
                        }
                    }
                }
            }
        }
    }
    for ((dx, sum), &x) in dx.iter_mut().zip(sums).zip(x) {
        let passes = p.relu_before == 0 || x > 0.0;
        *dx = if passes { sum as f32 } else { 0.0 };
    }
}

/// dw\[t, i, o\] = sum over pixels of a(x\[q, i\]) d\[pixel, o\], where tap t of the pixel reads q; dbias\[o\] = sum
/// over pixels of d\[pixel, o\]. The third output is scratch memory of the GPU.
pub fn weight_gradient(p: &MaskedConvParams, [x, d]: [&[f32]; 2], [dw, dbias, _]: [&mut [f32]; 3]) {
    let s = sizes(p);
    let (mut weights, mut biases) = (vec![0.0_f64; dw.len()], vec![0.0_f64; dbias.len()]);
    for b in 0..s.batch {
        for r in 0..s.height {
            for c in 0..s.width {
                let d = &d[((b * s.height + r) * s.width + c) * s.outputs..][..s.outputs];
                for t in 0..s.taps {
                    let Some(from) = seen(p, t, (b, r, c)) else { continue };
                    for i in 0..s.inputs {
                        let x = before(p, x[from * s.inputs + i]);
                        for o in 0..s.outputs {
                            weights[(t * s.inputs + i) * s.outputs + o] += x * f64::from(d[o]);
                        }
                    }
                }
                for o in 0..s.outputs {
                    biases[o] += f64::from(d[o]);
                }
            }
        }
    }
    dw.iter_mut().zip(weights).for_each(|(dw, sum)| *dw = sum as f32);
    dbias.iter_mut().zip(biases).for_each(|(dbias, sum)| *dbias = sum as f32);
}
