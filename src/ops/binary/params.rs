//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// The operations. The shader uses the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// a + b.
    Add = 0,
    /// a - b.
    Sub = 1,
    /// a b.
    Mul = 2,
    /// a / b.
    Div = 3,
    /// 1 if a < b, else 0; not differentiable.
    Less = 4,
}

use Operation::*;
const ALL: [Operation; 5] = [Add, Sub, Mul, Div, Less];

uniform! {
    /// Shape of the result and strides of the operands, along four axes (`axes.rs`).
    pub struct BinaryParams {
        pub(super) shape: [u32; 4],
        pub(super) stride_a: [u32; 4],
        pub(super) stride_b: [u32; 4],
        pub(super) n: u32,
        pub(super) operation: u32,
        pub(super) unused: [u32; 2],
    }
}

impl BinaryParams {
    pub(super) fn operation(&self) -> Operation {
        ALL[self.operation as usize]
    }
}
