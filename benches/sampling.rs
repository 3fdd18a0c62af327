//! Speed of sampling: a batch of 16 digits from each kind of model, drawn by the same samplers as in the program.
//!
//!     cargo bench --bench sampling -- [--only PREFIX] [--threads N] [--seconds S] [--device NAME]
//!
//! Prints the machine and a Markdown table. The arithmetic counts the minimum that a sampler needs: every
//! layer evaluated once per pixel.

mod common;

use common::Arguments;
use pixelloom::bench::{Machine, Table, sampling, time, timing};

fn main() {
    let arguments = Arguments::read();
    let seconds = arguments.number("--seconds", 3.0);
    let only = arguments.value("--only").unwrap_or_default();
    arguments.pool().install(|| {
        for device in arguments.devices() {
            let machine = Machine::measure(&device).expect("the device works");
            let mut table = Table::new(&timing::HEAD);
            for workload in sampling().iter().filter(|w| w.is(&only)) {
                let mut ready = workload.build(&device);
                let timing = time(&device, &mut ready, seconds, 3).expect("the device works");
                table.row(timing::cells(workload, &timing, &machine));
            }
            println!("{machine}\n\n{table}");
        }
    });
}
