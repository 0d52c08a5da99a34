//! The log alone, each figure beside a ceiling measured in the same run.
//!
//! `cargo bench -p benches --bench log [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]`.
//! A line for people goes to stderr as each figure is ready, data to stdout. Ceiling and log take turns, so that
//! whatever else the machine does meets both; what is said is the median of the runs and their spread.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod append;
mod backup;
mod bare;
mod delivery;
mod figure;
mod load;
mod machine;
mod reads;
mod shared;
mod size;
mod verify;

use figure::{Figure, Printer};
use std::path::{Path, PathBuf};

/// The allocator of the binaries: what request threads allocate, the writer frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What all figures need to know.
pub(crate) struct Bench {
    /// Where data goes: a real disk.
    dir: PathBuf,
    quick: bool,
    runs: usize,
    /// Parts of names; a figure is measured when its name has one of them. None: all are.
    only: Vec<String>,
    printer: Printer,
}

impl Bench {
    fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| figure.contains(part.as_str()))
    }

    fn print(&mut self, figure: Figure) {
        self.printer.figure(figure);
    }
}

const USAGE: &str = "options: --quick, --json, --markdown, --only <part of a figure's name> (more than one is fine), --dir <directory>, --runs <n>";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut quick, mut json, mut markdown) = (false, false, false);
    let (mut only, mut dir, mut runs) = (Vec::new(), None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value; {USAGE}"));
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = true,
            "--markdown" => markdown = true,
            "--only" => only.push(value()),
            "--dir" => dir = Some(PathBuf::from(value())),
            "--runs" => runs = Some(value().parse().expect("--runs is a number")),
            // Cargo says this to every bench.
            "--bench" => {}
            // What this bench says to itself.
            "--child-delivery" => return delivery::child(Path::new(&value()), Path::new(&value())),
            "--child-memory" => return size::memory_child(Path::new(&value()), value().parse().unwrap()),
            other => panic!("{other} is not an option; {USAGE}"),
        }
    }
    let dir = dir.unwrap_or_else(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
    });
    std::fs::create_dir_all(&dir).unwrap();
    machine::assert_on_disk(&dir);
    eprintln!("{}", machine::describe(&dir));
    eprintln!(
        "device bytes written: of the whole block device (/sys), zeros of new segments included; read: of this process"
    );
    let runs = runs.unwrap_or(if quick { 3 } else { 5 });
    let mut bench = Bench { dir, quick, runs, only, printer: Printer::new(json, markdown) };
    append::run(&mut bench);
    reads::streams(&mut bench);
    reads::scan(&mut bench);
    verify::run(&mut bench);
    backup::run(&mut bench);
    delivery::run(&mut bench);
    size::open(&mut bench);
    size::memory(&mut bench);
    bench.printer.finish();
}
