//! Small reads of the log on the thread of the request.
//!
//! To hand a read to a thread that may wait, and its result back, costs more than the read when its pages are in memory, as they
//! nearly always are. Whether they are is not known before. So it is tried: as long as no such read has had to wait for the
//! disk, they are made at once; after one that had to, all of them go to the threads that may wait, for a while. A runtime
//! thread waits for the disk ten times a second at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long nothing is tried after a read that had to wait.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether small reads are tried at once.
#[derive(Debug)]
pub(super) struct AtHand {
    began: Instant,
    /// Milliseconds since it began; nothing is tried before.
    not_before: AtomicU64,
}

impl AtHand {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), not_before: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads at once, if that is to be tried now; otherwise gives the read back.
    pub(super) fn try_read<T, R: FnOnce() -> T>(
        &self,
        waits: impl Fn() -> Option<u64>,
        read: R,
    ) -> Result<T, R> {
        let not_before = self.not_before.load(Ordering::Relaxed);
        if not_before > 0 && self.now() < not_before {
            return Err(read);
        }
        // Where nobody tells whether a read had to wait, none is tried.
        let Some(before) = waits() else { return Err(read) };
        let value = read();
        if waits() != Some(before) {
            let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
            self.not_before.store(self.now().saturating_add(pause), Ordering::Relaxed);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn after_a_read_that_had_to_wait_none_is_tried_for_a_while() {
        let (at_hand, waits) = (AtHand::new(), Cell::new(5));
        let told = || Some(waits.get());
        assert!(at_hand.try_read(told, || 1).is_ok());
        assert!(at_hand.try_read(told, || waits.set(6)).is_ok(), "it is only known afterwards");
        assert!(at_hand.try_read(told, || 1).is_err());
        // The while is over.
        at_hand.not_before.store(0, Ordering::Relaxed);
        assert!(at_hand.try_read(told, || 1).is_ok());
    }

    #[test]
    fn where_waiting_cannot_be_seen_nothing_is_tried() {
        assert!(AtHand::new().try_read(|| None, || 1).is_err());
    }
}
