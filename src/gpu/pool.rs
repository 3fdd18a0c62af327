//! The GPU's memory pool: free buffers by size class.
//!
//! A released buffer can be reused immediately, even if the device still has to read it. The queue executes commands in
//! the order of recording, so the new owner writes to it after all earlier reads.

use super::context::{Gpu, Shared, lock};
use super::program::{Dispatch, Program, Wgsl};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The pool keeps at most this many bytes of free buffers, or the peak of live bytes if that is more.
const KEPT_BYTES: u64 = 256 << 20;

/// A storage buffer of `len()` f32; it returns to its pool on drop.
pub struct GpuBuffer {
    pub(super) buffer: wgpu::Buffer,
    /// Id of the memory; a buffer that is reused keeps it.
    pub(super) id: u64,
    /// Start in `buffer` in bytes; 0 unless this is a range.
    pub(super) offset: u64,
    len: usize,
    bytes: u64,
    owner: Owner,
    pool: Arc<Mutex<Pool>>,
}

/// The owner of a buffer's memory.
enum Owner {
    /// The pool, which gets it back.
    Pool,
    /// This buffer alone.
    Own,
    /// Another buffer, of which this is a range, and which lives as long as its ranges.
    Whole { _whole: Arc<GpuBuffer> },
}

impl GpuBuffer {
    /// Number of f32 elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Size of its bindings in bytes: the exact length, but at least one element.
    pub(super) fn binding_bytes(&self) -> u64 {
        exact_bytes(self.len)
    }
}

impl std::fmt::Debug for GpuBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBuffer({} f32)", self.len)
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        let mut pool = lock(&self.pool);
        pool.live_bytes -= self.bytes;
        pool.live_buffers -= 1;
        match self.owner {
            Owner::Pool => pool.put(self.bytes, self.id, self.buffer.clone()),
            Owner::Own | Owner::Whole { .. } => pool.forgotten.push(self.id),
        }
    }
}

/// Free buffers, and counts of those in use.
#[derive(Default)]
pub(super) struct Pool {
    /// Free buffers by size class and id.
    free: BTreeMap<u64, BTreeMap<u64, Free>>,
    pub live_bytes: u64,
    pub live_buffers: u64,
    pub pooled_bytes: u64,
    peak_live_bytes: u64,
    /// Peak of live bytes since the last [`Gpu::watch`](super::Gpu::watch).
    pub watched: u64,
    releases: u64,
    buffers: u64,
    /// Ids of buffers that were destroyed since [`take_forgotten`](Pool::take_forgotten).
    forgotten: Vec<u64>,
    /// Limit on all bytes together, in tests of a full device.
    room: Option<u64>,
}

struct Free {
    buffer: wgpu::Buffer,
    released: u64,
}

impl Pool {
    /// Takes the free buffer of this class with the lowest id. Whatever the order of release, a step that equals the
    /// one before it gets the same buffers, and so finds their bind groups in the cache.
    fn take(&mut self, bytes: u64) -> Option<(wgpu::Buffer, u64)> {
        let (id, free) = self.free.get_mut(&bytes)?.pop_first()?;
        self.pooled_bytes -= bytes;
        Some((free.buffer, id))
    }

    fn put(&mut self, bytes: u64, id: u64, buffer: wgpu::Buffer) {
        self.releases += 1;
        let released = self.releases;
        self.pooled_bytes += bytes;
        self.free.entry(bytes).or_default().insert(id, Free { buffer, released });
        while self.pooled_bytes > self.peak_live_bytes.max(KEPT_BYTES) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let all =
            self.free.iter().flat_map(|(bytes, class)| class.iter().zip(std::iter::repeat(bytes)));
        let oldest = all.min_by_key(|((_, free), _)| free.released);
        if let Some((id, bytes)) = oldest.map(|((id, _), bytes)| (*id, *bytes)) {
            self.free.get_mut(&bytes).map(|class| class.remove(&id));
            self.forgotten.push(id);
            self.pooled_bytes -= bytes;
        }
    }

    /// The ids of the buffers that were destroyed since the last call.
    pub fn take_forgotten(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.forgotten)
    }

    /// From now on, allocates no more bytes.
    #[cfg(test)]
    pub fn fill(&mut self) {
        self.room = Some(self.live_bytes + self.pooled_bytes);
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.room.is_none_or(|room| self.live_bytes + self.pooled_bytes + bytes <= room)
    }

    fn clear(&mut self) {
        self.forgotten.extend(self.free.values().flat_map(BTreeMap::keys));
        self.free.clear();
        self.pooled_bytes = 0;
    }
}

/// Size of `len` elements in bytes, at least one element; saturates instead of overflowing.
fn exact_bytes(len: usize) -> u64 {
    (len.max(1) as u64).saturating_mul(4)
}

/// The size class of a number of bytes. There are four classes between powers of two, so at most a quarter is wasted.
fn class_bytes(bytes: u64) -> u64 {
    let step = (bytes.next_power_of_two() / 8).max(256);
    bytes.next_multiple_of(step)
}

