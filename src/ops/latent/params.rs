//! Parameters of the kernels of [`super`], as their shaders read them.

use bytemuck::{Pod, Zeroable};

/// Parameters of both kernels.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct LatentParams {
    pub(super) batch: u32,
    /// Z.
    pub(super) width: u32,
    /// Where the noise of this glimpse begins in eps.
    pub(super) start: u32,
}
