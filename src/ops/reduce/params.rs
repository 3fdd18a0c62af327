//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// Kind of reduction. The shader uses the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reduction {
    /// scale times the sum.
    Sum = 0,
    /// scale times the sum of squares.
    SumSquares = 1,
    /// ln sum e^x.
    LogSumExp = 2,
}

uniform! {
    /// x \[outer, n, inner\] to y \[outer, ceil(n / chunk), inner\].
    pub struct ReduceParams {
        pub(super) outer: u32,
        pub(super) n: u32,
        pub(super) inner: u32,
        pub(super) chunk: u32,
        pub(super) reduction: u32,
        pub(super) scale: f32,
        /// 1: add the result to y.
        pub(super) accumulate: u32,
    }
}

impl ReduceParams {
    pub(super) fn reduction(&self) -> Reduction {
        [Reduction::Sum, Reduction::SumSquares, Reduction::LogSumExp][self.reduction as usize]
    }
}
