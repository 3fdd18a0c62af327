//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// The size of the inputs \[rows, width\].
    pub struct LikelihoodParams {
        pub(super) rows: u32,
        pub(super) width: u32,
    }
}
