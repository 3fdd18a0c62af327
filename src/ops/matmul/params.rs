//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::cpu::gemm::{Activation, Operand};
use crate::uniform;

uniform! {
    /// C\[m, n\] = act(A\[m, k\] B\[k, n\] + bias\[n\]) for each of `batch` products. Strides (row, column) and
    /// distances between matrices are in elements.
    pub struct MatmulParams {
        pub(super) m: u32,
        pub(super) n: u32,
        pub(super) k: u32,
        pub(super) batch: u32,
        pub(super) stride_a: [u32; 2],
        /// For a packed B (CPU only): 0 and the number of columns in a panel.
        pub(super) stride_b: [u32; 2],
        pub(super) batch_a: u32,
        pub(super) batch_b: u32,
        pub(super) has_bias: u32,
        pub(super) activation: u32,
        /// Length of the pieces of k in split-K on the GPU; k if it is not split.
        pub(super) chunk: u32,
        /// Operand whose zeros may be skipped (CPU only): 0 none, 1 A, 2 B.
        pub(super) zeros: u32,
        /// 1 for large tiles, for the host.
        pub(super) large: u32,
        pub(super) unused: u32,
    }
}

impl MatmulParams {
    /// Number of columns in a panel of a packed B; `None` if it is not packed.
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
