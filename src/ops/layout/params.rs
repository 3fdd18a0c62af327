//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// y has shape `shape`. Along each axis, x has `limit` elements, `stride` apart, and is read from index `start`.
    pub struct WindowParams {
        pub(super) shape: [u32; 4],
        pub(super) stride: [u32; 4],
        pub(super) limit: [u32; 4],
        pub(super) start: [i32; 4],
        pub(super) n: u32,
        pub(super) unused: [u32; 3],
    }
}

/// Largest number of parts in one launch.
pub(super) const PARTS: usize = 3;

uniform! {
    /// Parts \[outer, widths\[i\]\] of a whole \[outer, sum of widths\] of n elements. An absent part has width 0.
    pub struct ConcatParams {
        pub(super) n: u32,
        pub(super) widths: [u32; PARTS],
    }
}
