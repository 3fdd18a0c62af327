//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of both kernels.
    pub struct FilterbankParams {
        pub(super) batch: u32,
        /// N.
        pub(super) filters: u32,
        pub(super) height: u32,
        pub(super) width: u32,
    }
}
