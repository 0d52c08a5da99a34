//! What the transparency log costs whoever asks, and how far it is behind.
//!
//! `cargo bench -p benches --bench audit [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]
//! [--runs <n>] [--events <n>]`.
//! The servers are `query-api` and `projector` as they are released, over a data directory that this program fills through
//! the log's own writer. The load comes from this process, on the same cores.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[path = "../log/figure.rs"]
#[allow(dead_code, reason = "the log's bench counts more")]
mod figure;
mod fill;
mod lag;
#[path = "../commands/machine.rs"]
#[allow(dead_code, unused_imports, reason = "commands are measured with more care for the disk")]
mod machine;
mod proofs;
#[path = "../reads/server.rs"]
#[allow(dead_code, reason = "answers are counted elsewhere")]
mod server;

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
    /// Events of the log whose proofs are asked for.
    events: u64,
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
                     --dir <directory>, --runs <n>, --events <n>";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut quick, mut json, mut markdown) = (false, false, false);
    let (mut only, mut dir, mut runs, mut events) = (Vec::new(), None, None, None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value; {USAGE}"));
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = true,
            "--markdown" => markdown = true,
            "--only" => only.push(value()),
            "--dir" => dir = Some(PathBuf::from(value())),
            "--runs" => runs = Some(value().parse().expect("--runs is a number")),
            "--events" => events = Some(value().parse().expect("--events is a number")),
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
    let query_api = server::build(root, &["query-api", "projector"]);
    eprintln!("{}", machine::describe(&dir));
    let runs = runs.unwrap_or(if quick { 3 } else { 5 });
    let events = events.unwrap_or(if quick { 500_000 } else { 10_000_000 });
    let mut bench = Bench { dir, quick, runs, events, only, printer: Printer::new(json, markdown) };
    proofs::run(&mut bench, &query_api);
    lag::run(&mut bench, &query_api.with_file_name("projector"));
    bench.printer.finish();
}
