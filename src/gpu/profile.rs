//! Times single dispatches with timestamps on the device.
//!
//! While profiling is on, each dispatch gets a compute pass of its own, and each submission is waited for. The wall
//! time is therefore longer than usual, and longer than the sum of the dispatches.

use super::context::{Gpu, Shared, block_on, lock};
use super::recorder::SLOTS;
use crate::{Error, Result};

/// Time of one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelTime {
    /// Name of the program.
    pub program: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// Nanoseconds on the device.
    pub ns: u64,
    /// Number of its launch in the ledger of the device, if it is one of a kernel.
    pub launch: Option<usize>,
}

/// Two timestamps for each dispatch of the open encoder, and the times collected so far.
pub(super) struct Profiler {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    open: Vec<(&'static str, &'static str, Option<usize>)>,
    times: Vec<KernelTime>,
}

impl Profiler {
    fn new(device: &wgpu::Device) -> Profiler {
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: SLOTS as u64 * 16,
                usage,
                mapped_at_creation: false,
            })
        };
        Profiler {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: SLOTS as u32 * 2,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
            open: Vec::new(),
            times: Vec::new(),
        }
    }

    /// The timestamps for the pass of the next dispatch.
    pub fn next(
        &mut self,
        program: &'static str,
        entry: &'static str,
        launch: Option<usize>,
    ) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = self.open.len() as u32 * 2;
        self.open.push((program, entry, launch));
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Copies the timestamps to the staging buffer; call it before the encoder is finished.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        if !self.open.is_empty() {
            let count = self.open.len() * 2;
            encoder.resolve_query_set(&self.queries, 0..count as u32, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, count as u64 * 8);
        }
    }

    /// Reads the timestamps; call it after the submission.
    pub fn collect(&mut self, shared: &Shared, submission: &wgpu::SubmissionIndex) {
        if self.open.is_empty() || shared.failure.is_set() {
            return;
        }
        // `read` has recorded the failure, and the next download returns it.
        let ticks = block_on(shared.read::<u64>(&self.staging, submission)).unwrap_or_default();
        let period = f64::from(shared.queue.get_timestamp_period());
        let kernels = self.open.drain(..).zip(ticks.chunks_exact(2));
        self.times.extend(kernels.map(|((program, entry, launch), ticks)| KernelTime {
            program,
            entry,
            ns: (ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64,
            launch,
        }));
    }
}

impl Gpu {
    /// Turns the timing of dispatches on or off, and returns the times since it was turned on, in order.
    ///
    /// Errors: [`Error::Device`] if the adapter has no timestamps, or if the GPU has failed.
    pub fn profile(&self, on: bool) -> Result<Vec<KernelTime>> {
        let shared = &self.0;
        if !shared.summary.timestamp {
            let name = &shared.summary.name;
            return Err(Error::Device(format!(
                "{name} cannot time kernels: its driver has no timestamps; run without profiling"
            )));
        }
        self.wait()?;
        let mut recorder = lock(&shared.recorder);
        let before = recorder.profiler.take();
        recorder.profiler = on.then(|| Profiler::new(&shared.device));
        Ok(before.map_or(Vec::new(), |profiler| profiler.times))
    }
}
