//! Where the time of some work goes, by kernel: [`crate::Device::profiled`] times every launch and
//! adds it up here, with the arithmetic and traffic that the kernel states.
//!
//! On the CPU a launch is timed by the clock around its function; of launches that are made at once, such as
//! those of the two parts of a batch, each counts by its share, so that they add up to no more than the time
//! that passed. On a GPU the adapter's timestamps time the
//! dispatches. Off, it costs a launch one relaxed load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// The launches of a kernel, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sum {
    /// Launches.
    pub calls: u64,
    /// Dispatches that these launches are on a GPU, counted on the CPU as well.
    pub dispatches: u64,
    /// Time in the kernel.
    pub seconds: f64,
    /// Floating-point operations, a fused multiply-add counted as two.
    pub flops: u64,
    /// Bytes read and written at least once.
    pub bytes: u64,
}

impl Sum {
    /// Adds another one's figures.
    pub fn add(&mut self, other: &Sum) {
        self.calls += other.calls;
        self.dispatches += other.dispatches;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
    }

    /// GFLOP/s while it runs; not a number before it has run.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.seconds / 1e9
    }

    /// GB/s while it runs; not a number before it has run.
    pub fn gbytes(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e9
    }
}

/// Work that was timed, by kernel.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Profile {
    /// Pieces of work, such as training steps.
    pub runs: u64,
    /// Time of all of them, whether in a kernel or not.
    pub seconds: f64,
    /// Kernels by name.
    pub kernels: BTreeMap<&'static str, Sum>,
}

impl Profile {
    /// All kernels together.
    pub fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.kernels.values().for_each(|sum| total.add(sum));
        total
    }

    /// Names and sums, the one that takes longest first.
    pub fn ranked(&self) -> Vec<(&'static str, Sum)> {
        let mut all: Vec<_> = self.kernels.iter().map(|(name, sum)| (*name, *sum)).collect();
        all.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        all
    }
}

/// A device's own sums, while it is profiled.
#[derive(Default)]
pub struct Ledger {
    on: AtomicBool,
    sums: Mutex<BTreeMap<&'static str, Sum>>,
}

impl Ledger {
    /// Whether launches are to be added.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins.
    ///
    /// # Panics
    ///
    /// When it has begun already: work within profiled work would be counted twice.
    #[track_caller]
    pub fn start(&self) {
        assert!(!self.on.swap(true, Ordering::Relaxed), "this device is being profiled already");
    }

    /// Ends and hands out the sums.
    pub fn stop(&self) -> BTreeMap<&'static str, Sum> {
        self.on.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a launch.
    pub fn add(&self, kernel: &'static str, sum: &Sum) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.entry(kernel).or_default().add(sum);
    }
}
