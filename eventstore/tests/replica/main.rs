//! What a standby promises: it is its source byte for byte, it takes nothing else, it survives a crash at any point,
//! and it can become the log that is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod copying;
mod crash;
mod pair;
mod promotion;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
