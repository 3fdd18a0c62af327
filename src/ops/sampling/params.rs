//! Parameters of the kernel of [`super`], as its shader reads them.

use crate::uniform;

uniform! {
    /// Sizes, the pixels to draw, and the numbers of steps.
    pub struct SamplingParams {
        pub(super) batch: u32,
        pub(super) height: u32,
        pub(super) width: u32,
        pub(super) channels: u32,
        pub(super) levels: u32,
        /// Mean and standard deviation of v / (levels - 1) ([`Scale`](crate::ops::pick::Scale)).
        pub(super) mean: f32,
        pub(super) std_dev: f32,
        /// Numbers of steps: those of the features come first in the table, then those of the logits, then the scans of
        /// a finished row.
        pub(super) features: u32,
        pub(super) logits: u32,
        pub(super) scans: u32,
        /// The pixels of this launch, from `from_pixel` to before `to_pixel`, in raster order.
        pub(super) from_pixel: u32,
        pub(super) to_pixel: u32,
        /// Floats of an image's maps, of its given maps, and before its logits.
        pub(super) maps: u32,
        pub(super) given: u32,
        pub(super) logits_at: u32,
    }
}
