//! Parameters of the kernels of [`super`], as their shaders read them.

use bytemuck::{Pod, Zeroable};

/// Inputs \[rows, width\].
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct LikelihoodParams {
    pub(super) rows: u32,
    pub(super) width: u32,
}
