//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// cols \[batch, height, width, side, side, channels\], y \[batch, stride height, stride width, channels\].
    pub struct FoldParams {
        pub(super) batch: u32,
        pub(super) height: u32,
        pub(super) width: u32,
        pub(super) channels: u32,
        /// k.
        pub(super) side: u32,
        /// s.
        pub(super) stride: u32,
        pub(super) pad: u32,
    }
}
