//! Parameters of the kernels of [`super`], as their shaders read them.

use bytemuck::{Pod, Zeroable};

/// logits \[rows, classes\].
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct CategoricalParams {
    pub(super) rows: u32,
    pub(super) classes: u32,
}
