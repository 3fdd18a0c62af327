//! Tests whether kernels can add over adjacent invocations with subgroup operations.
//!
//! `lib/neighbours_in_subgroups.wgsl` exchanges values between the invocations i and i ^ mask of a workgroup, for masks
//! below the smallest size of a subgroup. It needs subgroups of adjacent invocations: invocation i must be number
//! i % size of its subgroup. Drivers arrange workgroups of one dimension like this, but neither WGSL nor the APIs below
//! it promise so. Therefore each opened device runs [`PROBE`] first, and uses workgroup memory unless every invocation
//! finds the expected partners.
//!
//! Some drivers choose the size of a subgroup for each pipeline, and the probe sees only one of them. All sizes are
//! powers of two, so each is a multiple of the smallest. In that arrangement, i ^ mask is then in the subgroup of i for
//! every size that the driver may choose.

use super::context::Gpu;
use super::program::{Dispatch, Program, Wgsl};

/// Writes 1 for each invocation of a workgroup whose partners are the expected ones for every mask below `size`.
static PROBE: Program = Program {
    name: "subgroups",
    source: Wgsl::new(
        "
        struct Params { size: u32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> agrees: array<f32>;
        @compute @workgroup_size(256)
        fn subgroups(@builtin(local_invocation_index) lane: u32) {
            let masks = vec4<u32>(1u, 2u, 4u, 8u);
            let found = vec4<u32>(
                subgroupShuffleXor(lane, 1u),
                subgroupShuffleXor(lane, 2u),
                subgroupShuffleXor(lane, 4u),
                subgroupShuffleXor(lane, 8u),
            );
            let right = (found == (vec4<u32>(lane) ^ masks)) | (masks >= vec4<u32>(params.size));
            agrees[lane] = select(0.0, 1.0, all(right));
        }",
    ),
    inputs: 0,
    outputs: 1,
};

impl Gpu {
    /// Whether the subgroups of this device consist of adjacent invocations, at least `size` each.
    pub(super) async fn has_subgroups_of(&self, size: u32) -> bool {
        let agrees = self.alloc(256);
        let dispatch = Dispatch {
            entry: "subgroups",
            groups: [1; 3],
            params: bytemuck::bytes_of(&size),
            loop_iterations: 0,
        };
        self.record(&PROBE, &[dispatch], &[], &[&agrees]);
        self.download_async(&agrees).await.is_ok_and(|agrees| agrees == [1.0; 256])
    }
}
