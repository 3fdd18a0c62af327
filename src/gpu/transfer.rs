//! Copies data between the CPU and the GPU.

use super::context::{Gpu, Shared, block_on, lock};
use super::pool::GpuBuffer;
use crate::{Error, Result};
use std::future::{Future, poll_fn};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

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

    /// Submits the recorded commands, waits for them, and returns the buffer's elements. In a browser it always fails;
    /// see [`Gpu::download_async`].
    ///
    /// Errors: [`Error::Device`] with the first failure since [`Gpu::open`].
    pub fn download(&self, buffer: &GpuBuffer) -> Result<Vec<f32>> {
        block_on(self.download_async(buffer))
    }

    /// Submits the recorded commands and a copy of the buffer; the future waits for them and has the buffer's elements as
    /// they are at this call, whatever is recorded later. In a browser, awaiting such futures is the only way to bound the
    /// work in the queue. On other targets the future blocks its thread, because nothing else drives the device.
    ///
    /// Errors: as [`Gpu::download`].
    pub fn download_async(
        &self,
        buffer: &GpuBuffer,
    ) -> impl Future<Output = Result<Vec<f32>>> + use<> {
        let shared = self.0.clone();
        shared.readbacks.fetch_add(1, Ordering::Relaxed);
        let copied = match buffer.is_empty() {
            true => Ok(None),
            false => self.copy(buffer).map(Some),
        };
        async move {
            match copied? {
                Some((staging, submission)) => shared.read(&staging, &submission).await,
                None => {
                    shared.submit();
                    shared.wait_for(None);
                    shared.failure.check().map(|()| Vec::new())
                }
            }
        }
    }

    /// Submits the recorded commands and a copy of the buffer to a new staging buffer.
    fn copy(&self, buffer: &GpuBuffer) -> Result<(wgpu::Buffer, wgpu::SubmissionIndex)> {
        let shared = &self.0;
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
        Ok((staging, submission))
    }
}

/// The callback's end of a channel to a future.
struct Reply<T> {
    sender: mpsc::Sender<T>,
    // Dropped after the sender, so that the future sees the value, or that there will be none.
    _wake: WakeOnDrop,
}

struct WakeOnDrop(Arc<Mutex<Option<Waker>>>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        if let Some(waker) = lock(&self.0).take() {
            waker.wake();
        }
    }
}

impl<T> Reply<T> {
    /// A callback's end, and the future of what is sent: `None` if the callback is dropped without being called.
    fn channel() -> (Reply<T>, impl Future<Output = Option<T>>) {
        let (sender, receiver) = mpsc::channel();
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let reply = Reply { sender, _wake: WakeOnDrop(waker.clone()) };
        let future = poll_fn(move |context| {
            // First, so that a value that is sent after the look wakes this task.
            *lock(&waker) = Some(context.waker().clone());
            match receiver.try_recv() {
                Err(mpsc::TryRecvError::Empty) => Poll::Pending,
                outcome => Poll::Ready(outcome.ok()),
            }
        });
        (reply, future)
    }

    fn send(self, value: T) {
        // The future may be gone.
        let _ = self.sender.send(value);
    }
}

impl Shared {
    /// The contents of a staging buffer, after the submission that copies to it.
    pub async fn read<T: bytemuck::Pod>(
        &self,
        staging: &wgpu::Buffer,
        submission: &wgpu::SubmissionIndex,
    ) -> Result<Vec<T>> {
        let (reply, mapped) = Reply::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |outcome| reply.send(outcome));
        self.wait_for(Some(submission.clone()));
        self.failure.check()?;
        // Not ready yet in a browser, or if another waiting thread has taken the callback and not called it yet.
        let mapped =
            mapped.await.ok_or_else(|| self.unreadable(&"the driver dropped the request"))?;
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

#[cfg(test)]
mod tests {
    use super::Reply;
    use std::sync::mpsc;
    use std::time::Duration;

    /// What the future yields if another thread uses the callback's end after the future has been polled.
    fn received(callback: fn(Reply<u32>)) -> Option<Option<u32>> {
        let (reply, future) = Reply::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            callback(reply);
        });
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(pollster::block_on(future)));
        receiver.recv_timeout(Duration::from_secs(20)).ok()
    }

    #[test]
    fn a_callback_wakes_its_future_even_if_it_is_dropped() {
        assert_eq!(received(|reply| reply.send(7)), Some(Some(7)));
        assert_eq!(received(drop), Some(None));
    }
}