/// Fills a buffer with quiet NaNs.
static POISON: Program = Program {
    name: "poison",
    source: Wgsl::new(
        "
        struct Params { len: u32, row: u32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(256)
        fn poison(@builtin(global_invocation_id) id: vec3<u32>) {
            let i = id.y * params.row + id.x;
            if (i < params.len) { out[i] = 0x7fc00000u; }
        }",
    ),
    inputs: 0,
    outputs: 1,
};

impl Gpu {
    /// A buffer of `len` f32 (0 is allowed) with unspecified contents, from the pool if it has one of this class.
    ///
    /// If the device is out of memory, or `len` exceeds its limits, the next
    /// [`download`](Gpu::download), [`flush`](Gpu::flush) or [`wait`](Gpu::wait) returns the error.
    pub fn alloc(&self, len: usize) -> GpuBuffer {
        let shared = &self.0;
        let mut bytes = exact_bytes(len);
        if bytes <= shared.summary.max_buffer_size {
            bytes = Some(class_bytes(bytes))
                .filter(|&class| class <= shared.summary.max_buffer_size)
                .unwrap_or(bytes);
        }
        let reused = lock(&shared.pool).take(bytes);
        let buffer = match reused {
            Some((buffer, id)) => shared.handle(buffer, Some(id), len, bytes, Owner::Pool),
            None => self.fresh(len, bytes, false),
        };
        if shared.options.poison {
            self.poison(&buffer);
        }
        buffer
    }

    /// Creates a buffer. If `mapped`, the CPU can write to it first, and it does not return to the pool.
    pub(super) fn fresh(&self, len: usize, bytes: u64, mapped: bool) -> GpuBuffer {
        let shared = &self.0;
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let limit = shared.summary.largest_tensor();
        if exact_bytes(len) > limit {
            shared.failure.set(format!(
                "a tensor of {} MiB is more than {} can bind ({} MiB); take fewer images at once, a \
                 smaller model if the tensor is a weight, or --device cpu",
                exact_bytes(len) >> 20,
                shared.summary.name,
                limit >> 20
            ));
        }
        if shared.failure.is_set() {
            return shared.placeholder(len);
        }
        let create = || {
            if !lock(&shared.pool).has_room(bytes) {
                return Err(wgpu::Error::OutOfMemory { source: "a test filled it".into() });
            }
            shared.guarded(|| {
                shared.device.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: bytes,
                    usage,
                    mapped_at_creation: mapped,
                })
            })
        };
        let created = create().or_else(|_| {
            // Free the pooled buffers, wait until the device has released them, and try again.
            lock(&shared.pool).clear();
            shared.submit_with(|_| ());
            shared.wait_for(None);
            create()
        });
        match created {
            Ok(buffer) => {
                let owner = if mapped { Owner::Own } else { Owner::Pool };
                shared.handle(buffer, None, len, bytes, owner)
            }
            Err(error) => {
                shared.failure.set(format!(
                    "{} has no memory for a buffer of {} MiB beside {} MiB in use ({error}); lower \
                     the batch size or use --device cpu",
                    shared.summary.name,
                    bytes >> 20,
                    lock(&shared.pool).live_bytes >> 20
                ));
                shared.placeholder(len)
            }
        }
    }

    /// A zeroed buffer and ranges of it with these lengths, each with the index of its first element. A kernel that
    /// writes a range, or the whole, must not bind any other of them.
    pub(crate) fn ranges(&self, lengths: &[usize]) -> (GpuBuffer, Vec<(usize, GpuBuffer)>) {
        let shared = &self.0;
        let alignment = shared.device.limits().min_storage_buffer_offset_alignment as usize / 4;
        let mut total = 0;
        let mut starts = Vec::new();
        for length in lengths {
            starts.push(total);
            total += length.max(&1).next_multiple_of(alignment);
        }
        let whole = Arc::new(self.upload(&vec![0.0; total]));
        let range = |start: usize, len: usize| {
            let owner = Owner::Whole { _whole: whole.clone() };
            let mut range = shared.handle(whole.buffer.clone(), None, len, 0, owner);
            range.offset = 4 * start as u64;
            range
        };
        let parts = starts.iter().zip(lengths).map(|(&start, &len)| (start, range(start, len)));
        (range(0, total), parts.collect())
    }

    fn poison(&self, buffer: &GpuBuffer) {
        let groups = (buffer.len as u64).div_ceil(256);
        let columns = groups.min(1 << 15);
        let params = [buffer.len as u32, columns as u32 * 256];
        self.record(
            &POISON,
            &[Dispatch {
                entry: "poison",
                groups: [columns as u32, groups.div_ceil(columns.max(1)) as u32, 1],
                params: bytemuck::cast_slice(&params),
                loop_iterations: 0,
            }],
            &[],
            &[buffer],
        );
    }
}

impl Shared {
    fn handle(
        &self,
        buffer: wgpu::Buffer,
        id: Option<u64>,
        len: usize,
        bytes: u64,
        owner: Owner,
    ) -> GpuBuffer {
        let mut pool = lock(&self.pool);
        let id = id.unwrap_or_else(|| {
            pool.buffers += 1;
            pool.buffers
        });
        pool.live_buffers += 1;
        pool.live_bytes += bytes;
        pool.peak_live_bytes = pool.peak_live_bytes.max(pool.live_bytes);
        pool.watched = pool.watched.max(pool.live_bytes);
        GpuBuffer { buffer, id, offset: 0, len, bytes, owner, pool: self.pool.clone() }
    }

    /// A dummy buffer for use after a failure, when commands do nothing.
    fn placeholder(&self, len: usize) -> GpuBuffer {
        let buffer = lock(&self.recorder).params.clone();
        self.handle(buffer, None, len, 0, Owner::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::class_bytes;

    #[test]
    fn size_classes_are_monotone_and_waste_at_most_a_quarter() {
        assert_eq!(class_bytes(4), 256);
        assert_eq!(class_bytes(256), 256);
        assert_eq!(class_bytes(1 << 20), 1 << 20);
        assert_eq!(class_bytes((1 << 20) + 4), (1 << 20) + (1 << 18));
        let mut last = 0;
        for bytes in (4..300_000).step_by(4) {
            let class = class_bytes(bytes);
            assert!(class >= bytes && class >= last, "{bytes} -> {class}");
            assert!(class - bytes < 256.max(bytes / 4 + 4), "{bytes} -> {class}");
            assert_eq!(class_bytes(class), class);
            last = class;
        }
    }
}
