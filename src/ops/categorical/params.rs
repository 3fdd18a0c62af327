//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// logits \[rows, classes\].
    pub struct CategoricalParams {
        pub(super) rows: u32,
        pub(super) classes: u32,
    }
}
