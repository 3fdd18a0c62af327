//! A scan in one launch equals the scan that takes a launch for each step.

use super::params::BOTH;
use super::*;
use crate::autograd::case::distance;
use crate::gpu::{Gpu, GpuOptions};
use crate::{Device, ops::random, rng::Key};

/// Outputs of both kernels of a scan, and their number of dispatches.
fn scanned(gpu: &Gpu, p: LstmScanParams) -> (Vec<Vec<f32>>, u64) {
    let device = Device::Gpu(gpu.clone());
    let [b, height, width, n] = [p.batch, p.height, p.width, p.hidden].map(|n| n as usize);
    let (map, gates) = ([b, height, width, n], [b, height, width, 4 * n]);
    let edge = [b, p.edge(), n];
    let noise =
        |stream: u32, shape: &[usize]| random::normal(&device, Key::new(5, stream, 0), shape);
    let weights = 4 * p.depth() * n;
    let before = gpu.stats().dispatches;
    let mut made = if p.order == BOTH {
        let half = [map, gates].map(|[b, h, w, n]| [b / 2, h, w, n]);
        let packed = noise(0, &[2 * weights + 2 * n]);
        let (u, dh) = (|i: u32| noise(1 + i, &half[1]), |i: u32| noise(3 + i, &half[0]));
        let inputs = [&u(0), &u(1), &packed];
        let [left, right, c, gates] =
            BILSTM_SCAN.launch(p, inputs, [&half[0], &half[0], &map, &gates]);
        let inputs = [&dh(0), &dh(1), &packed, &c, &gates];
        let [d_left, d_right, dc] =
            BILSTM_SCAN_GRADIENT.launch(p, inputs, [&half[1], &half[1], &edge]);
        vec![left, right, c, gates, d_left, d_right, dc]
    } else {
        let (s, c0) = (noise(0, &[weights]), noise(5, &[n]));
        let [h, c, gates] = LSTM_SCAN.launch(p, [&noise(1, &gates), &s, &c0], [&map, &map, &gates]);
        let inputs = [&noise(3, &map), &s, &c0, &c, &gates];
        let [dgates, dc] = LSTM_SCAN_GRADIENT.launch(p, inputs, [gates.shape(), &edge]);
        vec![h, c, gates, dgates, dc]
    };
    let noises = if p.order == BOTH { 5 } else { 4 };
    let dispatches = gpu.stats().dispatches - before - noises;
    (made.drain(..).map(|t| t.to_vec().unwrap()).collect(), dispatches)
}

#[test]
fn a_scan_in_one_launch_equals_one_launch_for_each_step() {
    let Ok(gpu) = Gpu::open(0, GpuOptions::default()) else {
        println!("skipped: no adapter");
        return;
    };
    // The paper's maps on MNIST, and images that are not square.
    for (height, width, hidden) in [(28, 28, 16), (5, 9, 3), (9, 5, 17), (1, 1, 1)] {
        for (order, neighbours) in [(0, 3), (0, 5), (1, 2), (2, 2), (BOTH, 2)] {
            let sizes = LstmScanParams {
                batch: 2,
                height,
                width,
                hidden,
                order,
                neighbours,
                step: 0,
                row: 0,
                column: 0,
                plain: 0,
            };
            let what =
                format!("order {order}, {height} x {width}, h {hidden}, {neighbours} neighbours");
            let (whole, launches) = scanned(&gpu, sizes);
            let fits = hidden * hidden * neighbours <= 768 && !(hidden == 16 && neighbours == 5);
            assert_eq!(launches, if fits { 2 } else { 2 * sizes.steps() as u64 }, "{what}");
            let (plain, launches) = scanned(&gpu, LstmScanParams { plain: 1, ..sizes });
            assert_eq!(launches, 2 * sizes.steps() as u64, "{what}");
            for (i, (whole, plain)) in whole.iter().zip(&plain).enumerate() {
                let d = distance(whole, plain);
                assert!(d <= 2e-5, "{what}, output {i}: {d:.1e}");
            }
        }
    }
}
