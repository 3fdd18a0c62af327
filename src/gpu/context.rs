//! An opened GPU: its device and queue, its first failure, its statistics.

use super::adapters::{self, AdapterSummary};
use super::pipelines::Pipelines;
use super::pool::Pool;
use super::recorder::Recorder;
use crate::profile::Ledger;
use crate::tiles::Tiles;
use crate::{Error, Result};
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// How to compile kernels and initialise buffers; for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// Compile run-time checks of every index, loop and integer division into the shaders.
    pub bounds_checks: bool,
    /// Zero workgroup memory before each workgroup.
    pub zero_workgroup_memory: bool,
    /// Fill every new buffer with NaN, which reveals kernels that leave elements unwritten.
    pub poison: bool,
    /// Upper limit of [`Gpu::subgroup`]: 0, 4, 8 or 16, which is also the default.
    pub subgroup: Option<u32>,
    /// Upper limit of a binding in bytes, if it is below the adapter's.
    pub binding: Option<u64>,
}

/// Statistics: counts since [`Gpu::open`], and current memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Dispatches recorded.
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submissions: u64,
    /// Bind groups created. A dispatch of the same program on the same buffers reuses a cached one.
    pub bind_groups: u64,
    /// Bind groups in the cache.
    pub kept_bind_groups: u64,
    /// Calls of [`Gpu::download`] and [`Gpu::download_async`].
    pub readbacks: u64,
    /// Calls of [`Gpu::upload`].
    pub uploads: u64,
    /// Bytes of the buffers in use, rounded up to their size classes.
    pub live_bytes: u64,
    /// Bytes of free buffers that are kept for reuse.
    pub pooled_bytes: u64,
    /// Buffers in use.
    pub live_buffers: u64,
}

/// An opened GPU. Clones are handles to the same one; any thread may use them. A handle has its own [`Tiles`].
#[derive(Clone)]
pub struct Gpu(pub(super) Arc<Handle>);

/// An opened GPU, and how kernels divide their work for the tensors of this handle. Tensors have one each, so it is
/// behind a pointer.
pub(super) struct Handle {
    shared: Arc<Shared>,
    tiles: Tiles,
}

impl Deref for Handle {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

pub(super) struct Shared {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub summary: AdapterSummary,
    pub options: GpuOptions,
    /// Number of adjacent invocations that add within a subgroup: 4, 8 or 16, or 0 if all use workgroup memory.
    pub subgroup: u32,
    pub failure: Arc<Failure>,
    pub pool: Arc<Mutex<Pool>>,
    pub pipelines: Pipelines,
    pub recorder: Mutex<Recorder>,
    pub readbacks: AtomicU64,
    pub uploads: AtomicU64,
    pub ledger: Ledger,
}

/// The first error of the GPU. Once it is set, later commands do nothing.
pub(super) struct Failure {
    first: OnceLock<String>,
}

impl Failure {
    pub fn set(&self, message: String) {
        // Keep only the first error: later ones are its consequences.
        let _ = self.first.set(message);
    }

    pub fn is_set(&self) -> bool {
        self.first.get().is_some()
    }

    pub fn check(&self) -> Result<()> {
        match self.first.get() {
            Some(message) => Err(Error::Device(message.clone())),
            None => Ok(()),
        }
    }
}

/// Locks a mutex even if another thread panicked while it held the lock: the data here stays consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a future to its end on this thread. Fails where [`may_block`] does.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    may_block()?;
    pollster::block_on(future)
}

/// An error in a browser: a GPU answers only after the code has returned to the browser.
pub(super) fn may_block() -> Result<()> {
    match cfg!(target_family = "wasm") {
        false => Ok(()),
        true => Err(Error::Device(
            "a browser cannot wait for its GPU; await Gpu::open_async and Tensor::to_vec_async instead".into(),
        )),
    }
}

impl Gpu {
    /// Opens an adapter as [`Gpu::open_async`] does, and waits for it. In a browser it always fails.
    pub fn open(index: usize, options: GpuOptions) -> Result<Gpu> {
        block_on(Gpu::open_async(index, options))
    }

