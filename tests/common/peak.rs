//! What a thread's work allocates at most at once: an allocator that counts, for test programs that
//! take this file in.

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

// SAFETY: `alloc` and `dealloc` pass everything on to the system's allocator. Moving a block counts it twice
// meanwhile.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        NOW.set(NOW.get().wrapping_add(layout.size()));
        // Wrapped below 0 by a block of before the measurement that was freed.
        if NOW.get() <= isize::MAX as usize {
            PEAK.set(PEAK.get().max(NOW.get()));
        }
        // SAFETY: the caller's promise about `layout` is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.set(NOW.get().wrapping_sub(layout.size()));
        // SAFETY: `alloc` had the block from the system's allocator, with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The most bytes this thread held at once during `work`, beyond what it held before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    NOW.set(0);
    PEAK.set(0);
    let result = work();
    (PEAK.get(), result)
}
