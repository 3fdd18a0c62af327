//! Bind groups, kept for the next time that the same program works on the same buffers.
//!
//! Making one costs the CPU as much as the rest of a small dispatch, and a training step works on the
//! buffers of the step before: what was released last is handed out first.

use super::pool::GpuBuffer;
use super::program::Program;
use std::collections::HashMap;

/// Most that are kept: some steps of the longest models.
const KEPT: usize = 1 << 15;

/// A program's address, and name and length of each of its buffers.
type Key = (usize, Vec<(u64, usize)>);

/// Bind groups by program and buffers. They hold the memory of their buffers, so those of memory that
/// was given up are dropped with each submission ([`forget`](Bindings::forget)).
#[derive(Default)]
pub(super) struct Bindings {
    made: HashMap<Key, wgpu::BindGroup>,
    /// How many were made.
    pub count: u64,
}

impl Bindings {
    /// The group of these buffers for `program`, made by `make` unless it is there.
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

    /// How many are kept.
    pub fn kept(&self) -> u64 {
        self.made.len() as u64
    }

    /// Drops the groups of this memory.
    pub fn forget(&mut self, ids: &[u64]) {
        if !ids.is_empty() {
            self.made.retain(|(_, buffers), _| !buffers.iter().any(|(id, _)| ids.contains(id)));
        }
    }
}
