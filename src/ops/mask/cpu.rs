//! Packing of masked weights and its gradient. Shaders: `shaders/mask/mask.wgsl`, `shaders/mask/mask_gradient.wgsl`.
//! w (out, in, area), y \[taps, in, out\].

use super::params::MaskParams;
use crate::cpu::simd::rows;

/// y\[t, i, o\] = w\[o, i, t\] if it is visible, else 0.
pub fn pack(p: &MaskParams, [w]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let (inputs, outputs, area) = (p.inputs as usize, p.outputs as usize, p.area as usize);
    rows(y, outputs, 2 * outputs, |row, y| {
        let (t, i) = (row / inputs, row % inputs);
        for (o, y) in y.iter_mut().enumerate() {
            let shown = p.shows(t as u32, i as u32, o as u32);
            *y = if shown { w[(o * inputs + i) * area + t] } else { 0.0 };
        }
    });
}

/// dw\[o, i, t\] = dy\[t, i, o\] if w\[o, i, t\] is visible, else 0.
pub fn unpack(p: &MaskParams, [dy]: [&[f32]; 1], [dw]: [&mut [f32]; 1]) {
    let (inputs, outputs, area) = (p.inputs as usize, p.outputs as usize, p.area as usize);
    rows(dw, area, 2 * area, |row, dw| {
        let (o, i) = (row / inputs, row % inputs);
        for (t, dw) in dw.iter_mut().enumerate() {
            let shown = t < p.taps as usize && p.shows(t as u32, i as u32, o as u32);
            *dw = if shown { dy[(t * inputs + i) * outputs + o] } else { 0.0 };
        }
    });
}
