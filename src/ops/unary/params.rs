//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// The functions. The shader uses the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Function {
    /// a x + b.
    Affine = 0,
    /// e^x.
    Exp = 1,
    /// ln x.
    Log = 2,
    /// ln(1 + x).
    Log1p = 3,
    /// Hyperbolic tangent.
    Tanh = 4,
    /// 1 / (1 + e^-x).
    Sigmoid = 5,
    /// ln(1 + e^x).
    Softplus = 6,
    /// max(x, 0).
    Relu = 7,
    /// x^2.
    Square = 8,
    /// Square root.
    Sqrt = 9,
    /// x clamped to \[a, b\]; the gradient outside is 0.
    Clamp = 10,
}

use Function::*;
const ALL: [Function; 11] =
    [Affine, Exp, Log, Log1p, Tanh, Sigmoid, Softplus, Relu, Square, Sqrt, Clamp];

uniform! {
    /// Parameters of both kernels.
    pub struct UnaryParams {
        pub(super) n: u32,
        pub(super) function: u32,
        pub(super) a: f32,
        pub(super) b: f32,
    }
}

impl UnaryParams {
    pub(super) fn function(&self) -> Function {
        ALL[self.function as usize]
    }
}
