//! Verification beside hashing alone.

use crate::reads::fill_batches;
use benches::Bench;
use benches::bare::Pieces;
use benches::figure::{Figure, Goal, Run, Runs};
use benches::machine;
use eventstore::TreeSize;
use eventstore::storage::Environment;
use eventstore::verify::{Asked, VerifyOptions, verify_with};
use std::time::Instant;

const SORTS: &str = "sort_unstable of as many 64-bit numbers, in 1024 parts, as many threads";
const HASHES: &str = "SHA-256 + CRC-32 alone over the same bytes in pieces of a frame, as many threads";

pub(crate) fn run(bench: &mut Bench) {
    for batch in [100, 1] {
        alone(bench, batch);
    }
    with_tree(bench);
    ids(bench);
}

/// The tree beside the log: what it costs on top is hashing one more record an event, and its way up.
fn with_tree(bench: &mut Bench) {
    let (name, per_core) = ("verify with the tree, 100 a commit, 256 B", "verify with the tree: per core");
    if !bench.wants(name) && !bench.wants(per_core) {
        return;
    }
    let events: u64 = if bench.quick { 400_000 } else { 2_000_000 };
    let scratch = machine::scratch(&bench.dir);
    let _ = fill_batches(scratch.path(), events, 100);
    let verified = |options: &VerifyOptions<'_>, by_cpu: &mut Vec<Run>| {
        let (began, cpu) = (Instant::now(), machine::cpu_ns());
        let report = verify_with(&Environment::default(), scratch.path(), options, &mut |_| true).unwrap();
        assert!(report.is_intact() && report.events == events, "{:?}", report.findings);
        assert!(report.reached.iter().all(|(_, reached)| reached.root.is_some()));
        let seconds = began.elapsed().as_secs_f64();
        let cpu_seconds = (machine::cpu_ns() - cpu) as f64 / 1e9;
        by_cpu.push(Run { value: events as f64 / cpu_seconds, ..Run::default() });
        Run { value: events as f64 / seconds, ..Run::default() }
    };
    let asked = VerifyOptions {
        asked: vec![Asked { size: TreeSize::new(events), chain: None }],
        ..VerifyOptions::default()
    };
    let (mut without_cpu, mut with_cpu) = (Vec::new(), Vec::new());
    let runs = Runs::alternate(
        bench.runs,
        || verified(&VerifyOptions::default(), &mut without_cpu),
        || verified(&asked, &mut with_cpu),
    );
    let figure = Figure::new(name, "events/s", runs).ceiling_is("verify without the tree");
    bench.print(figure.goals(&[Goal::AtLeast(1_500_000.0)]).with("threads", machine::cores()));
    let by_cpu = Runs { ours: with_cpu, ceiling: without_cpu };
    bench.print(
        Figure::new(per_core, "events/s", by_cpu).ceiling_is("the same, per second of processor time"),
    );
}

/// That no id stands twice, which is seen after all has been read: in memory, and in a file where there is room for a twentieth.
fn ids(bench: &mut Bench) {
    let names = ["ids sorted in memory", "ids sorted by way of a file"];
    if !names.iter().any(|name| bench.wants(name)) {
        return;
    }
    let events: u64 = if bench.quick { 400_000 } else { 4_000_000 };
    let scratch = machine::scratch(&bench.dir);
    let _ = fill_batches(scratch.path(), events, 100);
    for (name, ids_memory) in names.into_iter().zip([0, events as usize * 8 / 20]) {
        if !bench.wants(name) {
            continue;
        }
        let options = VerifyOptions { ids_memory, ..VerifyOptions::default() };
        let runs = Runs::alternate(
            bench.runs,
            || Run { value: events as f64 / sort_alone(events), ..Run::default() },
            || {
                let report = verify_with(&Environment::default(), scratch.path(), &options, &mut |_| true);
                let report = report.unwrap();
                assert!(report.is_intact() && report.events == events, "{:?}", report.findings);
                Run { value: events as f64 / report.ids_took.as_secs_f64(), ..Run::default() }
            },
        );
        bench.print(Figure::new(name, "ids/s", runs).ceiling_is(SORTS).with("events", events));
    }
}

/// Seconds that sorting takes, where somebody has put all numbers in their parts already.
fn sort_alone(count: u64) -> f64 {
    let mut parts = vec![Vec::new(); 1024];
    for number in 0..count {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (number << 32);
        parts[(mixed >> 54) as usize].push(mixed);
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        for share in parts.chunks_mut(1024_usize.div_ceil(machine::cores())) {
            scope.spawn(move || share.iter_mut().for_each(|part: &mut Vec<u64>| part.sort_unstable()));
        }
    });
    began.elapsed().as_secs_f64()
}

fn alone(bench: &mut Bench, batch: u64) {
    let name = format!("verify, {batch} a commit, 256 B");
    let per_core = format!("{name}: per core");
    if !bench.wants(&name) && !bench.wants(&per_core) {
        return;
    }
    let events: u64 = match (batch, bench.quick) {
        (100, quick) => {
            if quick {
                400_000
            } else {
                2_000_000
            }
        }
        (_, quick) => {
            if quick {
                200_000
            } else {
                1_000_000
            }
        }
    };
    let scratch = machine::scratch(&bench.dir);
    let frame = fill_batches(scratch.path(), events, batch);
    let pieces = Pieces::of(scratch.path(), frame);
    let mut by_cpu = Runs::default();
    let (mut ceiling_cpu, mut our_cpu) = (Vec::new(), Vec::new());
    let timed = |work: &mut dyn FnMut() -> u64, by_cpu: &mut Vec<Run>| {
        let (began, cpu) = (Instant::now(), machine::cpu_ns());
        let bytes = work();
        let seconds = began.elapsed().as_secs_f64();
        let cpu_seconds = (machine::cpu_ns() - cpu) as f64 / 1e9;
        by_cpu.push(Run { value: events as f64 / cpu_seconds, bytes, device_bytes: None });
        Run { value: events as f64 / seconds, bytes, device_bytes: None }
    };
    let runs = Runs::alternate(
        bench.runs,
        || {
            timed(
                &mut || {
                    pieces.sha_and_crc(machine::cores());
                    pieces.bytes()
                },
                &mut ceiling_cpu,
            )
        },
        || {
            timed(
                &mut || {
                    let report = eventstore::verify(scratch.path(), &mut |_| {}).unwrap();
                    assert!(report.is_intact(), "{:?}", report.findings);
                    assert_eq!(report.events, events);
                    // What the report counts are whole files; what is hashed is what is used of them.
                    pieces.bytes()
                },
                &mut our_cpu,
            )
        },
    );
    by_cpu.ceiling = ceiling_cpu;
    by_cpu.ours = our_cpu;
    bench.print(
        Figure::new(name, "events/s", runs)
            .ceiling_is(HASHES)
            .goals(&[Goal::RatioAtLeast(0.8)])
            .with("events", events)
            .with("threads", machine::cores()),
    );
    bench.print(
        Figure::new(per_core, "events/s", by_cpu)
            .ceiling_is("the same, per second of processor time")
            .goals(&[Goal::AtLeast(2_000_000.0)])
            .with("events", events),
    );
}
