//! The log on a disk that loses what was not synced, lies about syncs, runs full and rots, run by run from one seed.
//!
//! ```text
//!  seed ─▶ clients ─▶ engine, its crank turned in any order ─▶ simulated disk ─▶ kill or power cut, at any operation
//!                          │ answers, readers                                        │
//!                          ▼                                                         ▼
//!                        oracle ◀──────────── what was recovered ◀──────────── another engine
//! ```
//!
//! `SUNDAY_SIM_SEED=n` runs one seed and prints its trace; `SUNDAY_SIM_SECONDS=n` lets `soak` run that long.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod dice;
mod disk;
mod faults;
mod history;
mod oracle;
mod process;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod workload;
mod world;

use run::run;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

#[test]
fn fixed_seeds() {
    if let Some(seed) = number("SUNDAY_SIM_SEED") {
        let outcome = run(seed, true);
        eprintln!("{outcome:?}");
        assert!(outcome.is_ok());
        return;
    }
    let from = number("SUNDAY_SIM_FROM").unwrap_or(0);
    for seed in from..from + number("SUNDAY_SIM_COUNT").unwrap_or(100) {
        match run(seed, false) {
            Ok(_) => {}
            Err(failure) => {
                eprintln!("{}", failure.trace);
                panic!("seed {seed}: {}", failure.finding);
            }
        }
    }
}
