//! A compute shader from the host's point of view: a WGSL module with one binding convention.
//!
//! In group 0, binding 0 is the parameters (`var<uniform>`), bindings `1..=inputs` are the inputs
//! (`var<storage, read>`), and the rest are the outputs (`var<storage, read_write>`). This module is in the CPU-only
//! build too, because its tests check the shaders.

use std::borrow::Cow;

/// A WGSL module. Each entry point uses a subset of its bindings.
///
/// It runs without run-time checks unless the device was opened with `GpuOptions::bounds_checks`. So for all parameters
/// that it is launched with, every index must be inside its array, every loop must end, and no integer divisor may
/// be 0.
#[derive(Debug)]
pub struct Program {
    /// Name in messages and profiles.
    pub name: &'static str,
    /// The source.
    pub source: Wgsl,
    /// Number of read-only storage buffers.
    pub inputs: usize,
    /// Number of written storage buffers; inputs and outputs together are at most 8.
    pub outputs: usize,
}

/// WGSL text, and the values of its `override` constants.
#[derive(Debug, Clone, Copy)]
pub struct Wgsl {
    /// The text.
    pub text: &'static str,
    /// Name and value of every `override` in the text.
    pub overrides: &'static [(&'static str, u32)],
}

/// Sums over 16 adjacent invocations: in workgroup memory, and with subgroup operations.
const NEIGHBOURS: [&str; 2] = [
    include_str!("../../shaders/lib/neighbours.wgsl"),
    include_str!("../../shaders/lib/neighbours_in_subgroups.wgsl"),
];

impl Wgsl {
    /// Text without overrides.
    pub const fn new(text: &'static str) -> Wgsl {
        Wgsl { text, overrides: &[] }
    }

    /// The text and overrides for a device whose subgroups have at least `size` adjacent invocations: 4, 8 or 16, or 0
    /// to use no subgroup operations.
    pub fn with_subgroups(self, size: u32) -> (Cow<'static, str>, Vec<(&'static str, u32)>) {
        let mut overrides = self.overrides.to_vec();
        if size == 0 || !self.text.contains(NEIGHBOURS[0]) {
            return (self.text.into(), overrides);
        }
        overrides.push(("SUBGROUP", size));
        (self.text.replace(NEIGHBOURS[0], NEIGHBOURS[1]).into(), overrides)
    }
}

/// One dispatch of a program.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch<'a> {
    /// Entry point.
    pub entry: &'static str,
    /// Workgroups in x, y, z; at most 65,535 each.
    pub groups: [u32; 3],
    /// Bytes of the uniform parameters, at most 256.
    pub params: &'a [u8],
    /// Loop iterations of one invocation, all loops together; some software drivers stop at 65,535.
    pub loop_iterations: u64,
}
