//! y = f(x) elementwise, and dx = f'(x) dy. Shader: `shaders/unary/unary.wgsl`. x, y, dy, dx: \[n\].

use super::params::{Function, UnaryParams};
use crate::cpu::math::{self, Madd};
use crate::cpu::simd::{map1, map2};

/// y = f(x).
pub fn forward(p: &UnaryParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let (a, b) = (p.a, p.b);
    match p.function() {
        Function::Affine => map1(
            y,
            x,
            #[inline(always)]
            move |x| a.madd(x, b),
        ),
        Function::Exp => map1(y, x, math::exp),
        Function::Log => map1(y, x, math::log),
        Function::Log1p => map1(y, x, math::log1p),
        Function::Tanh => map1(y, x, math::tanh),
        Function::Sigmoid => map1(y, x, math::sigmoid),
        Function::Softplus => map1(y, x, math::softplus),
        Function::Relu => map1(
            y,
            x,
            #[inline(always)]
            |x| if x > 0.0 || x.is_nan() { x } else { 0.0 },
        ),
        Function::Square => map1(
            y,
            x,
            #[inline(always)]
            |x| x * x,
        ),
        Function::Sqrt => map1(y, x, f32::sqrt),
        Function::Clamp => map1(
            y,
            x,
            #[inline(always)]
            move |x| x.clamp(a, b),
        ),
    }
}

/// dx = f' dy. `saved` is y if f' is simplest as a function of y, else x.
pub fn gradient(p: &UnaryParams, [saved, dy]: [&[f32]; 2], [dx]: [&mut [f32]; 1]) {
    let (a, b) = (p.a, p.b);
    match p.function() {
        Function::Affine => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            move |_, dy| a * dy,
        ),
        Function::Exp => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |y, dy| y * dy,
        ),
        Function::Log => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |x, dy| dy / x,
        ),
        Function::Log1p => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |x, dy| dy / (1.0 + x),
        ),
        Function::Tanh => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |y, dy| (1.0 - y * y) * dy,
        ),
        Function::Sigmoid => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |y, dy| y * (1.0 - y) * dy,
        ),
        Function::Softplus => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |x, dy| math::sigmoid(x) * dy,
        ),
        Function::Relu => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |y, dy| if y > 0.0 { dy } else { 0.0 },
        ),
        Function::Square => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |x, dy| 2.0 * x * dy,
        ),
        Function::Sqrt => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            |y, dy| 0.5 * dy / y,
        ),
        Function::Clamp => map2(
            dx,
            saved,
            dy,
            #[inline(always)]
            move |x, dy| if x >= a && x <= b { dy } else { 0.0 },
        ),
    }
}
