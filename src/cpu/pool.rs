//! The CPU's memory pool. Buffers are aligned to cache lines and recycled by length, so that after the first step
//! training neither allocates memory nor touches new pages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::profile::Ledger;
use crate::tiles::Tiles;

/// Floats in a cache line.
pub(super) const LINE: usize = 16;
/// The pool keeps at least this many bytes (live and idle together), and at most twice the peak of live bytes.
/// Twice, because a step uses more buffers in total than are alive at its peak, and the next step needs all of them.
const KEPT: usize = 256 << 20;

/// One cache line; the type sets the alignment.
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; LINE]);

/// Memory in use and idle in a device's pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes of buffers in use.
    pub live_bytes: usize,
    /// Bytes of free buffers that are kept for reuse.
    pub idle_bytes: usize,
    /// Allocations that the pool could not serve from idle buffers.
    pub fresh_allocations: usize,
}

/// A free buffer.
struct Idle {
    /// Index of the rayon thread that freed the buffer; its cache may still hold the data.
    owner: Option<usize>,
    lines: Vec<Line>,
}

#[derive(Default)]
struct State {
    /// Free buffers by length in lines.
    idle: HashMap<usize, Vec<Idle>>,
    stats: PoolStats,
    poison: bool,
    /// Peak of live bytes.
    peak: usize,
    /// Peak of live bytes since the last [`Cpu::watch`].
    watched: usize,
    /// On a meta device: length of the largest kernel output so far, and the kernel's name.
    largest: Option<(usize, &'static str)>,
}

/// The device that a meta device imitates; the buffers that kernels allocate depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Cpu,
    /// A GPU or the reference, with a GPU's tiles.
    Other(Tiles),
}

/// The CPU as a device, which is a memory pool. Clones share the pool.
#[derive(Clone, Default)]
pub struct Cpu(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ledger: Ledger,
    /// Set on a meta device, whose buffers have a length but no memory.
    meta: Option<Meta>,
}

/// A buffer of `len` floats that returns to its pool when dropped.
pub struct CpuBuffer {
    lines: Vec<Line>,
    len: usize,
    pool: Cpu,
}

impl Cpu {
    /// A new, empty pool.
    pub fn new() -> Cpu {
        Cpu::default()
    }

    /// A pool that counts bytes but allocates none.
    pub(crate) fn meta(of: Meta) -> Cpu {
        Cpu(Arc::new(Shared { meta: Some(of), ..Shared::default() }))
    }

    /// The kind of device that a meta device imitates; `None` for a real CPU.
    pub(crate) fn stands_for(&self) -> Option<Meta> {
        self.0.meta
    }

    /// Records the length of a kernel's output on a meta device.
    pub(crate) fn note(&self, kernel: &'static str, floats: usize) {
        let largest = &mut self.state().largest;
        if largest.is_none_or(|(most, _)| floats > most) {
            *largest = Some((floats, kernel));
        }
    }

    /// Length of the largest kernel output on this meta device, and the kernel's name.
    pub(crate) fn largest(&self) -> Option<(usize, &'static str)> {
        self.state().largest
    }

    /// If `on`, every new buffer is filled with NaN, which reveals kernels that leave elements unwritten.
    pub fn poison(&self, on: bool) {
        self.state().poison = on;
    }

