//! Promise: a backup is the log as it was at one moment, whoever writes meanwhile; what does not verify is neither filed nor
//! restored; a crash anywhere leaves what was there before; and what was signed of a store is kept by whatever has its name.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/traced.rs"]
mod traced;

mod crash;
mod incremental;
mod origin;
mod place;
mod rot;
mod sound;
mod taken;
mod targets;
