//! Buffers of the CPU: aligned to a cache line, recycled by length, so that a steady training step
//! allocates nothing and touches no fresh page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::profile::Ledger;

/// Floats of a cache line.
pub(super) const LINE: usize = 16;
/// Bytes that are kept, live and idle, in any case; more only up to twice the most that was ever live: no
/// moment of a step needs as many buffers of each length as the whole step does, and all of these are
/// to be there in the next.
const KEPT: usize = 256 << 20;

/// One cache line, for the alignment.
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([f32; LINE]);

/// Live and idle memory of a device's pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Bytes of buffers in use.
    pub live_bytes: usize,
    /// Bytes of buffers waiting to be used again.
    pub idle_bytes: usize,
    /// Allocations that the pool could not serve from idle buffers.
    pub fresh_allocations: usize,
}

/// A buffer that waits to be used again.
struct Idle {
    /// The thread of the current rayon pool that gave it back, in whose cache it lies, at best.
    owner: Option<usize>,
    lines: Vec<Line>,
}

#[derive(Default)]
struct State {
    /// By length.
    idle: HashMap<usize, Vec<Idle>>,
    stats: PoolStats,
    poison: bool,
    /// Most bytes ever live.
    peak: usize,
    /// Most bytes live since [`Cpu::watch`].
    watched: usize,
    /// Of a meta device: floats of the largest output of a kernel so far, and the kernel.
    largest: Option<(usize, &'static str)>,
}

/// The device that a meta device stands for: its kernels decide which buffers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Cpu,
    /// A GPU or the reference.
    Other,
}

/// The CPU as a device: a pool of buffers. Clones share the pool.
#[derive(Clone, Default)]
pub struct Cpu(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ledger: Ledger,
    /// Buffers have a length and no memory.
    meta: Option<Meta>,
}

/// A buffer of `len` floats that returns to its pool when dropped.
pub struct CpuBuffer {
    lines: Vec<Line>,
    len: usize,
    pool: Cpu,
}

impl Cpu {
    /// A pool of its own.
    pub fn new() -> Cpu {
        Cpu::default()
    }

    /// A pool that counts bytes and has none.
    pub(crate) fn meta(of: Meta) -> Cpu {
        Cpu(Arc::new(Shared { meta: Some(of), ..Shared::default() }))
    }

    /// The device that this one stands for, if it is a meta device.
    pub(crate) fn stands_for(&self) -> Option<Meta> {
        self.0.meta
    }

    /// Takes note of an output of a kernel on a meta device.
    pub(crate) fn note(&self, kernel: &'static str, floats: usize) {
        let largest = &mut self.state().largest;
        if largest.is_none_or(|(most, _)| floats > most) {
            *largest = Some((floats, kernel));
        }
    }

    /// Floats of the largest output of a kernel that ran on this meta device, and that kernel's name.
    pub(crate) fn largest(&self) -> Option<(usize, &'static str)> {
        self.state().largest
    }

    /// With `on`, every buffer is handed out full of NaN: a kernel that leaves an element unwritten shows.
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

    /// Most bytes that were live at once since the last call.
    pub(crate) fn watch(&self) -> usize {
        let mut state = self.state();
        let live = state.stats.live_bytes;
        std::mem::replace(&mut state.watched, live)
    }

    /// What its kernels took, while it is profiled.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// A buffer whose contents are unspecified: whoever asks for it writes every element.
    ///
    /// # Panics
    /// If no memory holds as much.
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

    /// New memory. Where there is none left, idle buffers are given back first.
    ///
    /// # Panics
    ///
    /// With an [`Error::Device`] as its payload when there is not enough memory even so.
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
                // No hook prints it: it is an error, and the program reports it as one.
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

    /// The elements, to be written.
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
            // Of lengths that are no longer asked for, most likely.
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
    fn lengths_that_are_no_longer_used_are_let_go() {
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
    fn a_thread_is_given_what_it_gave_back() {
        let cpu = Cpu::new();
        let worker = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let address = |buffer: &CpuBuffer| buffer.as_slice().as_ptr();
        let (mine, its) = (cpu.alloc(100), cpu.alloc(100));
        let places = (address(&mine), address(&its));
        drop(mine);
        worker.install(|| drop(its));
        let mine = cpu.alloc(100);
        assert_eq!(address(&mine), places.0);
        // What another one gave back, where there is nothing else.
        assert_eq!(address(&cpu.alloc(100)), places.1);
    }

    /// Forwards other lengths are needed than backwards, so all buffers together are more than any moment
    /// has.
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
