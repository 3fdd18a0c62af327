//! The processor and the system that this process runs on.

use std::env::consts::{ARCH, OS};
use std::time::Duration;

use sysinfo::{CpuRefreshKind, System};

/// What the processor calls itself, if the system tells.
pub fn name() -> Option<String> {
    let mut system = System::new();
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let brand = system.cpus().first()?.brand().trim().to_string();
    (!brand.is_empty()).then_some(brand)
}

/// Processor, cores and system, such as "AMD EPYC 7763, 2 cores, linux x86_64".
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let plural = if cores == 1 { "" } else { "s" };
    let name = name().unwrap_or_else(|| "unknown processor".into());
    format!("{name}, {cores} core{plural}, {OS} {ARCH}")
}

/// Time over which [`busy`] looks.
const LOOK: Duration = Duration::from_millis(250);

/// The share of all processors that programs use while this process waits for a quarter of a second: 0 on an idle machine.
pub fn busy() -> f64 {
    let mut system = System::new();
    system.refresh_cpu_usage();
    std::thread::sleep(LOOK.max(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL));
    system.refresh_cpu_usage();
    f64::from(system.global_cpu_usage()) / 100.0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_thread_that_computes_is_seen() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let busy = busy();
            stop.store(true, Ordering::Relaxed);
            // A quarter of a core, in case other programs use most of the machine.
            let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
            assert!(busy > 0.25 / cores as f64 && busy <= 1.0, "{busy}");
        });
    }
}
