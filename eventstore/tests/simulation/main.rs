//! The log on a disk that loses what was not synced, lies about syncs, runs full and rots, run by run from one seed.
//!
//! ```text
//!  seed ─▶ clients ─▶ engine, its crank turned in any order ─▶ simulated disk ─▶ kill or power cut, at any operation
//!                          │ answers, readers                                        │
//!                          ▼                                                         ▼
//!                        oracle ◀──────────── what was recovered ◀──────────── another engine
//! ```
//!
//! `SUNDAY_SIM_SEED=n` with `-- --nocapture` runs that seed alone and prints its trace. `SUNDAY_SIM_SECONDS=n` lets `soak` run that long, on all
//! cores, from the seed in `SUNDAY_SIM_FROM` on (or one drawn by chance).
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod compare;
mod dice;
mod disk;
mod faults;
mod history;
mod oracle;
mod process;
mod run;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod workload;
mod world;

use run::run;
use soak::{number, soak_through};
use std::time::Duration;

/// Seeds that every test run goes through.
const FIXED: u64 = 200;

/// The one seed that was asked for: then nothing else is run.
fn asked_for() -> Option<u64> {
    number("SUNDAY_SIM_SEED")
}

#[test]
fn fixed_seeds_keep_all_promises() {
    if let Some(seed) = asked_for() {
        match run(seed, true) {
            Ok(outcome) => eprintln!("seed {seed}: kept all promises; hash {:016x}", outcome.hash),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let tally = soak_through(0, Some(FIXED), Duration::MAX);
    // A simulation in which nothing goes wrong shows nothing.
    for fault in ["power cuts", "kills", "acknowledged events", "refusals", "fault sync error", "fault rot"] {
        assert!(tally.get(fault) > 0, "no {fault}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    if asked_for().is_some() {
        return;
    }
    for seed in [3, 14, 159, 2_653] {
        let hashes = [run(seed, false), run(seed, false)].map(|outcome| match outcome {
            Ok(outcome) => outcome.hash,
            Err(failure) => panic!("{failure}"),
        });
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}

/// New seeds with every run; an hour of them when `SUNDAY_SIM_SECONDS=3600`.
#[test]
fn soak() {
    if asked_for().is_some() {
        return;
    }
    let from = number("SUNDAY_SIM_FROM").unwrap_or_else(|| u64::from(uuid::Uuid::new_v4().as_fields().0));
    let seconds = number("SUNDAY_SIM_SECONDS").unwrap_or(2);
    eprintln!("seeds from {from} on, for {seconds} s");
    soak_through(from, None, Duration::from_secs(seconds));
}
