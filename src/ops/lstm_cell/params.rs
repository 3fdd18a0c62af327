//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of both kernels.
    pub struct LstmCellParams {
        pub(super) batch: u32,
        /// k.
        pub(super) depth: u32,
        pub(super) hidden: u32,
        /// Distance between rows of b: 4h, or 0 if all rows share one bias.
        pub(super) bias_stride: u32,
        /// Columns in a panel of W if it is packed (CPU only), else 0.
        pub(super) panel: u32,
        /// For the gradient: the number of tensors, 1 to 3, whose sum is dh'.
        pub(super) parts: u32,
        /// For the gradient: 1 if the state dc holds dc' on entry, 0 if dc' is 0.
        pub(super) later: u32,
    }
}
