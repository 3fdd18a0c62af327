//! Measurements are correct: the probes compute what they time, the arithmetic of a workload is that of its kernels,
//! and tables and plots contain the measurements.

use crate::common::fast_devices;
use pixelloom::bench::table::by_kernel;
use pixelloom::bench::{Machine, Task, Workload, probe, roofline, sampling, workloads, yardstick};
use pixelloom::models::ModelConfig;
use pixelloom::models::pixel::{Body, PixelConfig};
use pixelloom::ops::optimizer::Rule;
use pixelloom::profile::{Profile, Sum};
use pixelloom::report::plots::curve;
use pixelloom::{Device, Tensor};

#[test]
fn the_probes_compute_what_they_time() {
    // Several blocks, the last one partial.
    let x: Vec<f32> = (0..1003).map(|i| i as f32 / 100.0).collect();
    for device in fast_devices() {
        let t = Tensor::new(&device, &x, &[x.len()]);
        let chains = probe::chains(&t, 5).to_vec().unwrap();
        let triad = probe::triad(&t, &t).to_vec().unwrap();
        for (i, x) in x.iter().enumerate() {
            let expected = (0..5).fold(*x, |x, _| 0.5 * x + 0.25);
            assert!((chains[i] - expected).abs() <= 1e-6, "{}: {}", device.name(), chains[i]);
            assert!((triad[i] - 4.0 * x).abs() <= 1e-5, "{}: {}", device.name(), triad[i]);
        }
        let latency = probe::latency(&device).unwrap();
        assert!(latency.in_a_row > 0.0 && latency.alone > 0.0);
    }
    assert!(probe::peak(&Device::cpu()).unwrap() > 0.1);
}

/// Kernels whose cost is that of products.
fn is_product(kernel: &str) -> bool {
    let products = ["matmul", "shared_gradient", "masked_conv", "lstm", "bilstm", "attention"];
    // The gradient kernel of an LSTM cell is elementwise; its products are separate kernels.
    products.iter().any(|p| kernel.starts_with(p)) && kernel != "lstm_cell_gradient"
}

/// FLOP of the products of one step: as its kernels state them, and as the yardstick reads them from their shapes.
fn products(workload: &Workload) -> [f64; 2] {
    let (device, mut profile) = (Device::cpu(), Profile::default());
    let mut ready = workload.build(&device);
    ready.run(0..1).unwrap();
    device.profiled(&mut profile, || ready.run(1..2)).unwrap().unwrap();
    let stated = profile.kernels.iter().filter(|(name, _)| is_product(name));
    let of_shapes = yardstick::products(&profile).into_iter();
    [
        stated.map(|(_, k)| k.flops as f64).sum(),
        of_shapes.map(|(product, times)| times * product.flops()).sum(),
    ]
}

/// Uses small images to be quick. The tolerance covers gates, which kernels count but the formula does not, and the
/// recomputation in attention's gradients; each is a few percent.
#[test]
fn the_arithmetic_of_a_workload_is_that_of_its_kernels() {
    let mut all: Vec<Workload> = workloads().into_iter().chain(sampling()).collect();
    all.retain(|w| w.name.contains("mnist"));
    let colour = PixelConfig { levels: 16, head: 48, ..PixelConfig::colour(8, 2, 24) };
    for body in [Body::PixelCnn, Body::RowLstm, Body::DiagBilstm] {
        let (name, net) = (format!("{body:?}, colour"), ModelConfig::pixel(body, colour));
        all.push(Workload { name, task: Task::Train, net, rule: Rule::RmsProp, batch: 2 });
    }
    for workload in &mut all {
        workload.batch = 2;
        if let ModelConfig::Draw(config) = &mut workload.net {
            config.glimpses = 4;
        }
        if let Some(config) = workload.net.pixel_net() {
            (config.height, config.width) = (8, 8);
        }
        let formula = 2.0 * workload.flops();
        let [ratio, of_shapes] = products(workload).map(|found| found / formula);
        println!("{} {}: {ratio:.3}, {of_shapes:.3}", workload.name, workload.task.name());
        assert!((0.9..1.15).contains(&ratio), "{}: {ratio}", workload.name);
        // Attention is left out there.
        if workload.task == Task::Train && !workload.name.contains(" attn") {
            assert!((0.9..1.15).contains(&of_shapes), "{}: {of_shapes}", workload.name);
        }
    }
}

#[test]
fn tables_and_the_roofline_contain_what_was_measured() {
    let sum = Sum {
        calls: 4,
        dispatches: 8,
        workgroups: 64,
        seconds: 0.5,
        flops: 100_000_000_000,
        bytes: 1 << 30,
    };
    let moves = Sum { flops: 0, seconds: 0.25, ..sum };
    let mut profile = Profile { runs: 2, seconds: 1.0, ..Profile::default() };
    profile.kernels.insert("product", sum);
    profile.kernels.insert("copy", moves);
    let part = |seconds: f64| Sum { calls: 2, seconds, flops: 1 << 30, ..sum };
    let shapes = [("3x4", part(0.1)), ("5x6", part(0.391)), ("1x1", part(0.009))];
    profile.shapes.insert("product", shapes.map(|(name, sum)| (name.to_string(), sum)).into());
    let text = by_kernel(&profile, "step").to_string();
    let rows: Vec<String> =
        text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows[2], "| product | 2.00 | 250 | 50.0 % | 200 | 2.15 |");
    // Shapes that take one percent and more, slowest first.
    assert!(rows[3].starts_with("| 5x6 | 1.00 | 196 | 39.1 % | 2.75 |"), "{}", rows[3]);
    assert!(rows[4].starts_with("| 3x4 | 1.00 | 50.0 | 10.0 % |"), "{}", rows[4]);
    assert_eq!(rows[5], "| copy | 2.00 | 125 | 25.0 % | | 4.29 |");
    assert_eq!(rows[6], "| (outside kernels) | | 125 | 25.0 % | | |");
    assert_eq!(rows[7], "| (total) | 4.00 | 500 | 100.0 % | 100 | 2.15 |");

    let caches = vec![("L1", 200.0), ("L2", 50.0)];
    let machine = Machine { name: "cpu".into(), peak: 400.0, bandwidth: 8.0, caches };
    assert!(machine.to_string().ends_with("8.0 GB/s of memory, 200 GB/s of L1, 50 GB/s of L2"));
    assert_eq!(roofline::share_of_roof(&sum, &machine), 0.5);
    assert!((roofline::share_of_roof(&moves, &machine) - 4.295 / 8.0).abs() < 1e-3);
    // At low FLOP/byte, memory is the roof.
    let light = Sum { flops: 1 << 30, ..sum };
    let expected = light.gflops() / 8.0;
    assert!((roofline::share_of_roof(&light, &machine) - expected).abs() < 1e-9);
    let svg = curve(&roofline::plot(&[(machine, profile)]));
    assert!(svg.contains("\nproduct\n</text>") && !svg.contains("\ncopy\n</text>"));
    assert!(svg.contains("\nL1 200 GB/s\n</text>") && svg.contains("\nL2 50 GB/s\n</text>"));
}
