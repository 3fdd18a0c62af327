//! The GPU runtime on toy kernels: transfers, ordering, parameters, the pool, limits and failures.
//!
//! Runs on the first adapter found, or on the one whose name contains `PIXELLOOM_ADAPTER`. Without
//! any, the tests say that they skip, or fail if `PIXELLOOM_REQUIRE_GPU=1`.
#![cfg(feature = "gpu")]

use pixelloom::Error;
use pixelloom::gpu::{Dispatch, Gpu, GpuBuffer, GpuOptions, Program, adapters};

/// y = a x + b, and x_i + i.
static AFFINE: Program = Program {
    name: "affine",
    source: "
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
    inputs: 1,
    outputs: 1,
};

/// out_k = the k-th parameter, one element a dispatch.
static MARK: Program = Program {
    name: "mark",
    source: "
        struct Params { at: u32, value: f32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn mark() { out[params.at] = params.value; }
        @compute @workgroup_size(1) fn divide() { out[0] = f32(7u / params.at); }
        // A sum in workgroup memory that is not written before it is read.
        var<workgroup> fresh: array<f32, 64>;
        @compute @workgroup_size(64) fn sum(@builtin(local_invocation_index) i: u32) {
            fresh[i] += 1.0;
            workgroupBarrier();
            out[i] = fresh[63u - i];
        }",
    inputs: 0,
    outputs: 1,
};

static BROKEN: Program = Program {
    name: "broken-toy",
    source: "@compute @workgroup_size(1) fn main() { let x: f32 = no_such_name; }",
    inputs: 1,
    outputs: 1,
};

/// Its layout disagrees with its bindings.
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

fn open_with(options: GpuOptions) -> Option<Gpu> {
    let wanted = std::env::var("PIXELLOOM_ADAPTER").unwrap_or_default();
    let adapter = adapters().into_iter().find(|a| a.name.contains(&wanted));
    match adapter {
        Some(adapter) => Some(Gpu::open(adapter.index, options).unwrap()),
        None if std::env::var("PIXELLOOM_REQUIRE_GPU").is_ok_and(|v| v == "1") => {
            panic!("PIXELLOOM_REQUIRE_GPU=1, and no adapter was found")
        }
        None => {
            println!("skipped: no GPU adapter here");
            None
        }
    }
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
fn affine_round_trip_with_every_option() {
    for bits in 0..8 {
        let options = GpuOptions {
            bounds_checks: bits & 1 > 0,
            zero_workgroup_memory: bits & 2 > 0,
            poison: bits & 4 > 0,
        };
        let Some(gpu) = open_with(options) else { return };
        for n in [1, 2, 63, 64, 65, 257, 10_000] {
            let data: Vec<f32> = (0..n).map(|i| i as f32 - 7.5).collect();
            let x = gpu.upload(&data);
            assert_eq!(gpu.download(&x).unwrap(), data, "{options:?}");
            let y = gpu.download(&affine(&gpu, &x, 2.0, 1.0)).unwrap();
            let expected: Vec<f32> = data.iter().map(|x| 2.0 * x + 1.0).collect();
            assert_eq!(y, expected, "n = {n}, {options:?}");
        }
    }
}

#[test]
fn empty_buffers_and_empty_dispatches_are_fine() {
    let Some(gpu) = open() else { return };
    let x = gpu.upload(&[]);
    assert!(x.is_empty());
    let y = affine(&gpu, &x, 1.0, 0.0);
    assert!(gpu.download(&y).unwrap().is_empty());
    assert!(gpu.download(&x).unwrap().is_empty());
    assert_eq!(gpu.stats().dispatches, 0);
}

#[test]
fn a_buffer_is_bound_with_its_exact_length() {
    let Some(gpu) = open() else { return };
    let x = gpu.upload(&[0.0; 37]);
    let y = gpu.alloc(5);
    gpu.record(
        &AFFINE,
        &[Dispatch { entry: "lengths", groups: [1, 1, 1], params: &[0; 16], loop_iterations: 0 }],
        &[&x],
        &[&y],
    );
    assert_eq!(gpu.download(&y).unwrap()[0], 37_005.0);
}

#[test]
fn a_thousand_dependent_dispatches_run_in_order() {
    let Some(gpu) = open() else { return };
    let mut x = gpu.upload(&[0.0, 1.0, 2.0]);
    for step in 0..1000 {
        // Order matters: halving and adding don't commute.
        x = match step % 2 {
            0 => affine(&gpu, &x, 0.5, 0.0),
            _ => affine(&gpu, &x, 1.0, 3.0),
        };
    }
    let expected = [0.0f32, 1.0, 2.0].map(|start| {
        (0..1000).fold(start, |x, step| if step % 2 == 0 { 0.5 * x } else { x + 3.0 })
    });
    let before = gpu.stats();
    assert_eq!((before.dispatches, before.submissions, before.readbacks), (1000, 15, 0));
    assert_eq!(gpu.download(&x).unwrap(), expected);
    let after = gpu.stats();
    assert_eq!((after.dispatches, after.submissions, after.readbacks), (1000, 16, 1));
}

#[test]
fn costly_dispatches_are_submitted_early() {
    let Some(gpu) = open() else { return };
    let out = gpu.alloc(1);
    let dispatch = |groups, loop_iterations| Dispatch {
        entry: "mark",
        groups,
        params: &[0; 8],
        loop_iterations,
    };
    gpu.record(&MARK, &[dispatch([20, 2, 1], 30_000)], &[], &[&out]);
    assert_eq!(gpu.stats().submissions, 0);
    gpu.record(&MARK, &[dispatch([20, 2, 1], 30_000)], &[], &[&out]);
    assert_eq!(gpu.stats().submissions, 1);
    gpu.wait().unwrap();
    assert_eq!(gpu.stats().submissions, 1, "nothing was left to submit");
    gpu.record(&MARK, &[dispatch([1, 1, 1], 1)], &[], &[&out]);
    assert_eq!(gpu.stats().submissions, 1);
}

#[test]
fn profiling_names_and_times_each_dispatch() {
    let Some(gpu) = open() else { return };
    if !gpu.summary().timestamp {
        println!("skipped: {} has no timestamps", gpu.summary().name);
        assert!(message(gpu.profile(true)).contains("timestamps"));
        return;
    }
    let large = gpu.upload(&vec![1.0; 1 << 20]);
    affine(&gpu, &large, 1.0, 0.0);
    assert_eq!(gpu.profile(true).unwrap(), []);
    let mut x = gpu.upload(&[1.0; 64]);
    for _ in 0..100 {
        x = affine(&gpu, &x, 1.0, 1.0);
    }
    let y = affine(&gpu, &large, 2.0, 0.0);
    assert_eq!(gpu.download(&x).unwrap(), [101.0; 64]);
    assert_eq!(gpu.download(&y).unwrap()[1000], 2.0);
    let times = gpu.profile(false).unwrap();
    assert_eq!(times.len(), 101);
    assert!(times.iter().all(|t| (t.program, t.entry) == ("affine", "affine")));
    let mut small: Vec<u64> = times[..100].iter().map(|t| t.ns).collect();
    small.sort();
    assert!(times[100].ns > 2 * small[50], "{} after {}", times[100].ns, small[50]);
    affine(&gpu, &x, 1.0, 1.0);
    assert_eq!(gpu.profile(false).unwrap(), []);
}

#[test]
fn each_of_many_dispatches_reads_its_own_parameters() {
    let Some(gpu) = open() else { return };
    let out = gpu.alloc(300);
    let params: Vec<[u8; 8]> =
        (0..300u32).map(|i| bytemuck::cast([i, (i as f32 * 1.5).to_bits()])).collect();
    let dispatches: Vec<Dispatch> = params
        .iter()
        .map(|params| Dispatch { entry: "mark", groups: [1, 1, 1], params, loop_iterations: 0 })
        .collect();
    gpu.record(&MARK, &dispatches, &[], &[&out]);
    let expected: Vec<f32> = (0..300).map(|i| i as f32 * 1.5).collect();
    assert_eq!(gpu.download(&out).unwrap(), expected);
}

#[test]
fn the_pool_reuses_buffers() {
    let Some(gpu) = open() else { return };
    let mut state = gpu.upload(&vec![1.0; 5000]);
    let mut seen = Vec::new();
    for step in 0..20 {
        let a = affine(&gpu, &state, 1.0, 1.0);
        let b = affine(&gpu, &a, 1.0, 1.0);
        state = affine(&gpu, &b, 1.0, 1.0);
        drop((a, b));
        gpu.flush().unwrap();
        let stats = gpu.stats();
        if step > 0 {
            seen.push((stats.live_bytes, stats.live_buffers, stats.pooled_bytes));
        }
    }
    assert!(seen.iter().all(|s| *s == seen[0]), "{seen:?}");
    let (live, buffers, pooled) = seen[0];
    assert_eq!(buffers, 1);
    assert!((20_000..=25_000).contains(&live), "{live}");
    assert!(pooled <= 3 * live, "{pooled}");
    assert_eq!(gpu.download(&state).unwrap(), vec![61.0; 5000]);
    drop(state);
    // A fresh buffer would be zeros.
    assert_eq!(gpu.download(&gpu.alloc(5000)).unwrap()[0], 61.0);
    assert_eq!((gpu.stats().live_bytes, gpu.stats().live_buffers), (0, 0));
}

#[test]
fn uploads_do_not_grow_the_pool_and_the_pool_is_bounded() {
    let Some(gpu) = open() else { return };
    for _ in 0..50 {
        gpu.upload(&[1.0; 1000]);
    }
    assert_eq!(gpu.stats().pooled_bytes, 0);
    assert_eq!(gpu.stats().uploads, 50);
    for i in 1..60 {
        // Ever larger, so nothing can be reused.
        drop(gpu.alloc(i << 20));
    }
    let stats = gpu.stats();
    assert_eq!(stats.live_bytes, 0);
    assert!(stats.pooled_bytes > 0 && stats.pooled_bytes <= 256 << 20, "{stats:?}");
}

#[test]
fn poison_shows_what_a_kernel_leaves_unwritten() {
    let Some(gpu) = open_with(GpuOptions { poison: true, ..GpuOptions::default() }) else {
        return;
    };
    for round in 0..2 {
        let out = gpu.alloc(70_000);
        gpu.record(
            &MARK,
            &[Dispatch {
                entry: "mark",
                groups: [1, 1, 1],
                params: bytemuck::cast_slice(&[66_000u32, 5.0f32.to_bits()]),
                loop_iterations: 0,
            }],
            &[],
            &[&out],
        );
        for (i, x) in gpu.download(&out).unwrap().into_iter().enumerate() {
            assert!(if i == 66_000 { x == 5.0 } else { x.is_nan() }, "round {round}: {i} is {x}");
        }
    }
}

#[test]
fn workgroup_memory_starts_as_zeros_on_request() {
    let Some(gpu) = open_with(GpuOptions { zero_workgroup_memory: true, ..GpuOptions::default() })
    else {
        return;
    };
    let out = gpu.alloc(64);
    for _ in 0..3 {
        gpu.record(
            &MARK,
            &[Dispatch { entry: "sum", groups: [1, 1, 1], params: &[0; 8], loop_iterations: 0 }],
            &[],
            &[&out],
        );
        assert_eq!(gpu.download(&out).unwrap(), [1.0; 64]);
    }
}

/// 2 x + 1 over `n` elements that are not all alike.
fn large(gpu: &Gpu, n: usize) {
    let mut data = vec![1.0; n];
    data[n - 1] = -4.0;
    data[n / 2] = 9.0;
    let y = gpu.download(&affine(gpu, &gpu.upload(&data), 2.0, 1.0)).unwrap();
    let wrong = data.iter().zip(&y).position(|(x, y)| *y != 2.0 * x + 1.0);
    assert_eq!((y.len(), wrong), (n, None));
}

#[test]
fn more_than_65535_workgroups() {
    let Some(gpu) = open() else { return };
    large(&gpu, 65_536 * 64 + 1);
}

#[test]
fn a_tensor_of_128_mib_and_a_larger_one() {
    let Some(gpu) = open() else { return };
    let default_limit = (128 << 20) / 4;
    large(&gpu, default_limit);
    match gpu.summary().max_storage_buffer_binding_size > 150 << 20 {
        true => large(&gpu, default_limit + 5_000_000),
        false => println!("half skipped: {} binds 128 MiB at most", gpu.summary().name),
    }
}

#[test]
fn long_loops_are_refused_where_the_driver_breaks_them() {
    let Some(gpu) = open() else { return };
    let out = gpu.alloc(1);
    let mark = |loop_iterations| {
        gpu.record(
            &MARK,
            &[Dispatch {
                entry: "mark",
                groups: [1, 1, 1],
                params: bytemuck::cast_slice(&[0u32, 3.0f32.to_bits()]),
                loop_iterations,
            }],
            &[],
            &[&out],
        );
    };
    mark(60_000);
    assert_eq!(gpu.download(&out).unwrap(), [3.0]);
    mark(60_001);
    match gpu.summary().name.contains("llvmpipe") {
        true => {
            let why = message(gpu.download(&out));
            assert!(why.contains("mark/mark") && why.contains("60001"), "{why}");
            // The failure stays: what was not run would be missing later on.
            assert_eq!(message(gpu.flush()), why);
            assert_eq!(message(gpu.wait()), why);
        }
        false => assert_eq!(gpu.download(&out).unwrap(), [3.0]),
    }
}

#[test]
fn a_tensor_beyond_the_limits_is_a_clear_error() {
    let Some(gpu) = open() else { return };
    let limit = gpu.summary().max_storage_buffer_binding_size;
    let buffer = gpu.alloc(limit as usize / 4 + 1);
    let why = message(gpu.download(&buffer));
    assert!(why.contains("MiB") && why.contains("--device cpu"), "{why}");
    drop(buffer);
    // Everything after it is a no-op, not a panic.
    let y = affine(&gpu, &gpu.upload(&[1.0]), 1.0, 1.0);
    assert_eq!(message(gpu.download(&y)), why);
}

#[test]
fn compile_errors_name_the_program_and_quote_the_compiler() {
    let Some(gpu) = open() else { return };
    let mut seen = Vec::new();
    gpu.compile(
        &[(&AFFINE, &["affine", "lengths"]), (&MARK, &["mark", "sum"])],
        &mut |done, total| seen.push((done, total)),
    )
    .unwrap();
    assert_eq!(seen, [(1, 4), (2, 4), (3, 4), (4, 4)]);

    let why = message(gpu.compile(&[(&BROKEN, &["main"])], &mut |_, _| ()));
    assert!(why.contains("broken-toy") && why.contains("no_such_name"), "{why}");
    let why = message(gpu.compile(&[(&MARK, &["absent"])], &mut |_, _| ()));
    assert!(why.contains("mark") && why.contains("absent"), "{why}");
    let why = message(gpu.compile(&[(&MISLABELLED, &["affine"])], &mut |_, _| ()));
    assert!(why.contains("mislabelled-toy"), "{why}");
    gpu.wait().unwrap(); // nothing was to be run so far

    let [x, y] = [gpu.alloc(1), gpu.alloc(1)];
    gpu.record(
        &BROKEN,
        &[Dispatch { entry: "main", groups: [1, 1, 1], params: &[], loop_iterations: 0 }],
        &[&x],
        &[&y],
    );
    let why = message(gpu.download(&y));
    assert!(why.contains("broken-toy") && why.contains("no_such_name"), "{why}");
}

#[test]
fn checked_kernels_divide_by_zero_as_wgsl_says() {
    let Some(gpu) = open_with(GpuOptions { bounds_checks: true, ..GpuOptions::default() }) else {
        return;
    };
    let out = gpu.alloc(1);
    let divide =
        Dispatch { entry: "divide", groups: [1, 1, 1], params: &[0; 8], loop_iterations: 0 };
    gpu.record(&MARK, &[divide], &[], &[&out]);
    assert_eq!(gpu.download(&out).unwrap(), [7.0]);
}

/// The message of the panic in `body`, on a GPU where there is one.
fn panic_of(body: impl FnOnce(&Gpu)) -> Option<String> {
    let gpu = open()?;
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&gpu))).unwrap_err();
    gpu.wait().unwrap();
    Some(*panic.downcast::<String>().unwrap())
}

