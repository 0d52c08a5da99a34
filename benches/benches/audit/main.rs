//! What the transparency log costs whoever asks, and how far it is behind.
//!
//! `cargo bench -p benches --bench audit [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]
//! [--runs <n>] [--events <n>]`.
//! The servers are `query-api` and `projector` as they are released, over a data directory that this program fills through
//! the log's own writer. The load comes from this process, on the same cores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod fill;
mod lag;
mod proofs;

use benches::{Bench, child, machine, query_api};
use std::path::Path;

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if let Some(said) = child("--child-empty") {
        return query_api::serve_empty(&said[0], Path::new(&said[1]));
    }
    let mut bench = Bench::of_arguments(&[("--events", "n")]);
    machine::assert_on_disk(&bench.dir);
    let query_api = query_api::build(benches::root(), &["query-api", "projector"]);
    eprintln!("{}", machine::describe(&bench.dir));
    // Of the log whose proofs are asked for.
    let events = bench.number("--events").unwrap_or(if bench.quick { 500_000 } else { 10_000_000 });
    proofs::run(&mut bench, &query_api, events as u64);
    lag::run(&mut bench, &query_api.with_file_name("projector"));
    bench.finish();
}
