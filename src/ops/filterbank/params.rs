//! Parameters of the kernels of [`super`], as their shaders read them.

use bytemuck::{Pod, Zeroable};

/// Parameters of both kernels.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct FilterbankParams {
    pub(super) batch: u32,
    /// N.
    pub(super) filters: u32,
    pub(super) height: u32,
    pub(super) width: u32,
}
