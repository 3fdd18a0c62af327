//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::cpu::gemm::{Activation, Operand};
use crate::uniform;

uniform! {
    /// C\[m, n\] = act(A\[m, k\] B\[k, n\] + bias\[n\]) for each of `batch` products; strides in elements.
    pub struct MatmulParams {
        pub(super) m: u32,
        pub(super) n: u32,
        pub(super) k: u32,
        pub(super) batch: u32,
        pub(super) stride_a: [u32; 2],
        /// Of a packed B (CPU only) 0 and the columns of a panel.
        pub(super) stride_b: [u32; 2],
        pub(super) batch_a: u32,
        pub(super) batch_b: u32,
        pub(super) has_bias: u32,
        pub(super) activation: u32,
        /// Length of the pieces along k that the GPU sums apart; k where it doesn't.
        pub(super) chunk: u32,
        /// 1: zeros of A may be skipped, 2: of B, where most are (CPU only).
        pub(super) zeros: u32,
    }
}

impl MatmulParams {
    /// Columns of a panel of a packed B.
    pub(super) fn panel_b(&self) -> Option<usize> {
        match self.stride_b {
            [0, panel] if panel > 1 => Some(panel as usize),
            _ => None,
        }
    }

    pub(super) fn skipped(&self) -> Option<Operand> {
        [None, Some(Operand::A), Some(Operand::B)][self.zeros as usize]
    }

    pub(super) fn activation(&self) -> Activation {
        use Activation::*;
        [None, Tanh, Sigmoid, Relu][self.activation as usize]
    }
}
