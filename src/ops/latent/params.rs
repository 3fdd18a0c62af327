//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of both kernels.
    pub struct LatentParams {
        pub(super) batch: u32,
        /// Z.
        pub(super) width: u32,
        /// Index in eps at which the noise of this glimpse starts.
        pub(super) start: u32,
    }
}
