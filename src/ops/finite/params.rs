//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// x \[n\].
    pub struct FiniteParams {
        pub(crate) n: u32,
    }
}

uniform! {
    /// Numbers of a verdict.
    pub struct VerdictParams {
        /// Largest norm of the gradient that is let through; 0 for any.
        pub(crate) limit: f32,
        /// The step's number since the tally was fetched.
        pub(crate) number: f32,
        /// 1: after a bad step all others are left out too.
        pub(crate) latch: u32,
    }
}
