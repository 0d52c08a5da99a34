//! The world of a run: a disk that crashes, a clock that jumps, randomness that can be drawn again.

use crate::dice::Dice;
use crate::disk::Disk;
use eventstore::Timestamp;
use eventstore::storage::{Clock, Environment, Random};
use parking_lot::Mutex;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// What has always been there.
const HOME: &str = "srv";

/// Where the log of a run is. Whoever opens it first makes it.
pub fn data_dir() -> &'static Path {
    Path::new("/srv/sunday")
}

/// Some day in 2026, ns since 1970.
const START: i64 = 1_780_000_000_000_000_000;

pub struct World {
    pub disk: Disk,
    clock: Arc<SimulatedClock>,
    random: Arc<SimulatedRandom>,
}

impl World {
    pub fn new(dice: &mut Dice, verbose: bool) -> Self {
        Self {
            disk: Disk::new(dice.child(), HOME, verbose),
            clock: Arc::new(SimulatedClock(AtomicI64::new(START))),
            random: Arc::new(SimulatedRandom(Mutex::new(dice.child()))),
        }
    }

    /// The world as the process that lives now sees it.
    pub fn environment(&self) -> Environment {
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        Environment { storage: self.disk.storage(), clock, random }
    }

    /// Moves the clock, forward or back.
    pub fn jump(&self, nanoseconds: i64) {
        self.clock.0.fetch_add(nanoseconds, Relaxed);
    }
}

/// Every look at it takes a microsecond.
#[derive(Debug)]
struct SimulatedClock(AtomicI64);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::new(self.0.fetch_add(1_000, Relaxed))
    }
}

struct SimulatedRandom(Mutex<Dice>);

impl fmt::Debug for SimulatedRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedRandom")
    }
}

impl Random for SimulatedRandom {
    fn bytes(&self) -> [u8; 16] {
        let mut dice = self.0.lock();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&dice.next().to_le_bytes());
        bytes[8..].copy_from_slice(&dice.next().to_le_bytes());
        bytes
    }
}
