//! What the tests of Sunday's promises share: the real binaries, a client, and an oracle.
//!
//! ```text
//!  tests/tests/*.rs ─▶ binaries ─▶ process (sunday serve, command-api, …) ◀─HTTP─ client
//!                          oracle: the same history, folded by hand  ═══ compared with what is served
//! ```
//!
//! Invariant: nothing here links the code under test. What Sunday promises is seen from outside.
//!
//! Everything here may panic: that is how a test says what it expected.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this crate is used by tests only"
)]

mod binaries;
mod client;
mod files;
pub mod oracle;
mod process;
pub mod random;
pub mod scan;
mod sunday;

pub use binaries::{cargo, workspace_root};
pub use client::{Answer, Client, Connection};
pub use files::copy;
pub use process::{Process, command, free_addr};
pub use sunday::{Sunday, import, run, verify};

use std::path::PathBuf;

/// A history that ships with the repository.
#[must_use]
pub fn history(name: &str) -> PathBuf {
    workspace_root().join("tests").join("data").join(name)
}

/// How much a test does: what a variable says, or else what it does everywhere.
#[must_use]
pub fn size(variable: &str, usual: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return usual };
    text.replace('_', "").parse().unwrap_or_else(|_| panic!("{variable}={text} is no number"))
}