fn affine_dispatch(groups: [u32; 3], params: &[u8]) -> Dispatch<'_> {
    Dispatch { entry: "affine", groups, params, loop_iterations: 0 }
}

#[test]
fn mistakes_of_the_caller_panic_with_the_kernels_name() {
    let cases: [(&str, Option<String>); 5] = [
        (
            "affine: output 0 is also bound",
            panic_of(|gpu| {
                let x = gpu.alloc(4);
                gpu.record(&AFFINE, &[affine_dispatch([1, 1, 1], &[])], &[&x], &[&x]);
            }),
        ),
        (
            "affine/affine: workgroups [1, 65536, 1]",
            panic_of(|gpu| {
                let [x, y] = [gpu.alloc(4), gpu.alloc(4)];
                gpu.record(&AFFINE, &[affine_dispatch([1, 65_536, 1], &[])], &[&x], &[&y]);
            }),
        ),
        (
            "affine/affine: 257 bytes",
            panic_of(|gpu| {
                let [x, y] = [gpu.alloc(4), gpu.alloc(4)];
                gpu.record(&AFFINE, &[affine_dispatch([1, 1, 1], &[0; 257])], &[&x], &[&y]);
            }),
        ),
        (
            "affine takes 1 inputs and 1 outputs, not 1 and 0",
            panic_of(|gpu| gpu.record(&AFFINE, &[], &[&gpu.alloc(4)], &[])),
        ),
        (
            "affine takes 1 inputs and 1 outputs, not 0 and 1",
            panic_of(|gpu| gpu.record(&AFFINE, &[], &[], &[&gpu.alloc(4)])),
        ),
    ];
    for (expected, panic) in cases {
        let Some(panic) = panic else { return };
        assert!(panic.contains(expected), "{panic}");
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
fn threads_record_side_by_side() {
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

/// The time to record and run a dispatch of next to no work; printed, not judged.
#[test]
#[ignore = "a measurement"]
fn overhead_per_dispatch() {
    let Some(gpu) = open() else { return };
    let x = gpu.upload(&[1.0; 64]);
    gpu.wait().unwrap();
    let mut best = f64::INFINITY;
    for _ in 0..50 {
        let start = std::time::Instant::now();
        for _ in 0..60 {
            affine(&gpu, &x, 1.0, 0.0);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / 60.0);
        gpu.wait().unwrap();
    }
    println!("{}: {best:.2} us to record, without submitting", gpu.summary().name);
    for distinct in [false, true] {
        let mut x = gpu.upload(&[1.0; 64]);
        let other = gpu.alloc(64);
        affine(&gpu, &x, 1.0, 0.0);
        gpu.wait().unwrap();
        let (count, start) = (20_000, std::time::Instant::now());
        for _ in 0..count {
            let y = affine(&gpu, if distinct { &x } else { &other }, 1.0, 0.0);
            x = y;
        }
        let recorded = start.elapsed();
        gpu.wait().unwrap();
        println!(
            "{}: dependent {distinct}: {:.2} us a dispatch, {:.2} us until recorded",
            gpu.summary().name,
            start.elapsed().as_secs_f64() * 1e6 / count as f64,
            recorded.as_secs_f64() * 1e6 / count as f64
        );
    }
}
