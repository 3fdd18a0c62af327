//! Times of single dispatches, by timestamps on the device.
//!
//! While it is on, each dispatch has a pass of its own, and each submission is waited for: sums of
//! these times are below the wall clock, and the wall clock is above that of a normal run.

use super::context::{Gpu, Shared, lock};
use super::recorder::SLOTS;
use crate::{Error, Result};

/// How long a dispatch ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelTime {
    /// Name of the program.
    pub program: &'static str,
    /// Name of the kernel.
    pub entry: &'static str,
    /// Nanoseconds on the device.
    pub ns: u64,
}

/// Two timestamps a dispatch of the open encoder, and the times so far.
pub(super) struct Profiler {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    open: Vec<(&'static str, &'static str)>,
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
    ) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = self.open.len() as u32 * 2;
        self.open.push((program, entry));
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Before the encoder is finished.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        if !self.open.is_empty() {
            let count = self.open.len() * 2;
            encoder.resolve_query_set(&self.queries, 0..count as u32, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, count as u64 * 8);
        }
    }

    /// After it is submitted.
    pub fn collect(&mut self, shared: &Shared, submission: &wgpu::SubmissionIndex) {
        if self.open.is_empty() || shared.failure.is_set() {
            return;
        }
        // A failure is kept by `read`, and this has no other way to return it.
        let ticks = shared.read::<u64>(&self.staging, submission).unwrap_or_default();
        let period = f64::from(shared.queue.get_timestamp_period());
        let kernels = self.open.drain(..).zip(ticks.chunks_exact(2));
        self.times.extend(kernels.map(|((program, entry), ticks)| KernelTime {
            program,
            entry,
            ns: (ticks[1].saturating_sub(ticks[0]) as f64 * period) as u64,
        }));
    }
}

impl Gpu {
    /// Begins or ends the timing of dispatches, and returns the times since it began, in order.
    ///
    /// Errors: [`Error::Device`] when this adapter has no timestamps, or for a failure before.
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
