//! Every test case of every operation, and ten at the sizes of the papers' models, with Criterion: the same list as
//! `pixelloom kernels perf`. Where an input is differentiable, a call includes the gradients.
//!
//!     cargo bench --bench cases -- [FILTER] [Criterion's flags, such as --save-baseline NAME]
//!
//! FILTER is a part of OPERATION/SIZES, such as `matmul`. The cases run on the CPU, or on the device that
//! the environment variable `PIXELLOOM_DEVICE` names.

use std::time::Duration;

use criterion::Criterion;
use pixelloom::bench::speeds::{call, cases};
use pixelloom::machine::choose;

fn main() {
    let name = std::env::var("PIXELLOOM_DEVICE").unwrap_or_else(|_| "cpu".into());
    let (device, _) = choose(&name, 0, &mut |_, _| ()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(error.exit_code());
    });
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for case in cases() {
        let mut once = call(&case, case.tensors(&device));
        criterion.bench_function(&format!("{}/{}", case.op, case.label), |bencher| {
            bencher.iter_custom(|calls| {
                let begin = std::time::Instant::now();
                (0..calls).for_each(|_| once());
                device.synchronize().expect("the device works");
                begin.elapsed()
            });
        });
    }
    criterion.final_summary();
}
