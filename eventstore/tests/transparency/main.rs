//! The transparency log: trees, proofs and notes, judged by implementations that know nothing of ours.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

#[path = "../support/mod.rs"]
mod support;

mod figures;
mod files;
mod grown;
mod journal;
mod judged;
mod leaves;
mod notes;
mod policy;
mod tree;
mod vectors;
mod witness;
