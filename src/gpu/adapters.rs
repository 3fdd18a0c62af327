//! Lists the adapters (pairs of a GPU and a driver) that wgpu finds on this machine.

#[cfg(not(target_family = "wasm"))]
use std::sync::OnceLock;

/// Limits that every kernel of this crate relies on: invocations per workgroup, workgroup memory, storage buffers.
const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16 << 10;
const STORAGE_BUFFERS: u32 = 8;
/// Largest buffer in which every number has a byte offset of 32 bits. Element indices then have 30 bits, so shaders may add
/// the size of a tile, or use signed integers, without overflow.
const COUNTED_BYTES: u64 = (1 << 32) - 4;

/// Properties of an adapter, to choose one.
#[derive(Debug, Clone, Default)]
pub struct AdapterSummary {
    /// Index in [`adapters`], which is the argument of [`Gpu::open`](super::Gpu::open).
    pub index: usize,
    /// Name that the driver reports; "WebGPU" in a browser, which reports none.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `other` or `cpu`.
    pub device_type: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Largest buffer, in bytes.
    pub max_buffer_size: u64,
    /// Largest storage binding, in bytes. It limits the size of a tensor, which is bound as a whole.
    pub max_storage_buffer_binding_size: u64,
    /// Largest workgroup, in invocations.
    pub max_compute_invocations_per_workgroup: u32,
    /// Workgroup memory, in bytes.
    pub max_compute_workgroup_storage_size: u32,
    /// Storage buffers that a kernel can bind.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Whether the device has timestamps, which profiling needs.
    pub timestamp: bool,
    /// Smallest number of invocations in a subgroup; 0 if the device has no subgroup operations.
    pub subgroup_size: u32,
    /// Whether the driver computes on the CPU. Good for tests, but slower than the CPU back end.
    pub software: bool,
}

impl AdapterSummary {
    fn new(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let features = features(adapter);
        AdapterSummary {
            index,
            name: if info.name.is_empty() { "WebGPU".into() } else { info.name },
            backend: info.backend.to_string(),
            device_type: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete",
                wgpu::DeviceType::IntegratedGpu => "integrated",
                wgpu::DeviceType::VirtualGpu => "virtual",
                wgpu::DeviceType::Cpu => "cpu",
                wgpu::DeviceType::Other => "other",
            },
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            timestamp: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            subgroup_size: match features.contains(wgpu::Features::SUBGROUP) {
                true => info.subgroup_min_size,
                false => 0,
            },
            software: info.device_type == wgpu::DeviceType::Cpu,
        }
    }

    /// Maximum size of a tensor in bytes: a tensor is one buffer, kernels bind it as a whole, and DX12 has byte offsets
    /// of 32 bits.
    pub fn largest_tensor(&self) -> u64 {
        self.max_buffer_size.min(self.max_storage_buffer_binding_size).min(COUNTED_BYTES)
    }

    /// The first limit of this adapter that is too low for the crate's kernels, as text for a message.
    pub(super) fn shortcoming(&self) -> Option<String> {
        [
            ("invocations per workgroup", self.max_compute_invocations_per_workgroup, INVOCATIONS),
            ("bytes of workgroup memory", self.max_compute_workgroup_storage_size, WORKGROUP_BYTES),
            (
                "storage buffers per kernel",
                self.max_storage_buffers_per_shader_stage,
                STORAGE_BUFFERS,
            ),
        ]
        .into_iter()
        .find(|(_, has, needs)| has < needs)
        .map(|(what, has, needs)| format!("it offers {has} {what}, the kernels need {needs}"))
    }
}

/// The optional features of an adapter that the crate uses. Browsers require `enable subgroups;` in the text of a shader,
/// which naga 30 rejects, so kernels do without subgroup operations there.
pub(super) fn features(adapter: &wgpu::Adapter) -> wgpu::Features {
    let native = match cfg!(target_family = "wasm") {
        true => wgpu::Features::empty(),
        false => wgpu::Features::SUBGROUP,
    };
    adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | native)
}

/// All adapters in the order discrete, integrated, virtual, other, cpu, so that GPUs come before software drivers.
/// The environment variable `WGPU_BACKEND` (for example `vulkan` or `dx12`) restricts the list.
///
/// Not available in a browser, which offers one adapter: [`Gpu::open_async`](super::Gpu::open_async) opens it as number 0.
#[cfg(not(target_family = "wasm"))]
pub fn adapters() -> Vec<AdapterSummary> {
    found().iter().map(|(_, summary)| summary.clone()).collect()
}

/// The adapters, enumerated once per process: loading drivers is slow, and some crash when they are unloaded.
#[cfg(not(target_family = "wasm"))]
pub(super) fn found() -> &'static [(wgpu::Adapter, AdapterSummary)] {
    static FOUND: OnceLock<Vec<(wgpu::Adapter, AdapterSummary)>> = OnceLock::new();
    FOUND.get_or_init(|| pollster::block_on(enumerate()))
}

/// Enumerates the adapters. In a browser, every call requests a new one, because an adapter opens only one device.
pub(super) async fn enumerate() -> Vec<(wgpu::Adapter, AdapterSummary)> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let instance = wgpu::Instance::new(descriptor);
    let mut found = instance.enumerate_adapters(wgpu::Backends::all()).await;
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    let summarize = |(index, adapter)| {
        let summary = AdapterSummary::new(index, &adapter);
        (adapter, summary)
    };
    found.into_iter().enumerate().map(summarize).collect()
}
