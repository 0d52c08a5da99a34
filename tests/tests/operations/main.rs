//! Promise: what an operator has on a bad day works from the command line: backups beside a server at work, restores to a moment,
//! a doctor who says what is wrong and what to do, repairs that keep what they take away. `--json` is one object, everywhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

mod archives;
mod backups;
mod command;
mod doctor;
mod looking;
mod repairs;
mod sending;
