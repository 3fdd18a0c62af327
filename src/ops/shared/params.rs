//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

/// Uses that a launch adds up on a GPU, whose shaders see eight buffers: d and x of each, dW and db.
pub(super) const USES: usize = 3;

uniform! {
    /// Parameters of a launch for dW \[m, n\].
    pub struct SharedGradientParams {
        pub(super) m: u32,
        pub(super) n: u32,
        /// Of each use (GPU only).
        pub(super) rows: [u32; USES],
        /// 1: added to what dW and db hold.
        pub(super) accumulate: u32,
        /// 1: db is made too (GPU only).
        pub(super) has_bias: u32,
    }
}
