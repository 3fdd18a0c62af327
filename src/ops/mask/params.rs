//! Parameters of the kernels of [`super`], as their shaders read them.

use crate::uniform;

uniform! {
    /// Weights (outputs, inputs, area), of which the first `taps` of the area are seen.
    pub struct MaskParams {
        pub(super) outputs: u32,
        pub(super) inputs: u32,
        pub(super) area: u32,
        pub(super) taps: u32,
        /// The tap in which colour groups matter; `taps` or more if there is none.
        pub(super) centre: u32,
        pub(super) groups: u32,
        /// Outputs of one of the stacked maps.
        pub(super) stack: u32,
        /// 1 if a channel sees its own group (mask B).
        pub(super) own: u32,
    }
}

impl MaskParams {
    /// Whether tap `t` shows input `i` to output `o`.
    pub(super) fn shows(&self, t: u32, i: u32, o: u32) -> bool {
        let from = i * self.groups / self.inputs;
        let to = o % self.stack * self.groups / self.stack;
        t != self.centre || from < to + self.own
    }
}
