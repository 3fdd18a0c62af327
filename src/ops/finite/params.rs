//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// x \[n\].
    pub struct FiniteParams {
        pub(crate) n: u32,
    }
}

uniform! {
    /// Parameters of the decision about a step.
    pub struct VerdictParams {
        /// Limit of the global gradient norm; 0 for no clipping, and then the sum of squares is the number of non-finite
        /// gradients instead.
        pub(crate) limit: f32,
        /// The step's number since the tally was reset, from 1.
        pub(crate) number: f32,
        /// 1: after a non-finite step, skip all later steps too.
        pub(crate) latch: u32,
        /// Number of terms of the sum of squares.
        pub(crate) n: u32,
    }
}
