//! Helpers shared by several tests: devices, and a model of one tensor.
//!
//! The GPU adapter is the first one found, or the one whose name contains `PIXELLOOM_ADAPTER`. Without an adapter,
//! tests report that they are skipped, or fail if `PIXELLOOM_REQUIRE_GPU=1`.
#![allow(dead_code)]

use pixelloom::nn::{Module, Param};

#[cfg(feature = "gpu")]
pub use gpu::*;

#[cfg(feature = "gpu")]
mod gpu {
    use pixelloom::Device;
    use pixelloom::gpu::{Gpu, GpuOptions, adapters};
    use std::sync::{Mutex, PoisonError};

    /// The adapter opened with these options, shared by all tests of the process, since opening is slow.
    pub fn gpu(options: GpuOptions) -> Option<Gpu> {
        static OPEN: Mutex<Vec<(GpuOptions, Gpu)>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, gpu)) = open.iter().find(|(o, _)| *o == options) {
            return Some(gpu.clone());
        }
        let gpu = open_with(options)?;
        open.push((options, gpu.clone()));
        Some(gpu)
    }

    /// The adapter newly opened with these options, so that no other test affects its statistics and errors.
    pub fn open_with(options: GpuOptions) -> Option<Gpu> {
        let wanted = std::env::var("PIXELLOOM_ADAPTER").unwrap_or_default();
        let Some(adapter) = adapters().into_iter().find(|a| a.name.contains(&wanted)) else {
            if std::env::var("PIXELLOOM_REQUIRE_GPU").is_ok_and(|v| v == "1") {
                panic!("PIXELLOOM_REQUIRE_GPU=1, but no adapter was found");
            }
            println!("skipped: no GPU adapter here");
            return None;
        };
        Some(Gpu::open(adapter.index, options).unwrap())
    }

    /// A GPU whose new buffers are filled with NaN.
    pub fn poisoned() -> Option<Device> {
        gpu(GpuOptions { poison: true, ..GpuOptions::default() }).map(Device::Gpu)
    }
}

/// The CPU, the reference device and, if there is one, a GPU.
pub fn devices() -> Vec<pixelloom::Device> {
    let mut devices = fast_devices();
    devices.insert(1, poisoned_reference());
    devices
}

/// The CPU and, if there is one, a GPU, for work that would be slow on the reference device.
pub fn fast_devices() -> Vec<pixelloom::Device> {
    #[cfg(feature = "gpu")]
    let gpu = poisoned();
    #[cfg(not(feature = "gpu"))]
    let gpu = None;
    [poisoned_cpu()].into_iter().chain(gpu).collect()
}

/// The CPU, with new buffers filled with NaN.
pub fn poisoned_cpu() -> pixelloom::Device {
    let cpu = pixelloom::cpu::Cpu::new();
    cpu.poison(true);
    pixelloom::Device::Cpu(cpu)
}

/// The reference device, with new buffers filled with NaN.
pub fn poisoned_reference() -> pixelloom::Device {
    let memory = pixelloom::cpu::Cpu::new();
    memory.poison(true);
    pixelloom::Device::Reference(memory)
}

/// A model with one parameter, "w".
pub struct Weights(pub Param);

impl Module for Weights {
    fn visit<'a>(&'a self, _path: &str, f: &mut dyn FnMut(&str, &'a Param)) {
        f("w", &self.0);
    }
}
