//! A buffer that a thread uses again and again for what it encodes.
//!
//! One that grew anew for every commit would take fresh pages from the system at each step of its growth, and those cost more
//! than what is written into them.

use std::cell::Cell;

/// Longest buffer that is kept, bytes: some hundred events.
const KEPT_BYTES_MAX: usize = 256 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer, with room if this thread has given one back.
pub(crate) fn take() -> Vec<u8> {
    SPARE.take()
}

/// Keeps a buffer for the next who wants one.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    // What was never written into has no room, and must not take the place of what has.
    if (1..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_again_empty_and_not_kept_once_it_is_long() {
        let mut buffer = take();
        buffer.extend_from_slice(&[1; 1000]);
        give_back(buffer);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 1000);
        assert_eq!(take().capacity(), 0, "two at a time are two buffers");
        give_back(again);
        give_back(Vec::new());
        assert!(take().capacity() >= 1000, "one without room replaces none");
        give_back(vec![0; KEPT_BYTES_MAX + 1]);
        assert_eq!(take().capacity(), 0);
    }
}
