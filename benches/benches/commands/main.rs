//! Commands over HTTP, each figure beside a ceiling measured in the same run.
//!
//! `cargo bench -p benches --bench commands [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]`.
//! The server is `command-api` as it is released, on a directory of a real disk, with authentication on; every answer
//! means that the event is on disk. The load comes from one thread of this process, on the same cores, and what that
//! costs is printed. Ceiling and server take turns; what is said is the median of the runs and their spread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod figures;
mod requests;
mod server;

use benches::{Bench, child, machine};
use std::path::Path;

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if let Some(said) = child("--child-empty") {
        return server::serve_empty(&said[0], Path::new(&said[1]));
    }
    let mut bench = Bench::of_arguments(&[]);
    machine::assert_on_disk(&bench.dir);
    let binary = server::build(benches::root());
    eprintln!("{}", machine::describe(&bench.dir));
    figures::run(&mut bench, &binary);
    bench.finish();
}
