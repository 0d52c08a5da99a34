//! The log alone, each figure beside a ceiling measured in the same run.
//!
//! `cargo bench -p benches --bench log [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]`.
//! A line for people goes to stderr as each figure is ready, data to stdout. Ceiling and log take turns, so that
//! whatever else the machine does meets both; what is said is the median of the runs and their spread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod append;
mod backup;
mod delivery;
mod load;
mod reads;
mod shared;
mod size;
mod verify;

use benches::{Bench, child, machine};
use std::path::Path;

/// The allocator of the binaries: what request threads allocate, the writer frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if let Some(said) = child("--child-delivery") {
        return delivery::child(Path::new(&said[0]), Path::new(&said[1]));
    }
    if let Some(said) = child("--child-memory") {
        return size::memory_child(Path::new(&said[0]), said[1].parse().unwrap());
    }
    let mut bench = Bench::of_arguments(&[]);
    machine::assert_on_disk(&bench.dir);
    eprintln!("{}", machine::describe(&bench.dir));
    eprintln!(
        "device bytes written: of the whole block device (/sys), zeros of new segments included; read: of this process"
    );
    append::run(&mut bench);
    reads::streams(&mut bench);
    reads::scan(&mut bench);
    verify::run(&mut bench);
    backup::run(&mut bench);
    delivery::run(&mut bench);
    size::open(&mut bench);
    size::memory(&mut bench);
    bench.finish();
}