    /// Opens the adapter at this index of [`adapters`](super::adapters()); a browser has one, number 0.
    ///
    /// Errors: [`Error::Device`] if there is no such adapter, if its limits are too low for the kernels, or
    /// if its driver refuses.
    pub async fn open_async(index: usize, options: GpuOptions) -> Result<Gpu> {
        #[cfg(not(target_family = "wasm"))]
        let found = adapters::found();
        #[cfg(target_family = "wasm")]
        let found = adapters::enumerate().await;
        let Some((adapter, summary)) = found.get(index) else {
            let names: Vec<_> = found.iter().map(|(_, s)| s.name.as_str()).collect();
            return Err(Error::Device(match names.is_empty() {
                true => "no GPU with a usable driver was found; use --device cpu".to_string(),
                false => format!(
                    "no GPU number {index}, only these from 0 on: {}; use --device cpu without one",
                    names.join(", ")
                ),
            }));
        };
        let refuse = |why: String| {
            let name = &summary.name;
            Error::Device(format!(
                "cannot use {name}: {why}; try another adapter, a newer driver or --device cpu"
            ))
        };
        if let Some(why) = summary.shortcoming() {
            return Err(refuse(why));
        }
        let mut limits = limits(&adapter.limits());
        let mut summary = summary.clone();
        let binding =
            options.binding.unwrap_or(u64::MAX).min(limits.max_storage_buffer_binding_size);
        limits.max_storage_buffer_binding_size = binding;
        summary.max_storage_buffer_binding_size = binding;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("pixelloom"),
            required_features: adapters::features(adapter),
            required_limits: limits,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| refuse(error.to_string()))?;

        let new = |subgroup| Gpu::new((&device, &queue), &summary, options, subgroup);
        let size = summary.subgroup_size.min(options.subgroup.unwrap_or(16)).min(16);
        // The probe has a state of its own, so that it leaves neither statistics nor a failure.
        let probed = size >= 4 && size.is_power_of_two() && new(0).has_subgroups_of(size).await;
        Ok(new(if probed { size } else { 0 }))
    }

    fn new(
        (device, queue): (&wgpu::Device, &wgpu::Queue),
        summary: &AdapterSummary,
        options: GpuOptions,
        subgroup: u32,
    ) -> Gpu {
        let failure = Arc::new(Failure { first: OnceLock::new() });
        watch(device, &failure, &summary.name);
        let shared = Shared {
            pool: Arc::default(),
            pipelines: Pipelines::default(),
            recorder: Mutex::new(Recorder::new(device)),
            readbacks: AtomicU64::new(0),
            uploads: AtomicU64::new(0),
            ledger: Ledger::default(),
            device: device.clone(),
            queue: queue.clone(),
            summary: summary.clone(),
            options,
            subgroup,
            failure,
        };
        let tiles = Tiles::of(summary.device_type);
        Gpu(Arc::new(Handle { shared: Arc::new(shared), tiles }))
    }

    /// The adapter that was opened.
    pub fn summary(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// How kernels divide their work: [`Tiles::of`] its type, or those of [`Gpu::with_tiles`].
    pub fn tiles(&self) -> Tiles {
        self.0.tiles
    }

    /// A handle to the same GPU with other tiles, which must be in their [limits](Tiles::LIMITS).
    pub fn with_tiles(&self, tiles: Tiles) -> Gpu {
        Gpu(Arc::new(Handle { shared: self.0.shared.clone(), tiles }))
    }

    /// Number of adjacent invocations that add within a subgroup: 4, 8 or 16, or 0 if all use workgroup memory.
    pub fn subgroup(&self) -> u32 {
        self.0.subgroup
    }

    /// Maximum size of a tensor in bytes.
    pub(crate) fn largest_tensor(&self) -> u64 {
        self.summary().largest_tensor()
    }

    /// Counts per kernel while this device is being profiled. The times come from [`Gpu::profile`].
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Destroys the device. Everything fails afterwards, as when a driver is reset; for tests of what follows.
    pub fn destroy(&self) {
        self.0.device.destroy();
    }

    /// Simulates a full device: no further memory can be allocated.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        lock(&self.0.pool).fill();
    }

    /// Peak of live bytes since the last call.
    pub(crate) fn watch(&self) -> u64 {
        let mut pool = lock(&self.0.pool);
        let live = pool.live_bytes;
        std::mem::replace(&mut pool.watched, live)
    }

    /// The current statistics.
    pub fn stats(&self) -> Stats {
        let recorder = lock(&self.0.recorder);
        let pool = lock(&self.0.pool);
        Stats {
            dispatches: recorder.dispatches,
            submissions: recorder.submissions,
            bind_groups: recorder.bindings.count,
            kept_bind_groups: recorder.bindings.kept(),
            readbacks: self.0.readbacks.load(Ordering::Relaxed),
            uploads: self.0.uploads.load(Ordering::Relaxed),
            live_bytes: pool.live_bytes,
            pooled_bytes: pool.pooled_bytes,
            live_buffers: pool.live_buffers,
        }
    }
}

