//! The allocator of the binaries, which counts what is asked for and not given back.
#![allow(unsafe_code, reason = "an allocator cannot be written without it; it hands everything on")]

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub(crate) struct Counting {
    live: AtomicUsize,
}

impl Counting {
    pub(crate) const fn new() -> Self {
        Self { live: AtomicUsize::new(0) }
    }

    /// Bytes that are in use, as mimalloc rounds them up: to an eighth at most.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }
}

/// The sizes that mimalloc has: multiples of a word up to eight words, then eight a doubling.
fn rounded(size: usize) -> usize {
    let words = size.div_ceil(8).max(1);
    if words <= 8 {
        // Two words at least are aligned by two.
        return 8 * if words > 1 { words.next_multiple_of(2) } else { 1 };
    }
    let step = 1 << (usize::BITS - 1 - (words - 1).leading_zeros() - 2);
    8 * words.next_multiple_of(step)
}

// SAFETY: every call is mimalloc's own, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.live.fetch_add(rounded(layout.size()), Relaxed);
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.live.fetch_add(rounded(layout.size()), Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.live.fetch_sub(rounded(layout.size()), Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.live.fetch_add(rounded(size), Relaxed);
        self.live.fetch_sub(rounded(layout.size()), Relaxed);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}
