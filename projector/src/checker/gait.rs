//! How fast a check goes: so much of one core and no more, and no further once it is stopped.

use std::time::{Duration, Instant};

/// Works this long before it rests, at most a little longer.
const STRIDE: Duration = Duration::from_millis(5);

/// It was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Keeps somebody who works from working more than a share of the time.
pub(crate) struct Gait<'a> {
    /// Time to rest for each time worked.
    rest: u32,
    is_stopped: &'a dyn Fn() -> bool,
    since: Instant,
}

impl<'a> Gait<'a> {
    /// Works one part in `one_in` of the time; 1 is without rest.
    pub(crate) fn new(one_in: u32, is_stopped: &'a dyn Fn() -> bool) -> Self {
        Self { rest: one_in.max(1) - 1, is_stopped, since: Instant::now() }
    }

    /// Rests if it is time to. To be called now and then, without locks.
    pub(crate) fn breathe(&mut self) -> Result<(), Stopped> {
        let worked = self.since.elapsed();
        if worked >= STRIDE {
            if (self.is_stopped)() {
                return Err(Stopped);
            }
            if self.rest > 0 {
                // Whoever was kept from working by others has rested already, in part: no more than this.
                std::thread::sleep(worked.min(STRIDE * 4) * self.rest);
            }
            self.since = Instant::now();
        }
        Ok(())
    }
}
