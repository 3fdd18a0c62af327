//! Caches bind groups, to be reused when the same program is dispatched on the same buffers.
//!
//! Creating one costs the CPU as much as the rest of a small dispatch. Training steps repeat the same dispatches on
//! the same buffers, because the pool returns buffers in a fixed order ([`pool`](super::pool)).

use super::pool::GpuBuffer;
use super::program::Program;
use std::collections::HashMap;

/// Largest number of cached bind groups: enough for several steps of the longest models.
const KEPT: usize = 1 << 15;

/// A program's address, and the id and length of each of its buffers.
type Key = (usize, Vec<(u64, usize)>);

/// Bind groups by program and buffers. A bind group keeps its buffers alive, so each submission drops the bind groups
/// of buffers that the pool has given up ([`forget`](Bindings::forget)).
#[derive(Default)]
pub(super) struct Bindings {
    made: HashMap<Key, wgpu::BindGroup>,
    /// Number of bind groups created so far.
    pub count: u64,
}

impl Bindings {
    /// The cached bind group of `program` and these buffers, or else a new one from `make`.
    pub fn get(
        &mut self,
        program: &'static Program,
        buffers: &[&GpuBuffer],
        make: impl FnOnce() -> wgpu::BindGroup,
    ) -> wgpu::BindGroup {
        let names = buffers.iter().map(|buffer| (buffer.id, buffer.len())).collect();
        let key = (std::ptr::from_ref(program).addr(), names);
        if let Some(group) = self.made.get(&key) {
            return group.clone();
        }
        self.count += 1;
        let group = make();
        if self.made.len() == KEPT {
            self.made.clear();
        }
        self.made.insert(key, group.clone());
        group
    }

    /// Number of cached bind groups.
    pub fn kept(&self) -> u64 {
        self.made.len() as u64
    }

    /// Drops the bind groups of the buffers with these ids.
    pub fn forget(&mut self, ids: &[u64]) {
        if !ids.is_empty() {
            self.made.retain(|(_, buffers), _| !buffers.iter().any(|(id, _)| ids.contains(id)));
        }
    }
}
