//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Sizes, the value to sample, and the [`Scale`](super::Scale).
    pub struct PickParams {
        pub(super) batch: u32,
        pub(super) pixels: u32,
        pub(super) channels: u32,
        pub(super) levels: u32,
        /// row * width + column.
        pub(super) pixel: u32,
        pub(super) channel: u32,
        pub(super) mean: f32,
        pub(super) std_dev: f32,
    }
}
