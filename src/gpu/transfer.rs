//! Copies data between the CPU and the GPU.

use super::context::{Gpu, Shared};
use super::pool::GpuBuffer;
use crate::{Error, Result};
use std::sync::atomic::Ordering;
use std::sync::mpsc;

impl Gpu {
    /// Copies `data` into a new buffer, which does not return to the pool.
    ///
    /// The copy is part of the buffer's creation. `Queue::write_buffer` into a pooled buffer would run before commands
    /// that were recorded earlier and still read it.
    pub fn upload(&self, data: &[f32]) -> GpuBuffer {
        self.0.uploads.fetch_add(1, Ordering::Relaxed);
        let bytes = data.len().max(1) as u64 * 4;
        let buffer = self.fresh(data.len(), bytes, true);
        if self.0.failure.is_set() {
            return buffer;
        }
        if !data.is_empty() {
            match buffer.buffer.get_mapped_range_mut(..) {
                Ok(mut view) => view.copy_from_slice(bytemuck::cast_slice(data)),
                Err(error) => self.0.fail(format!(
                    "{} cannot take an upload: {error}; use --device cpu",
                    self.0.summary.name
                )),
            }
        }
        buffer.buffer.unmap();
        buffer
    }

    /// Submits the recorded commands, waits for them, and returns the buffer's elements.
    ///
    /// Errors: [`Error::Device`] with the first failure since [`Gpu::open`].
    pub fn download(&self, buffer: &GpuBuffer) -> Result<Vec<f32>> {
        let shared = &self.0;
        shared.readbacks.fetch_add(1, Ordering::Relaxed);
        if buffer.is_empty() {
            self.wait()?;
            return Ok(Vec::new());
        }
        shared.failure.check()?;
        let size = buffer.binding_bytes();
        let staging = shared.guarded(|| {
            shared.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size,
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        });
        let staging = staging.map_err(|error| shared.unreadable(&error))?;
        let submission = shared.submit_with(|encoder| {
            encoder.copy_buffer_to_buffer(&buffer.buffer, buffer.offset, &staging, 0, size);
        });
        shared.read(&staging, &submission)
    }
}

/// Longest time to wait for the callback of a finished submission.
const CALLBACK: std::time::Duration = std::time::Duration::from_secs(10);

impl Shared {
    /// The contents of a staging buffer, after the submission that copies to it.
    pub fn read<T: bytemuck::Pod>(
        &self,
        staging: &wgpu::Buffer,
        submission: &wgpu::SubmissionIndex,
    ) -> Result<Vec<T>> {
        let (sender, receiver) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
            // The receiver is gone only if waiting failed.
            let _ = sender.send(outcome);
        });
        self.wait_for(Some(submission.clone()));
        self.failure.check()?;
        // Another waiting thread may have taken the callback without having called it yet.
        let mapped = receiver.recv_timeout(CALLBACK).map_err(|error| self.unreadable(&error))?;
        mapped.map_err(|error| self.unreadable(&error))?;
        let view = staging.get_mapped_range(..).map_err(|error| self.unreadable(&error))?;
        let contents = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        staging.unmap();
        Ok(contents)
    }

    /// Records that a download failed, and returns the first failure, which may be an earlier one.
    fn unreadable(&self, why: &dyn std::fmt::Display) -> Error {
        let name = &self.summary.name;
        let message = format!(
            "cannot read a result back from {name}: {why}; lower the batch size or use --device cpu"
        );
        self.fail(message.clone());
        self.failure.check().err().unwrap_or(Error::Device(message))
    }
}
