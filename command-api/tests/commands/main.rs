//! The command API from outside, without a socket: what it takes, refuses, remembers and says of itself.
//!
//! One program, because every program that is linked costs as much time as its tests. Those that need a process of their
//! own (thousands of connections, figures) are beside it.

#![allow(clippy::needless_pass_by_value, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod batch;
mod common;
mod concurrency;
mod conditions;
mod consumers;
mod document;
mod http;
mod idempotency;
mod schemas;
mod streams;
