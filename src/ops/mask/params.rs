//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Weights (outputs, inputs, area), where area = kh kw; the first `taps` of the area are visible.
    pub struct MaskParams {
        pub(super) outputs: u32,
        pub(super) inputs: u32,
        pub(super) area: u32,
        pub(super) taps: u32,
        /// Index of the centre tap, in which colour groups matter; `taps` or more if it is not visible or unmasked.
        pub(super) centre: u32,
        pub(super) groups: u32,
        /// Outputs of each of the stacked maps.
        pub(super) stack: u32,
        /// 1 if an output reads its own colour group (mask B), else 0.
        pub(super) own: u32,
    }
}

impl MaskParams {
    /// Whether output `o` reads input `i` of tap `t`.
    pub(super) fn shows(&self, t: u32, i: u32, o: u32) -> bool {
        let from = i * self.groups / self.inputs;
        let to = o % self.stack * self.groups / self.stack;
        t != self.centre || from < to + self.own
    }
}
