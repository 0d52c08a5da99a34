//! The notary: what it signs is what the log holds, every signature is kept, and none is ever contradicted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod crash;
mod keys;
mod refusals;
mod signing;
mod site;
