//! Time per kernel: [`crate::Device::profiled`] times every launch and adds it up here, together with the
//! arithmetic and traffic that the kernel states.
//!
//! On the CPU a clock runs around the kernel's function. When several launches run concurrently, such as those of the
//! two halves of a batch, each counts only its share of the time, so that the sum never exceeds the wall time.
//! On a GPU, timestamps of the adapter time the dispatches. While profiling is off, it costs one relaxed load per
//! launch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Totals over the launches of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// Number of launches.
    pub calls: u64,
    /// Number of GPU dispatches that these launches take; on the CPU, the number that they would take.
    pub dispatches: u64,
    /// Number of workgroups of these dispatches.
    pub workgroups: u64,
    /// Seconds in the kernel.
    pub seconds: f64,
    /// Floating-point operations, a fused multiply-add counted as two.
    pub flops: u64,
    /// Compulsory traffic in bytes, see [`crate::kernel::Cost::bytes`].
    pub bytes: u64,
}

impl Sum {
    /// Adds the totals of `other`.
    pub fn add(&mut self, other: &Sum) {
        self.calls += other.calls;
        self.dispatches += other.dispatches;
        self.workgroups += other.workgroups;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
    }

    /// GFLOP/s while the kernel runs; NaN if it has not run.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.seconds / 1e9
    }

    /// GB/s while the kernel runs; NaN if it has not run.
    pub fn gbytes(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }
}

/// Time of a piece of work, by kernel.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Profile {
    /// Number of calls of [`crate::Device::profiled`], for example training steps.
    pub runs: u64,
    /// Wall time of all runs in seconds, inside and outside kernels.
    pub seconds: f64,
    /// Totals by kernel name.
    pub kernels: BTreeMap<&'static str, Sum>,
    /// The same by kernel name and the shapes of the tensors, such as `100x784, 784x500 -> 100x500`.
    pub shapes: BTreeMap<&'static str, BTreeMap<String, Sum>>,
}

/// Totals over the launches of a kernel on tensors of the same shapes.
#[derive(Clone, Debug)]
pub struct Launches {
    kernel: &'static str,
    shapes: String,
    /// The totals.
    pub sum: Sum,
}

impl Launches {
    /// Time of a program on the device that no launch of a kernel asked for.
    #[cfg(feature = "gpu")]
    pub(crate) fn unlisted(kernel: &'static str, seconds: f64) -> Launches {
        Launches { kernel, shapes: String::new(), sum: Sum { seconds, ..Sum::default() } }
    }
}

impl Profile {
    /// Adds launches.
    pub fn add(&mut self, launches: Launches) {
        let Launches { kernel, shapes, sum } = launches;
        self.kernels.entry(kernel).or_default().add(&sum);
        self.shapes.entry(kernel).or_default().entry(shapes).or_default().add(&sum);
    }

    /// Shapes of the launches of `kernel` with totals, slowest first.
    pub fn ranked_shapes(&self, kernel: &str) -> Vec<(&str, Sum)> {
        let all = self.shapes.get(kernel).into_iter().flatten();
        let mut all: Vec<_> = all.map(|(shapes, sum)| (shapes.as_str(), *sum)).collect();
        all.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        all
    }

    /// Totals of all kernels together.
    pub fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.kernels.values().for_each(|sum| total.add(sum));
        total
    }

    /// Kernel names with totals, slowest first.
    pub fn ranked(&self) -> Vec<(&'static str, Sum)> {
        let mut all: Vec<_> = self.kernels.iter().map(|(name, sum)| (*name, *sum)).collect();
        all.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        all
    }
}

/// Totals that a device collects while it is being profiled.
#[derive(Default)]
pub struct Ledger {
    on: AtomicBool,
    launches: Mutex<Numbered>,
}

/// Launches by number, and the number of those of a kernel and shapes.
#[derive(Default)]
struct Numbered {
    all: Vec<Launches>,
    numbers: BTreeMap<(&'static str, String), usize>,
}

impl Ledger {
    /// Whether profiling is on.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Turns profiling on.
    ///
    /// # Panics
    ///
    /// When it is already on: nested work would be counted twice.
    #[track_caller]
    pub fn start(&self) {
        assert!(!self.on.swap(true, Ordering::Relaxed), "this device is being profiled already");
    }

    /// Turns profiling off and returns the totals by number.
    pub fn stop(&self) -> Vec<Launches> {
        self.on.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.launches.lock().unwrap_or_else(PoisonError::into_inner)).all
    }

    /// Adds a launch of `kernel` on tensors of these shapes, and returns the number that all of these share.
    pub fn add(&self, kernel: &'static str, shapes: String, sum: &Sum) -> usize {
        let mut launches = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        let Numbered { all, numbers } = &mut *launches;
        let number = *numbers.entry((kernel, shapes)).or_insert_with_key(|(kernel, shapes)| {
            all.push(Launches { kernel, shapes: shapes.clone(), sum: Sum::default() });
            all.len() - 1
        });
        all[number].sum.add(sum);
        number
    }
}
