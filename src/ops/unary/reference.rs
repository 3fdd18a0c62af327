//! The functions and their derivatives, in f64. Shapes: x, y, saved, dy, dx \[n\].

use super::params::{Function, UnaryParams};

/// y_i = f(x_i).
pub fn forward(p: &UnaryParams, [x]: [&[f32]; 1], [y]: [&mut [f32]; 1]) {
    let (a, b) = (f64::from(p.a), f64::from(p.b));
    for (y, &x) in y.iter_mut().zip(x) {
        let x = f64::from(x);
        let value = match p.function() {
            Function::Affine => a * x + b,
            Function::Exp => x.exp(),
            Function::Log => x.ln(),
            Function::Log1p => x.ln_1p(),
            Function::Tanh => x.tanh(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            // ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), since e^x may overflow.
            Function::Softplus if x.is_nan() => x,
            Function::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Function::Relu if x.is_nan() => x,
            Function::Relu => x.max(0.0),
            Function::Square => x * x,
            Function::Sqrt => x.sqrt(),
            Function::Clamp => x.clamp(a, b),
        };
        *y = value as f32;
    }
}

/// dx_i = f'(x_i) dy_i. `saved` is y if f' is simplest as a function of y, else x.
pub fn gradient(p: &UnaryParams, [saved, dy]: [&[f32]; 2], [dx]: [&mut [f32]; 1]) {
    let (a, b) = (f64::from(p.a), f64::from(p.b));
    for ((dx, &saved), &dy) in dx.iter_mut().zip(saved).zip(dy) {
        // `saved` is y or x, depending on the function.
        let (y, x) = (f64::from(saved), f64::from(saved));
        let derivative = match p.function() {
            Function::Affine => a,
            Function::Exp => y,
            Function::Log => 1.0 / x,
            Function::Log1p => 1.0 / (1.0 + x),
            Function::Tanh => 1.0 - y * y,
            Function::Sigmoid => y * (1.0 - y),
            Function::Softplus => 1.0 / (1.0 + (-x).exp()),
            Function::Relu => f64::from(u8::from(y > 0.0)),
            Function::Square => 2.0 * x,
            Function::Sqrt => 0.5 / y,
            Function::Clamp => f64::from(u8::from(a <= x && x <= b)),
        };
        *dx = (derivative * f64::from(dy)) as f32;
    }
}