impl Shared {
    /// Records a failure that this crate detected.
    pub fn fail(&self, message: String) {
        // wgpu reports a lost device while we wait. Let it, so that the cause is recorded before its consequence.
        self.wait_for(None);
        self.failure.set(message);
    }

    /// Waits until the device has finished a submission, or all of them if it is `None`. In a browser it returns at
    /// once: only an asynchronous download waits there, and bounds the work in the queue.
    pub fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) {
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        // wgpu panics here if the device is lost meanwhile.
        match catch_unwind(AssertUnwindSafe(|| self.device.poll(wait))) {
            Ok(Ok(_)) => (),
            Ok(Err(error)) => self.failure.set(lost(&self.summary.name, &error.to_string())),
            Err(_) => self.failure.set(lost(&self.summary.name, "waiting for it failed")),
        }
    }

    /// Runs `body` and returns the error that wgpu raised on this thread meanwhile, if any. A browser reports errors
    /// later, to the callback of [`watch`].
    pub fn guarded<T>(&self, body: impl FnOnce() -> T) -> std::result::Result<T, wgpu::Error> {
        if cfg!(target_family = "wasm") {
            return Ok(body());
        }
        let [outer, middle, inner] = [
            wgpu::ErrorFilter::OutOfMemory,
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::Validation,
        ]
        .map(|filter| self.device.push_error_scope(filter));
        let value = body();
        let errors = [inner, middle, outer].map(|scope| pollster::block_on(scope.pop()));
        match errors.into_iter().flatten().next() {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.0.summary.name)
    }
}

/// wgpu's default limits, with the sizes of buffers and workgroup memory raised to the adapter's. Limits that the crate
/// does not need (textures) are lowered to the adapter's.
fn limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_compute_workgroup_storage_size: adapter.max_compute_workgroup_storage_size,
        ..wgpu::Limits::default().or_worse_values_from(adapter)
    }
}

/// Sets the callbacks that record errors. Without them wgpu panics or ignores the error.
fn watch(device: &wgpu::Device, failure: &Arc<Failure>, name: &str) {
    let (slot, adapter) = (failure.clone(), name.to_string());
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        slot.set(match error {
            wgpu::Error::OutOfMemory { .. } => {
                format!("{adapter} ran out of memory; lower the batch size or use --device cpu")
            }
            _ => format!("{adapter} refused a command: {error}"),
        })
    }));
    let (slot, adapter) = (failure.clone(), name.to_string());
    device.set_device_lost_callback(move |_, message| slot.set(lost(&adapter, &message)));
}

fn lost(adapter: &str, why: &str) -> String {
    format!(
        "{adapter} was lost ({why}): its memory ran out, or its driver was reset because a kernel \
         took too long; start again from the last checkpoint with a lower batch size or --device cpu"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_gives_errors_not_panics() {
        let Ok(gpu) = Gpu::open(0, GpuOptions::default()) else {
            println!("skipped: no adapter");
            return;
        };
        let x = gpu.upload(&[1.0, 2.0]);
        drop(gpu.alloc(500));
        gpu.fill();
        // Reusing a pooled buffer works; allocating a new one does not.
        let again = gpu.alloc(500);
        gpu.wait().unwrap();
        drop(again);
        let y = gpu.alloc(1 << 20);
        for outcome in [gpu.download(&y), gpu.download(&x)] {
            let message = outcome.unwrap_err().to_string();
            assert!(message.contains("has no memory for a buffer of 4 MiB"), "{message}");
        }
    }

    #[test]
    fn a_lost_device_gives_errors_not_panics() {
        let Ok(gpu) = Gpu::open(0, GpuOptions::default()) else {
            println!("skipped: no adapter");
            return;
        };
        let x = gpu.upload(&[1.0, 2.0]);
        assert_eq!(gpu.download(&x).unwrap(), [1.0, 2.0]);
        gpu.destroy();
        let y = gpu.alloc(100);
        gpu.upload(&[1.0]);
        for outcome in [gpu.download(&x), gpu.download(&y), gpu.wait().map(|()| vec![])] {
            let message = outcome.unwrap_err().to_string();
            assert!(message.contains("was lost"), "{message}");
        }
    }
}
