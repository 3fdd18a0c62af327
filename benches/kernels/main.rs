//! Speed of the kernels: the CPU matrix product compared with other crates, and every kernel compared with
//! the roofline of the machine.
//!
//!     cargo bench --bench kernels -- [SHAPE ...] [--kind products|rooflines] [--device NAME ...]
//!                                    [--only WORKLOAD] [--threads N] [--seconds S] [--svg PATH]
//!
//! - `products`: a Markdown table of matrix products, for the shapes whose names contain SHAPE.
//! - `rooflines`: for every device (default: `cpu`), the time of each kernel, forward and backward, in steps
//!   of the workloads, measured for at least S seconds per workload; kernels that no workload uses are
//!   measured on the test cases instead. Also the latency of launching an empty kernel.
//!
//! Without `--kind`, both are measured.

#[path = "../common/mod.rs"]
mod common;
mod products;
mod rooflines;

use common::{Arguments, save};
use pixelloom::bench::roofline::plot;

fn main() {
    if products::is_child() {
        return;
    }
    let arguments = Arguments::read();
    let kind = arguments.value("--kind");
    let wants = |what| kind.as_deref().is_none_or(|kind| kind == what);
    if wants("products") {
        products::table(&arguments.plain());
    }
    if wants("rooflines") {
        let only = arguments.value("--only").unwrap_or_default();
        let seconds = arguments.number("--seconds", 1.0);
        let measured: Vec<_> = arguments.pool().install(|| {
            let devices = arguments.devices();
            devices.iter().map(|device| rooflines::measure(device, &only, seconds)).collect()
        });
        if let Some(path) = arguments.svg() {
            save(&plot(&measured), &path);
        }
    }
}
