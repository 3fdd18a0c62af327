//! Parameters of the kernel of [`super`], as its shader reads them.

use crate::uniform;

/// Tensors per launch. With the arena and the sums, these are the eight buffers that every GPU can bind.
pub(super) const PARTS: usize = 6;

uniform! {
    /// Part i has `widths\[i\]` elements, 0 if it is absent. It is copied to the arena from element `starts\[i\]` on.
    pub struct FlattenParams {
        pub(super) widths: [u32; PARTS],
        pub(super) starts: [u32; PARTS],
        /// Index of the first sum that this launch writes.
        pub(super) first: u32,
        /// 1 for sums of squares, 0 for the number of non-finite numbers.
        pub(super) squares: u32,
    }
}
