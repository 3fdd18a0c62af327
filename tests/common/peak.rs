//! Peak memory of a thread, measured by a counting allocator in test programs that include this file.

#![allow(unsafe_code)] // An allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: `alloc` and `dealloc` forward to the system allocator. A block that is being moved by `realloc` counts
// twice.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        NOW.set(NOW.get().wrapping_add(layout.size()));
        // Freeing a block that was allocated before the measurement makes the count wrap below 0.
        if NOW.get() <= isize::MAX as usize {
            PEAK.set(PEAK.get().max(NOW.get()));
        }
        // SAFETY: the caller guarantees what the system allocator requires of `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.set(NOW.get().wrapping_sub(layout.size()));
        // SAFETY: `block` comes from the system allocator with this layout, through `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The peak number of bytes that this thread allocated during `work`, beyond those it held before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    NOW.set(0);
    PEAK.set(0);
    let result = work();
    (PEAK.get(), result)
}
