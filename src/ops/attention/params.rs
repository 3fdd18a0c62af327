//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Parameters of all kernels of this op.
    pub struct AttentionParams {
        pub(super) batch: u32,
        /// N.
        pub(super) filters: u32,
        pub(super) height: u32,
        pub(super) width: u32,
        pub(super) channels: u32,
        /// S: 2 if the error image is read as well as the image, else 1.
        pub(super) sources: u32,
        /// Length of a row that begins with an image's patches; 0 if these are a tensor of their own.
        pub(super) row: u32,
        /// 1 if the gradient of a read is added to the gradient of the canvas.
        pub(super) accumulate: u32,
    }
}

impl AttentionParams {
    /// Floats of an image's bank.
    pub(super) fn bank(&self) -> usize {
        self.filters as usize * (self.width + self.height) as usize
    }

    /// Floats of an image.
    pub(super) fn image(&self) -> usize {
        (self.height * self.width * self.channels) as usize
    }

    /// Floats of a patch of one source.
    pub(super) fn patch(&self) -> usize {
        (self.filters * self.filters * self.channels) as usize
    }

    /// Floats of a row after its patches (of a read).
    pub(super) fn beside(&self) -> usize {
        self.row as usize - self.sources as usize * self.patch()
    }

    /// Distance of consecutive images' patches and of their attention parameters (of a write), in floats.
    pub(super) fn strides(&self) -> [usize; 2] {
        match self.row as usize {
            0 => [self.patch(), 5],
            row => [row; 2],
        }
    }

    /// Floats of the intermediate product t of one source.
    pub(super) fn between(&self) -> usize {
        (self.filters * self.width * self.channels) as usize
    }

    /// Floats of an image's work.
    pub(super) fn work(&self) -> usize {
        self.bank() + self.sources as usize * self.between()
    }
}
