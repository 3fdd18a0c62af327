//! What a compute shader is to the host: a WGSL module with one binding convention.
//!
//! Group 0: binding 0 is `var<uniform>` parameters, bindings `1..=inputs` are `var<storage, read>`,
//! the rest are `var<storage, read_write>` outputs. Known to the CPU-only build too, so that the
//! shaders are checked there as well.

/// A WGSL module; every entry point uses a subset of the same bindings.
///
/// It runs unchecked unless the device was opened with `GpuOptions::bounds_checks`, so for all parameters
/// that it is launched with, each index has to be inside its array, each loop has to end, and no divisor
/// of integers may be 0.
#[derive(Debug)]
pub struct Program {
    /// Name for messages and profiles.
    pub name: &'static str,
    /// WGSL text.
    pub source: &'static str,
    /// Number of read-only storage buffers.
    pub inputs: usize,
    /// Number of written storage buffers; inputs and outputs together are at most 8.
    pub outputs: usize,
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
    /// Iterations of all loops of one invocation; some software drivers stop at 65,535.
    pub loop_iterations: u64,
}
