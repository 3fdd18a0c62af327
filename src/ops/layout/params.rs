//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// y `shape`; along each axis x is read from `start`, has `limit` elements and steps by `stride`.
    pub struct WindowParams {
        pub(super) shape: [u32; 4],
        pub(super) stride: [u32; 4],
        pub(super) limit: [u32; 4],
        pub(super) start: [i32; 4],
        pub(super) n: u32,
        pub(super) unused: [u32; 3],
    }
}

/// Tensors that a launch puts side by side, or makes of one.
pub(super) const PARTS: usize = 3;

uniform! {
    /// Parts \[outer, widths\[i\]\] of a whole \[outer, sum of widths\] of n elements; a part that is absent has a
    /// width of 0.
    pub struct ConcatParams {
        pub(super) n: u32,
        pub(super) widths: [u32; PARTS],
    }
}
