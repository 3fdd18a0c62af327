//! Speed of complete training steps of each model at the papers' sizes, on synthetic images, and of drawing digits
//! pixel by pixel.
//!
//!     cargo bench --bench steps -- [--only PREFIX] [--threads N] [--seconds S] [--device NAME]
//!
//! Prints the device's multiply-add peak and one line per workload: name, images/s and ms of the median step.
//! `benches/peer.py` compares the speeds with PyTorch; `benches/results/speed.md` has the results.

mod common;

use common::Arguments;
use pixelloom::bench::{probe, time, workloads};

fn main() {
    let arguments = Arguments::read();
    let (threads, seconds) = (arguments.threads(), arguments.number("--seconds", 8.0));
    let only = arguments.value("--only").unwrap_or_default();
    arguments.pool().install(|| {
        let device = arguments.device();
        let peak = probe::peak(&device).expect("the device works");
        println!("# peak {peak:.1} GFLOP/s");
        for workload in workloads().iter().filter(|w| w.is(&only)) {
            let mut ready = workload.build(&device);
            let t = time(&device, &mut ready, seconds, 3).expect("the device works").median;
            let (images, parameters) = (workload.batch as f64 / t, ready.parameters);
            println!(
                "{:36} {:6} {images:10.1} images/s {:10.2} ms/step  params {parameters}  threads \
                 {threads} {}  mflop {:.2}",
                workload.name,
                workload.task.name(),
                t * 1e3,
                device.name(),
                workload.flops() / 1e6,
            );
        }
    });
}
