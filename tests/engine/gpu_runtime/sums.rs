//! Sums over 16 adjacent invocations.

use super::*;

/// A workgroup that adds over adjacent invocations. Exchanges through workgroup memory stand for those within a subgroup.
const RUN: &str = "
    @group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
    @group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
    var<workgroup> exchange: array<vec4<f32>, 256>;
    fn exchanged(lane: u32, value: vec4<f32>, mask: u32) -> vec4<f32> {
        exchange[lane] = value;
        workgroupBarrier();
        let other = exchange[lane ^ mask];
        workgroupBarrier();
        return other;
    }
    @compute @workgroup_size(256)
    fn sums(@builtin(local_invocation_index) lane: u32) {
        y[lane] = sum_of_neighbours(x[lane], lane);
    }";

/// The sums in subgroups of `size`, or in workgroup memory if it is `None`.
fn sums(gpu: &Gpu, x: &GpuBuffer, size: Option<u32>) -> Vec<u32> {
    let library = include_str!("../../../shaders/lib/filterbank.wgsl");
    let (_, library) = library.split_once("var<workgroup> parts").unwrap();
    let sum_of_neighbours = match size {
        None => include_str!("../../../shaders/lib/neighbours.wgsl").to_string(),
        Some(_) => include_str!("../../../shaders/lib/neighbours_in_subgroups.wgsl")
            .replace("subgroupShuffleXor(", "exchanged(lane, "),
    };
    let text = format!("var<workgroup> parts{library}{sum_of_neighbours}{RUN}");
    let overrides: Vec<(&str, u32)> = size.map(|size| ("SUBGROUP", size)).into_iter().collect();
    let source = Wgsl { text: text.leak(), overrides: overrides.leak() };
    let program = Box::leak(Box::new(Program { name: "sums", source, inputs: 1, outputs: 1 }));
    let y = gpu.alloc(1024);
    let dispatch = Dispatch { entry: "sums", groups: [1; 3], params: &[], loop_iterations: 0 };
    gpu.record(program, &[dispatch], &[x], &[&y]);
    gpu.download(&y).unwrap().into_iter().map(f32::to_bits).collect()
}

/// The order of additions is the same for every size of a subgroup, also for those that this adapter does not have.
#[test]
fn sums_have_the_same_bits_for_every_size_of_a_subgroup() {
    let options = GpuOptions { subgroup: Some(0), ..GpuOptions::default() };
    let Some(gpu) = open_with(options) else { return };
    let data: Vec<f32> = (0..1024).map(|i| 1.0 / (1.0 + (i * 37 % 101) as f32)).collect();
    let x = gpu.upload(&data);
    let plain = sums(&gpu, &x, None);
    assert!(plain.iter().any(|bits| *bits != plain[0]));
    for size in [4, 8, 16] {
        assert_eq!(sums(&gpu, &x, Some(size)), plain, "subgroups of {size}");
    }
}
