//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// Number of uses per GPU launch: d and x of each, dW and db make eight buffers, the limit of a shader.
pub(super) const USES: usize = 3;

uniform! {
    /// Parameters of a launch for dW \[m, n\].
    pub struct SharedGradientParams {
        pub(super) m: u32,
        pub(super) n: u32,
        /// Number of rows of each use; 0 for an absent one (GPU only).
        pub(super) rows: [u32; USES],
        /// 1: add to dW and db instead of overwriting them.
        pub(super) accumulate: u32,
        /// 1: compute db too (GPU only).
        pub(super) has_bias: u32,
    }
}
