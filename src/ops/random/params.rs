//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::rng::{Distribution, Key};
use crate::uniform;

uniform! {
    /// The key as 32-bit words, the distribution and the number of elements.
    pub struct RandomParams {
        pub(super) n: u32,
        pub(super) distribution: u32,
        pub(super) seed_low: u32,
        pub(super) seed_high: u32,
        pub(super) stream: u32,
        pub(super) step: u32,
        pub(super) keep: f32,
    }
}

impl RandomParams {
    pub(super) fn key(&self) -> Key {
        let seed = u64::from(self.seed_low) | u64::from(self.seed_high) << 32;
        Key::new(seed, self.stream, self.step)
    }

    pub(super) fn distribution(&self) -> Distribution {
        use Distribution::*;
        [Uniform, Normal, Dropout { keep: self.keep }][self.distribution as usize]
    }
}
