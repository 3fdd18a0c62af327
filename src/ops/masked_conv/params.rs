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
        /// Number of taps in a row of the window.
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
        /// Number of pixels in a partial sum of the weight gradient on a GPU.
        pub(super) chunk: u32,
        /// Number of colour groups; 1 if the last tap is not masked.
        pub(super) groups: u32,
        /// Outputs of each of the stacked maps, within which groups are counted.
        pub(super) stack: u32,
        /// 1 if an output reads its own colour group in the last tap, else 0.
        pub(super) own: u32,
        /// [`Tiles::wide_convolutions`](crate::tiles::Tiles), for the host.
        pub(super) wide_tiles: u32,
    }
}

impl MaskedConvParams {
    /// Number of pixels in all images.
    pub(super) fn pixels(&self) -> usize {
        self.batch as usize * self.height as usize * self.width as usize
    }

    /// The multiplications of a pixel.
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
