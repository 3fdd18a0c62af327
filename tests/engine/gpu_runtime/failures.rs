//! Limits and failures: what the runtime refuses, and its error messages.

use super::*;

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
            // The error persists, since later work would miss the results of the refused dispatch.
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
    gpu.wait().unwrap(); // Compile errors alone do not fail the device: nothing has been recorded.

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

/// The message of the panic in `body`; `None` without a GPU.
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
            "affine/affine: [1, 65536, 1] workgroups",
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
