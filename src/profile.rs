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
}

impl Profile {
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
    sums: Mutex<BTreeMap<&'static str, Sum>>,
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

    /// Turns profiling off and returns the totals.
    pub fn stop(&self) -> BTreeMap<&'static str, Sum> {
        self.on.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a launch of `kernel`.
    pub fn add(&self, kernel: &'static str, sum: &Sum) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.entry(kernel).or_default().add(sum);
    }
}
