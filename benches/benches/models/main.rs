//! The read models and the search index alone, without a server: what they take of memory, and how fast they are made.
//!
//! `cargo bench -p benches --bench models [-- --quick] [--json | --markdown] [--only <part of a name>] [--dir <directory>]
//! [--runs <n>] [--items <n>] [--data-dir <a data directory that nobody writes>] [--documents <n>]`.
//! The log is written through its own writer, or is that of `--data-dir`. Memory is what the models asked the allocator for
//! and still have. The ceiling of making them is reading the log alone; that of the index, tantivy alone, which is given the
//! same finished documents. Beside each wall time stands the processor time, which other work on the machine disturbs less.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod counting;
mod lives;
mod searches;

use benches::figure::{Figure, Goal, Run, Runs};
use benches::{Bench, machine, world};
use counting::Counting;
use eventstore::{Log, Store};
use projector::activity::Activity;
use projector::analytics::Analytics;
use projector::decode::DecodedCommit;
use projector::{Models, ReadModel, SharedModels, search};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

const SCAN: &str = "reading the log alone";

fn main() {
    let own = [("--items", "n"), ("--data-dir", "a data directory that nobody writes"), ("--documents", "n")];
    let mut bench = Bench::of_arguments(&own);
    let dir = bench.dir.clone();
    eprintln!("{}", machine::describe(&dir));
    let items = bench.number("--items").unwrap_or(if bench.quick { 50_000 } else { 1_000_000 });
    match bench.said("--data-dir").map(|dir| Log::open_offline(Path::new(dir)).unwrap()) {
        Some(log) => measure(&mut bench, &log, "of that directory", &dir),
        None => {
            let scratch = machine::scratch(&dir);
            let store = Store::open(scratch.path(), &Default::default()).unwrap();
            eprintln!("  {items} items are written");
            world::items(&store, items);
            memory(&mut bench, &store.log(), "of items that were created", items);
            eprintln!("  their lives are written");
            lives::append(&store, items);
            measure(&mut bench, &store.log(), "of items with some life behind them", &dir);
            store.close();
            // Fewer than the goal speaks of, unless they are asked for: writing two million takes minutes.
            let documents =
                bench.number("--documents").unwrap_or(if bench.quick { 100_000 } else { 500_000 });
            searches::searches(&mut bench, &dir, documents);
        }
    }
    bench.finish();
}

fn measure(bench: &mut Bench, log: &Log, of: &str, dir: &Path) {
    let items = items_of(log);
    memory(bench, log, of, items);
    speed(bench, log);
    index(bench, log, dir);
}

/// What each model has of memory, per item.
fn memory(bench: &mut Bench, log: &Log, of: &str, items: usize) {
    if !bench.wants("memory per item") {
        return;
    }
    let parts = [
        ("models", held::<Models>(log)),
        ("activity", held::<Activity>(log)),
        ("analytics", held::<Analytics>(log)),
    ];
    let all: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    for (part, bytes) in parts {
        let name = format!("memory per item, {part}, {items} {of}");
        bench.print(Figure::counted(name, "bytes", bytes as f64 / items as f64));
    }
    let figure =
        Figure::counted(format!("memory per item, {items} {of}"), "bytes", all as f64 / items as f64);
    bench.print(figure.goals(&[Goal::AtMost(1_024.0)]));
}

