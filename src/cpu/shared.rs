//! Stacking the gradients of a shared weight's uses. Shader: `shaders/place.wgsl`.

use crate::ops::shared::Params;

/// y\[start + i\] = x\[i\]; the rest of y stays.
pub fn place(p: &Params, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    y[p.start as usize..][..p.n as usize].copy_from_slice(x);
}
