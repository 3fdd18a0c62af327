//! Times the steps of a workload, and the machine that they are compared with.

use std::time::Instant;

use serde::Serialize;

use super::probe;
use super::table::{digits, percent};
use super::workloads::{Ready, Workload};
use crate::cpu::Isa;
use crate::device::Device;
use crate::error::Result;

/// A device and its peak rates.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The device's name; for the CPU, with instruction set and threads.
    pub name: String,
    /// GFLOP/s of multiply-adds on registers; see [`probe::peak`].
    pub peak: f64,
    /// GB/s of memory; see [`probe::bandwidth`].
    pub bandwidth: f64,
    /// Name and GB/s of each cache that every CPU thread has for itself; see [`probe::cached_bandwidth`]. None on a GPU.
    pub caches: Vec<(&'static str, f64)>,
}

impl Machine {
    /// Measures `device`; the CPU is measured with the threads of the current pool.
    ///
    /// Errors: when the device fails, or its memory is too small for the probe.
    pub fn measure(device: &Device) -> Result<Machine> {
        let name = name_of(device);
        // A temporary CPU device frees its memory when it is dropped.
        let own = if device.is_cpu() { Device::cpu() } else { device.clone() };
        let probed = |(name, bytes)| (name, probe::cached_bandwidth(bytes));
        let caches = match device.is_cpu() {
            true => probe::CACHES.map(probed).to_vec(),
            false => Vec::new(),
        };
        Ok(Machine { name, peak: probe::peak(&own)?, bandwidth: probe::bandwidth(&own)?, caches })
    }

    /// The highest possible GFLOP/s of a kernel with `flops` operations on `bytes` of memory.
    pub fn roof(&self, flops: f64, bytes: f64) -> f64 {
        self.peak.min(flops / bytes * self.bandwidth)
    }
}

/// The device's name; for the CPU, with instruction set and the threads of the current pool.
pub fn name_of(device: &Device) -> String {
    if device.name() != "cpu" {
        return device.name();
    }
    let threads = rayon::current_num_threads();
    let plural = if threads == 1 { "" } else { "s" };
    format!("cpu, {}, {threads} thread{plural}", Isa::current().name())
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { name, peak, bandwidth, caches } = self;
        write!(f, "{name}: {peak:.0} GFLOP/s of multiply-adds, {bandwidth:.1} GB/s of memory")?;
        caches.iter().try_for_each(|(name, bandwidth)| write!(f, ", {bandwidth:.0} GB/s of {name}"))
    }
}

/// The time that steps took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Number of timed steps.
    pub steps: u32,
    /// Median seconds of a step.
    pub median: f64,
    /// Quartiles of the seconds of a step.
    pub quartiles: [f64; 2],
}

impl Timing {
    /// Distance between the quartiles as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.quartiles[1] - self.quartiles[0]) / self.median
    }
}

/// Steps that are queued on a GPU before the program waits for one, as in training, and the longest that they may take.
const GPU_BLOCK: u32 = 8;
const GPU_BLOCK_SECONDS: f64 = 1.0;

/// Times steps until `seconds` have passed, but at least `least` steps, after one step of warm-up. On the CPU each step
/// is timed; on a GPU, blocks of eight unless a block would take more than a second.
///
/// Errors: when the device fails.
pub fn time(device: &Device, ready: &mut Ready, seconds: f64, least: usize) -> Result<Timing> {
    let (mut times, mut next, start) = (Vec::new(), 1, Instant::now());
    ready.run(0..1)?;
    let long = start.elapsed().as_secs_f64() * f64::from(GPU_BLOCK) > GPU_BLOCK_SECONDS;
    let block = if device.is_cpu() || long { 1 } else { GPU_BLOCK };
    while start.elapsed().as_secs_f64() < seconds || times.len() < least.max(1) {
        let begin = Instant::now();
        ready.run(next..next + block)?;
        times.push(begin.elapsed().as_secs_f64() / f64::from(block));
        next += block;
    }
    times.sort_by(f64::total_cmp);
    let at = |share| quantile(&times, share);
    Ok(Timing { steps: next - 1, median: at(0.5), quartiles: [at(0.25), at(0.75)] })
}

/// The element of sorted times below which this share of them lies.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// The speeds of a workload.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Name of the workload.
    pub workload: String,
    /// What a step does.
    pub task: &'static str,
    /// Images/s.
    pub images_per_second: f64,
    /// Median milliseconds of a step.
    pub ms_per_step: f64,
    /// GFLOP/s of the products that an image needs.
    pub gflops: f64,
    /// Share of the machine's peak.
    pub share_of_peak: f64,
}

/// Computes the speeds of a workload.
pub fn figures(workload: &Workload, timing: &Timing, machine: &Machine) -> Figures {
    let images = workload.batch as f64 / timing.median;
    let gflops = images * workload.flops() / 1e9;
    Figures {
        workload: workload.name.clone(),
        task: workload.task.name(),
        images_per_second: images,
        ms_per_step: 1e3 * timing.median,
        gflops,
        share_of_peak: gflops / machine.peak,
    }
}

/// The cells of a workload's row: name, task, images/s, ms/step, GFLOP/s, share of the peak.
pub fn cells(workload: &Workload, timing: &Timing, machine: &Machine) -> Vec<String> {
    let figures = figures(workload, timing, machine);
    vec![
        figures.workload,
        figures.task.into(),
        digits(figures.images_per_second),
        digits(figures.ms_per_step),
        digits(figures.gflops),
        percent(figures.share_of_peak),
    ]
}

/// The header of a table of [`cells`].
pub const HEAD: [&str; 6] = ["workload", "task", "images/s", "ms/step", "GFLOP/s", "of peak"];