    /// Memory in use and idle.
    pub fn stats(&self) -> PoolStats {
        self.state().stats
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Peak of live bytes since the last call.
    pub(crate) fn watch(&self) -> usize {
        let mut state = self.state();
        let live = state.stats.live_bytes;
        std::mem::replace(&mut state.watched, live)
    }

    /// Totals per kernel while this device is being profiled.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// A buffer of `len` floats with unspecified contents; the caller must write every element.
    ///
    /// # Panics
    /// If `len` exceeds the address space, or, with an [`Error::Device`] as the payload, if memory is exhausted.
    #[track_caller]
    pub fn alloc(&self, len: usize) -> CpuBuffer {
        let count = len.div_ceil(LINE);
        let most = isize::MAX as usize / size_of::<Line>();
        assert!(count <= most, "a buffer of {len} floats is larger than memory");
        let mut state = self.state();
        state.stats.live_bytes += count * size_of::<Line>();
        state.peak = state.peak.max(state.stats.live_bytes);
        state.watched = state.watched.max(state.stats.live_bytes);
        let recycled = state.idle.get_mut(&count).and_then(|idle| {
            let me = rayon::current_thread_index();
            let own = idle.iter().rposition(|idle| idle.owner == me);
            Some(idle.remove(own.or(idle.len().checked_sub(1))?).lines)
        });
        match recycled {
            Some(_) => state.stats.idle_bytes -= count * size_of::<Line>(),
            None => state.stats.fresh_allocations += 1,
        }
        let poison = state.poison;
        drop(state);
        let mut lines = recycled.unwrap_or_else(|| match self.0.meta {
            None => self.fresh(count),
            Some(_) => Vec::new(),
        });
        if poison {
            lines.fill(Line([f32::NAN; LINE]));
        }
        CpuBuffer { lines, len, pool: self.clone() }
    }

    /// Newly allocated memory. If there is none left, the idle buffers are freed and it tries again.
    ///
    /// # Panics
    ///
    /// With an [`Error::Device`] as the payload if there still is not enough memory.
    fn fresh(&self, count: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if lines.try_reserve_exact(count).is_err() {
            self.state().free_idle();
            if lines.try_reserve_exact(count).is_err() {
                let bytes = count * size_of::<Line>();
                let live = {
                    let stats = &mut self.state().stats;
                    stats.live_bytes -= bytes;
                    stats.live_bytes
                };
                // `resume_unwind` does not run the panic hook: the program reports this as an error.
                std::panic::resume_unwind(Box::new(Error::Device(format!(
                    "no memory for a tensor of {} MiB beside {} MiB in use; fewer images at once \
                     or a smaller model need less",
                    bytes >> 20,
                    live >> 20
                ))));
            }
        }
        lines.resize(count, Line([0.0; LINE]));
        lines
    }
}

impl State {
    fn free_idle(&mut self) {
        self.idle.clear();
        self.stats.idle_bytes = 0;
    }
}

impl CpuBuffer {
    /// Number of floats.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The elements.
    pub fn as_slice(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    /// The elements, for writing.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl Drop for CpuBuffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let count = self.len.div_ceil(LINE);
        let bytes = count * size_of::<Line>();
        let mut state = self.pool.state();
        state.stats.live_bytes -= bytes;
        let held = state.stats.live_bytes + state.stats.idle_bytes + bytes;
        if held > KEPT.max(2 * state.peak) {
            // They are probably of lengths that are no longer used.
            state.free_idle();
        }
        state.stats.idle_bytes += bytes;
        let owner = rayon::current_thread_index();
        state.idle.entry(count).or_default().push(Idle { owner, lines });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_unused_lengths_are_freed() {
        let cpu = Cpu::new();
        for i in 0..400 {
            drop(cpu.alloc((1 << 20) + i * LINE));
        }
        let idle = cpu.stats().idle_bytes;
        assert!(idle <= KEPT, "{idle} bytes lie idle");
        assert_eq!(cpu.stats().live_bytes, 0);
    }

    #[test]
    fn memory_that_runs_out_is_an_error() {
        let cpu = Cpu::new();
        let kept = cpu.alloc(1 << 20);
        drop(cpu.alloc(1 << 19));
        let before = cpu.stats();
        // 2^60 bytes: no machine has an address for each.
        let alloc = std::panic::AssertUnwindSafe(|| cpu.alloc(1 << 58));
        let Err(payload) = std::panic::catch_unwind(alloc) else { panic!("memory was found") };
        let error = payload.downcast::<Error>().expect("an error");
        let message = error.to_string();
        assert!(matches!(*error, Error::Device(_)), "{message}");
        assert!(
            message.contains("no memory for a tensor of")
                && message.contains("beside 4 MiB in use")
        );
        assert_eq!((cpu.stats().live_bytes, cpu.stats().idle_bytes), (before.live_bytes, 0));
        drop(kept);
    }

    #[test]
    fn a_thread_gets_its_own_buffers_back() {
        let cpu = Cpu::new();
        let worker = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let address = |buffer: &CpuBuffer| buffer.as_slice().as_ptr();
        let (mine, its) = (cpu.alloc(100), cpu.alloc(100));
        let places = (address(&mine), address(&its));
        drop(mine);
        worker.install(|| drop(its));
        let mine = cpu.alloc(100);
        assert_eq!(address(&mine), places.0);
        // Another thread's buffer, because nothing else is free.
        assert_eq!(address(&cpu.alloc(100)), places.1);
    }

    /// The forward and the backward pass need different lengths, so a step uses more bytes in total than are ever
    /// live at once.
    #[test]
    fn the_next_step_finds_all_buffers_of_the_last() {
        let cpu = Cpu::new();
        let mut fresh = Vec::new();
        for _step in 0..3 {
            let weights = cpu.alloc(KEPT / 8);
            let forwards = cpu.alloc(KEPT / 4);
            drop(forwards);
            let backwards = cpu.alloc(KEPT / 4 + LINE);
            drop((backwards, weights));
            fresh.push(cpu.stats().fresh_allocations);
        }
        assert_eq!(fresh, [3, 3, 3]);
    }
}
