//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of all kernels of this operation.
    pub struct LatentParams {
        pub(super) batch: u32,
        /// Z.
        pub(super) width: u32,
        /// Index in eps at which the noise of this glimpse starts.
        pub(super) start: u32,
        /// Number of columns after z in a row of the decoder's input: h. 0 if z is a tensor of its own.
        pub(super) beside: u32,
    }
}
