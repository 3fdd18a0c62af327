//! Speed of the kernels: the CPU's matrix product beside other crates, and every kernel under the
//! roofline of the machine.
//!
//!     cargo bench --bench kernels -- [SHAPE ...] [--kind products|rooflines] [--device NAME ...]
//!                                    [--only WORKLOAD] [--threads N] [--seconds S] [--svg PATH]
//!
//! `products`: a Markdown table of matrix products, of the shapes whose names contain SHAPE.
//! `rooflines`: for every device (`cpu` unless named) what each kernel, forwards and backwards, takes
//! in steps of the workloads, at least S seconds of each, and of those that no workload uses in the
//! cases of the tests; and the launch of a kernel that has nothing to do. Both, unless told.

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
