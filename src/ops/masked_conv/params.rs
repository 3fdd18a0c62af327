//! Parameters of the kernels of [`super`], as their shaders read them.

use super::window::VisibleProducts;
use crate::uniform;

uniform! {
    /// Parameters of all kernels of this op.
    pub struct MaskedConvParams {
        pub(super) batch: u32,
        pub(super) height: u32,
        pub(super) width: u32,
        pub(super) inputs: u32,
        pub(super) outputs: u32,
        pub(super) taps: u32,
        /// Taps of a row of the window.
        pub(super) across: u32,
        pub(super) top: i32,
        pub(super) left: i32,
        pub(super) relu_before: u32,
        pub(super) relu_after: u32,
        pub(super) has_bias: u32,
        pub(super) has_residual: u32,
        /// The pixel that [`super::MASKED_CONV_AT`] computes.
        pub(super) row: u32,
        pub(super) column: u32,
        /// Pixels whose part of a weight gradient a GPU workgroup adds up.
        pub(super) chunk: u32,
        /// Colour groups of the channels, 1 where the last tap shows all of them.
        pub(super) groups: u32,
        /// Outputs of one of the stacked maps, among which groups are counted.
        pub(super) stack: u32,
        /// 1 if a channel sees its own group in the last tap.
        pub(super) own: u32,
        pub(super) unused: u32,
    }
}

impl MaskedConvParams {
    /// Pixels of all images.
    pub(super) fn pixels(&self) -> usize {
        self.batch as usize * self.height as usize * self.width as usize
    }

    /// The products of a pixel.
    pub(super) fn products(&self) -> VisibleProducts {
        VisibleProducts {
            taps: self.taps as usize,
            inputs: self.inputs as usize,
            outputs: self.outputs as usize,
            groups: self.groups as usize,
            stack: self.stack as usize,
            own: self.own as usize,
        }
    }
}
