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

#[path = "../log/figure.rs"]
#[allow(dead_code, reason = "the log's bench counts more")]
mod figure;
mod figures;
#[path = "../commands/load.rs"]
#[allow(dead_code, reason = "commands are sent in other ways, too")]
mod load;
#[path = "../commands/machine.rs"]
#[allow(dead_code, unused_imports, reason = "commands are measured with more care for the disk")]
mod machine;
mod server;
#[allow(dead_code, reason = "the models' bench lets its items live")]
mod world;

/// What the load generator asks of a bench of commands.
mod requests {
    pub(crate) const BATCH: usize = 1;
}

use figure::{Figure, Printer};
use std::path::{Path, PathBuf};

/// The allocator of the binaries.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What all figures need to know.
pub(crate) struct Bench {
    /// Where data goes: a real disk.
    dir: PathBuf,
    quick: bool,
    runs: usize,
    items: usize,
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

const USAGE: &str = "options: --quick, --json, --markdown, --only <part of a figure's name> (more than one is fine), \
                     --dir <directory>, --runs <n>, --items <n>";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut quick, mut json, mut markdown) = (false, false, false);
    let (mut only, mut dir, mut runs, mut items) = (Vec::new(), None, None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value; {USAGE}"));
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = true,
            "--markdown" => markdown = true,
            "--only" => only.push(value()),
            "--dir" => dir = Some(PathBuf::from(value())),
            "--runs" => runs = Some(value().parse().expect("--runs is a number")),
            "--items" => items = Some(value().parse().expect("--items is a number")),
            // Cargo says this to every bench.
            "--bench" => {}
            // What this bench says to itself.
            "--child-empty" => {
                let address = value();
                return server::serve_empty(&address, Path::new(&value()));
            }
            other => panic!("{other} is not an option; {USAGE}"),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = dir.unwrap_or_else(|| {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
    });
    std::fs::create_dir_all(&dir).unwrap();
    machine::assert_on_disk(&dir);
    let binary = server::build(root, &["query-api"]);
    eprintln!("{}", machine::describe(&dir));
    let runs = runs.unwrap_or(if quick { 3 } else { 5 });
    let items = items.unwrap_or(if quick { 50_000 } else { 1_000_000 });
    let mut bench = Bench { dir, quick, runs, items, only, printer: Printer::new(json, markdown) };
    figures::run(&mut bench, &binary);
    bench.printer.finish();
}
