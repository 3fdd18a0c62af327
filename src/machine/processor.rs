//! The processor and the system that this process runs on.

use std::env::consts::{ARCH, OS};

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