/// Events a second: of the log alone, decoded, and taken in.
fn speed(bench: &mut Bench, log: &Log) {
    let scans = runs(bench, "scan", log, || {
        log.commits(Default::default())
            .map(|commit| {
                commit
                    .unwrap()
                    .events()
                    .map(|event| usize::from(black_box(event.payload()).len() < usize::MAX))
                    .sum::<usize>()
            })
            .sum()
    });
    let decodes = runs(bench, "decode", log, || {
        let commits = log.commits(Default::default());
        commits.map(|commit| black_box(DecodedCommit::decode(&commit.unwrap())).events.len()).sum()
    });
    let rebuilds = runs(bench, "rebuild", log, || {
        let store = log.store_id();
        let (mut models, mut activity, mut analytics) =
            (Models::begin(store), Activity::begin(store), Analytics::begin(store));
        for commit in log.commits(Default::default()) {
            let commit = commit.unwrap();
            let decoded = DecodedCommit::decode(&commit);
            models.apply(&decoded).unwrap();
            ReadModel::apply(&mut activity, &decoded).unwrap();
            ReadModel::apply(&mut analytics, &decoded).unwrap();
        }
        usize::try_from(models.checkpoint().next.get()).unwrap()
    });
    for (name, runs, goals) in [
        ("log read alone", scans.clone(), &[][..]),
        ("decoding alone", decodes, &[]),
        ("rebuild of the in-memory models", rebuilds, &[Goal::AtLeast(500_000.0)]),
    ] {
        if bench.wants(name) {
            let runs = Runs { ours: runs, ceiling: scans.clone() };
            bench.print(Figure::new(name, "events/s", runs).ceiling_is(SCAN).goals(goals));
        }
    }
}

fn runs(bench: &Bench, name: &str, log: &Log, mut run: impl FnMut() -> usize) -> Vec<Run> {
    if !["log read alone", "decoding alone", "rebuild of the in-memory models"]
        .iter()
        .any(|name| bench.wants(name))
    {
        return Vec::new();
    }
    let events = log.watermark().get() as f64;
    let mut runs = Vec::new();
    for _ in 0..bench.runs {
        let (began, cpu) = (Instant::now(), machine::cpu_us_of(std::process::id()));
        assert_eq!(run() as f64, events, "{name} did not see all events");
        let seconds = began.elapsed().as_secs_f64();
        let cpu = machine::cpu_us_of(std::process::id()) - cpu;
        eprintln!("  {name}: {:.3} µs of processor an event, {seconds:.2} s", cpu / events);
        runs.push(Run { value: events / seconds, ..Run::default() });
    }
    runs
}

/// Documents a second, ours from models and log, and tantivy's alone.
fn index(bench: &mut Bench, log: &Log, dir: &Path) {
    let name = "index build";
    if !bench.wants(name) {
        return;
    }
    let mut models = Models::begin(log.store_id());
    for commit in log.commits(Default::default()) {
        models.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
    }
    let models = SharedModels::new(models);
    let (mut ours, mut ceiling) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let scratch = machine::scratch(dir);
        let documents = search::bare::documents(&models, log).unwrap();
        let count = documents.len() as f64;
        let took = |name: &str, run: &mut dyn FnMut()| {
            let (began, cpu) = (Instant::now(), machine::cpu_us_of(std::process::id()));
            run();
            let cpu = machine::cpu_us_of(std::process::id()) - cpu;
            eprintln!("  {name}: {:.2} µs of processor a document", cpu / count);
            Run { value: count / began.elapsed().as_secs_f64(), ..Run::default() }
        };
        let mut documents = Some(documents);
        ceiling.push(took("tantivy alone", &mut || {
            let bare = scratch.path().join("bare");
            search::bare::write(&bare, documents.take().unwrap()).unwrap();
        }));
        ours.push(took("index build", &mut || {
            search::bare::build(&scratch.path().join("ours"), &models, log).unwrap();
        }));
    }
    let figure = Figure::new(name, "documents/s", Runs { ours, ceiling });
    let figure = figure.ceiling_is("tantivy alone, given the same finished documents");
    bench.print(figure.goals(&[Goal::RatioAtLeast(0.8)]));
}

/// Items of which a log tells.
fn items_of(log: &Log) -> usize {
    log.commits(Default::default())
        .map(|commit| commit.unwrap().events().filter(|event| event.event_type() == "item.created").count())
        .sum::<usize>()
        .max(1)
}

/// Bytes that a model holds once it has taken everything in.
fn held<M: ReadModel>(log: &Log) -> usize {
    // What reading itself keeps is not the model's.
    for commit in log.commits(Default::default()) {
        black_box(DecodedCommit::decode(&commit.unwrap()));
    }
    let before = ALLOCATOR.live();
    let mut model = M::begin(log.store_id());
    for commit in log.commits(Default::default()) {
        model.apply(&DecodedCommit::decode(&commit.unwrap())).unwrap();
    }
    let held = ALLOCATOR.live() - before;
    drop(model);
    held
}
