//! Many runs, one per core at a time, until the time is over or a promise is broken.

use crate::faults::Tally;
use crate::run::{Failure, run};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// A number from the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs the seeds from `from` on, all `count` of them or as many as there is time for. Panics at the first finding.
pub fn soak_through(from: u64, count: Option<u64>, time: Duration) -> Tally {
    let began = Instant::now();
    let next = AtomicU64::new(from);
    let end = count.map(|count| from + count);
    let shared: Mutex<(Tally, Instant, Option<Box<Failure>>)> = Mutex::new((Tally::default(), began, None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while began.elapsed() < time {
                    let seed = next.fetch_add(1, Relaxed);
                    if end.is_some_and(|end| seed >= end) || shared.lock().2.is_some() {
                        return;
                    }
                    let outcome = run(seed, false);
                    let mut shared = shared.lock();
                    let (tally, told, failed) = &mut *shared;
                    match outcome {
                        Ok(outcome) => tally.take_in(&outcome.tally),
                        // The smallest seed, so that fixed seeds fail with the same one every time.
                        Err(failure) if failed.as_ref().is_none_or(|other| failure.seed < other.seed) => {
                            *failed = Some(failure);
                        }
                        Err(_) => {}
                    }
                    if told.elapsed() >= PROGRESS_EVERY {
                        *told = Instant::now();
                        eprintln!("{:5} s: {}", began.elapsed().as_secs(), line(tally));
                    }
                }
            });
        }
    });
    let (tally, _, failed) = shared.into_inner();
    if let Some(failure) = failed {
        panic!("{failure}");
    }
    eprintln!("{}", line(&tally));
    tally
}

fn line(tally: &Tally) -> String {
    let counts = ["seeds", "power cuts", "kills", "recoveries", "acknowledged events", "refusals"];
    let counts = counts.map(|what| format!("{} {what}", tally.get(what))).join(", ");
    format!("{counts}; seen: {}; faults: {}", tally.of("seen "), tally.of("fault "))
}
