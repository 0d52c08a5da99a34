//! What the `sunday` command does, as a library, so that benches and tests can do it too.
//!
//! ```text
//!  sunday serve   ─▶ command-api + projector + query-api in one process
//!  sunday import  ─▶ a history through the command API
//!  sunday replay  ─▶ the log's events as JSON lines, or appended to another Sunday
//!  sunday rebuild ─▶ read models and search index anew; of a directory at rest, or asked of those who are at work
//!  sunday check   ─▶ read models and search index compared with the log, thing by thing
//!  sunday verify  ─▶ every byte of the log checked
//!  sunday follow  ─▶ a warm standby of a log elsewhere; sunday promote makes it the log that is written
//!  sunday backup  ─▶ a verified copy of the log, kept up to date; sunday restore makes a data directory of it
//!  sunday witness ─▶ cosigns what logs say of themselves; sunday rotate-key changes the key that ours says it with
//! ```
//!
//! Invariant: stdout carries results only; progress and logs go to stderr.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod asking;
pub mod check;
pub mod decisions;
pub mod failure;
pub mod follow;
pub mod import;
pub mod operations;
pub mod progress;
pub mod rebuild;
pub mod rebuild_online;
pub mod replay;
pub mod replay_online;
pub mod serve;
pub mod summary;
pub mod verify;
pub mod witness;
