//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of both kernels.
    pub struct LatentParams {
        pub(super) batch: u32,
        /// Z.
        pub(super) width: u32,
        /// Where the noise of this glimpse begins in eps.
        pub(super) start: u32,
    }
}
