//! Normal operation: transfers, order, parameters, the pool.

use super::*;

#[test]
fn affine_round_trip_with_every_option() {
    for bits in 0..8 {
        let options = GpuOptions {
            bounds_checks: bits & 1 > 0,
            zero_workgroup_memory: bits & 2 > 0,
            poison: bits & 4 > 0,
            ..GpuOptions::default()
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
    assert_eq!(gpu.download(&y).unwrap(), [0.0; 0]);
    assert_eq!(gpu.download(&x).unwrap(), [0.0; 0]);
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
        // Halving and adding do not commute, so the order matters.
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
fn an_asynchronous_download_has_the_elements_of_its_call() {
    let Some(gpu) = open() else { return };
    let out = gpu.upload(&[1.0]);
    let mark = |value: f32| {
        let params: [u8; 8] = bytemuck::cast([0, value.to_bits()]);
        let params = &params[..];
        let dispatch = Dispatch { entry: "mark", groups: [1, 1, 1], params, loop_iterations: 0 };
        gpu.record(&MARK, &[dispatch], &[], &[&out]);
        gpu.download_async(&out)
    };
    let downloads = [mark(2.0), mark(3.0), mark(4.0)];
    let mut found: Vec<Vec<f32>> =
        downloads.into_iter().rev().map(|download| pollster::block_on(download).unwrap()).collect();
    found.reverse();
    assert_eq!(found, [[2.0], [3.0], [4.0]]);
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
    // A new buffer would hold zeros; a reused one holds values of the last step.
    let first = gpu.download(&gpu.alloc(5000)).unwrap()[0];
    assert!([59.0, 60.0, 61.0].contains(&first), "{first}");
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
        // Each buffer is larger than the last, so none can be reused.
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

/// Checks 2 x + 1 on `n` elements.
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
