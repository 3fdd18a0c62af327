//! The GPU runtime on toy kernels: transfers, ordering, parameters, the pool (`work`), limits and
//! failures (`failures`), sums over adjacent invocations (`sums`).
//!
//! Runs on the first adapter found, or on the one whose name contains `PIXELLOOM_ADAPTER`. Without an adapter the
//! tests report that they are skipped, or fail if `PIXELLOOM_REQUIRE_GPU=1`.
mod failures;
mod sums;
mod work;

use crate::common::open_with;
use pixelloom::Error;
use pixelloom::gpu::{Dispatch, Gpu, GpuBuffer, GpuOptions, Program, Wgsl, adapters};

/// `affine`: y = a x + b. `lengths`: y\[0\] = 1000 length(x) + length(y).
static AFFINE: Program = Program {
    name: "affine",
    source: Wgsl::new(
        "
        struct Params { n: u32, row: u32, a: f32, b: f32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read> x: array<f32>;
        @group(0) @binding(2) var<storage, read_write> y: array<f32>;
        @compute @workgroup_size(64)
        fn affine(@builtin(global_invocation_id) id: vec3<u32>) {
            let i = id.y * params.row + id.x;
            if (i < params.n) { y[i] = params.a * x[i] + params.b; }
        }
        @compute @workgroup_size(64)
        fn lengths(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x == 0u) { y[0] = f32(arrayLength(&x)) * 1000.0 + f32(arrayLength(&y)); }
        }",
    ),
    inputs: 1,
    outputs: 1,
};

/// `mark`: out\[at\] = value, one element per dispatch. `divide`: out\[0\] = 7 / at. `sum`: see below.
static MARK: Program = Program {
    name: "mark",
    source: Wgsl::new(
        "
        struct Params { at: u32, value: f32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn mark() { out[params.at] = params.value; }
        @compute @workgroup_size(1) fn divide() { out[0] = f32(7u / params.at); }
        // Adds 1 to workgroup memory that has not been written.
        var<workgroup> fresh: array<f32, 64>;
        @compute @workgroup_size(64) fn sum(@builtin(local_invocation_index) i: u32) {
            fresh[i] += 1.0;
            workgroupBarrier();
            out[i] = fresh[63u - i];
        }",
    ),
    inputs: 0,
    outputs: 1,
};

static BROKEN: Program = Program {
    name: "broken-toy",
    source: Wgsl::new("@compute @workgroup_size(1) fn main() { let x: f32 = no_such_name; }"),
    inputs: 1,
    outputs: 1,
};

/// A program whose declared inputs and outputs disagree with the bindings of its shader.
static MISLABELLED: Program =
    Program { name: "mislabelled-toy", source: AFFINE.source, inputs: 2, outputs: 0 };

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Affine {
    n: u32,
    row: u32,
    a: f32,
    b: f32,
}

fn open() -> Option<Gpu> {
    open_with(GpuOptions::default())
}

/// y = a x + b into a new buffer.
fn affine(gpu: &Gpu, x: &GpuBuffer, a: f32, b: f32) -> GpuBuffer {
    let y = gpu.alloc(x.len());
    let groups = x.len().div_ceil(64) as u32;
    let columns = groups.min(30_000);
    let params = Affine { n: x.len() as u32, row: columns * 64, a, b };
    gpu.record(
        &AFFINE,
        &[Dispatch {
            entry: "affine",
            groups: [columns, groups.div_ceil(columns.max(1)), 1],
            params: bytemuck::bytes_of(&params),
            loop_iterations: 0,
        }],
        &[x],
        &[&y],
    );
    y
}

fn message(outcome: pixelloom::Result<impl std::fmt::Debug>) -> String {
    match outcome {
        Err(Error::Device(message)) => message,
        other => panic!("expected a device error, got {other:?}"),
    }
}

#[test]
fn adapters_are_listed_and_software_is_marked() {
    let found = adapters();
    for (i, adapter) in found.iter().enumerate() {
        assert_eq!(adapter.index, i);
        assert_eq!(adapter.software, adapter.device_type == "cpu");
        if adapter.name.contains("llvmpipe") {
            assert!(adapter.software && adapter.backend == "vulkan", "{adapter:?}");
        }
        println!("{adapter:?}");
    }
    let first_software = found.iter().position(|a| a.software).unwrap_or(found.len());
    assert!(found[first_software..].iter().all(|a| a.software));
    let why = message(Gpu::open(found.len(), GpuOptions::default()));
    assert!(why.contains("no GPU") && why.contains("--device cpu"), "{why}");
}

#[test]
fn threads_record_concurrently() {
    let Some(gpu) = open() else { return };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gpu = gpu.clone();
            scope.spawn(move || {
                for round in 0..5 {
                    let start = (thread * 10 + round) as f32;
                    let mut x = gpu.upload(&vec![start; 300]);
                    for _ in 0..100 {
                        x = affine(&gpu, &x, 1.0, 1.0);
                    }
                    assert_eq!(gpu.download(&x).unwrap(), vec![start + 100.0; 300]);
                }
            });
        }
    });
    assert_eq!(gpu.stats().dispatches, 4 * 5 * 100);
}
