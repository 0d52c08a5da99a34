//! Queries over HTTP, each figure beside a ceiling measured in the same run.
//!
//! `cargo bench -p benches --bench reads [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]
//! [--runs <n>] [--items <n>]`.
//! The server is `query-api` as it is released, over a data directory that this program fills through the log's own writer.
//! The load comes from one thread of this process, on the same cores. The ceiling of an answer is the same bytes given by a
//! handler that does nothing else, in the same frame and server. Ceiling and server take turns; what is said is the median
//! of the runs and their spread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod figures;

use benches::{Bench, child, machine, query_api};
use std::path::Path;

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if let Some(said) = child("--child-empty") {
        return query_api::serve_empty(&said[0], Path::new(&said[1]));
    }
    let mut bench = Bench::of_arguments(&[("--items", "n")]);
    machine::assert_on_disk(&bench.dir);
    let binary = query_api::build(benches::root(), &["query-api"]);
    eprintln!("{}", machine::describe(&bench.dir));
    let items = bench.number("--items").unwrap_or(if bench.quick { 50_000 } else { 1_000_000 });
    figures::run(&mut bench, &binary, items);
    bench.finish();
}
