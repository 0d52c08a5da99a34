//! What size costs: opening ten million events, remembering ten million streams.

use crate::load::{self, Payloads, Random};
use crate::reads::fill_batches;
use benches::Bench;
use benches::bare;
use benches::figure::{Figure, Goal, Run, Runs};
use benches::machine;
use eventstore::{CommitBuilder, Log, Store};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const STREAMS_PER_COMMIT: u64 = 100;

pub(crate) fn open(bench: &mut Bench) {
    let events: u64 = if bench.quick { 500_000 } else { 10_000_000 };
    let names =
        ["Store::open", "Log::open_offline"].map(|what| format!("{what}, {} events", millions(events)));
    if !names.iter().any(|name| bench.wants(name)) {
        return;
    }
    let scratch = machine::scratch(&bench.dir);
    let data_dir = scratch.path();
    fill_batches(data_dir, events, 100);
    for (name, writer) in names.into_iter().zip([true, false]) {
        if !bench.wants(&name) {
            continue;
        }
        let runs = Runs::alternate(
            bench.runs,
            || read_last(data_dir),
            || {
                let (began, seconds);
                if writer {
                    began = Instant::now();
                    let store = Store::open(data_dir, &load::options(128 << 20)).unwrap();
                    seconds = began.elapsed().as_secs_f64();
                    assert_eq!(store.watermark().get(), events);
                    store.close();
                } else {
                    began = Instant::now();
                    let log = Log::open_offline(data_dir).unwrap();
                    seconds = began.elapsed().as_secs_f64();
                    assert_eq!(log.watermark().get(), events);
                }
                Run { value: seconds, ..Run::default() }
            },
        );
        bench.print(
            Figure::new(name, "s", runs)
                .ceiling_is("reading the used bytes of the last segment")
                .goals(&[Goal::AtMost(0.5)])
                .with("events", events)
                .with("segments", machine::segments(data_dir).len())
                .with("page_cache", "warm"),
        );
    }
}

fn millions(events: u64) -> String {
    if events < 1_000_000 { format!("{}k", events / 1000) } else { format!("{}M", events / 1_000_000) }
}

/// Seconds to read what is used of the last segment in use.
fn read_last(data_dir: &Path) -> Run {
    let mut last = machine::segments(data_dir).into_iter().map(|path| (bare::used_bytes(&path), path));
    let (used, path) = last.rfind(|(used, _)| *used > 0).unwrap();
    let file = File::open(path).unwrap();
    let mut buffer = vec![1; 1 << 20];
    let began = Instant::now();
    let mut offset = 0;
    while offset < used {
        let piece = (used - offset).min(buffer.len() as u64);
        file.read_exact_at(&mut buffer[..piece as usize], offset).unwrap();
        std::hint::black_box(&buffer);
        offset += piece;
    }
    Run { value: began.elapsed().as_secs_f64(), bytes: used, device_bytes: None }
}

pub(crate) fn memory(bench: &mut Bench) {
    let streams: u64 = if bench.quick { 300_000 } else { 10_000_000 };
    let name = |moment: &str, kind: &str| {
        format!("{kind} memory per stream, {} streams, {moment}", millions(streams))
    };
    let moments = [("opened", "opened"), ("random", "1 in 10 touched at random"), ("all", "all touched")];
    let kinds = [("anon", "anonymous"), ("file", "file-mapped")];
    let all = moments.iter().flat_map(|(_, moment)| kinds.map(|(_, kind)| name(moment, kind)));
    if !all.into_iter().any(|name| bench.wants(&name)) {
        return;
    }
    let scratch = machine::scratch(&bench.dir);
    let payloads = Payloads::new(64);
    let commits = (0..streams / STREAMS_PER_COMMIT).map(|number| {
        let mut commit = CommitBuilder::new();
        for stream in number * STREAMS_PER_COMMIT..(number + 1) * STREAMS_PER_COMMIT {
            commit.event(payloads.event(&load::stream(stream), stream));
        }
        commit.prepare().unwrap()
    });
    load::fill(scratch.path(), &load::options(128 << 20), commits);

    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--child-memory")
        .arg(scratch.path())
        .arg(streams.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let grown: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (moment, moment_name) in moments {
        for (kind, kind_name) in kinds {
            let name = name(moment_name, kind_name);
            if !bench.wants(&name) {
                continue;
            }
            let bytes = grown[moment][kind].as_f64().unwrap();
            // Mapped pages are the page cache's: the kernel takes them back when it needs them.
            let goals: &[Goal] = if kind == "anon" { &[Goal::AtMost(32.0)] } else { &[] };
            let figure = Figure::counted(name, "B", bytes / streams as f64).goals(goals);
            bench.print(figure.with("streams", streams).with("bytes_in_all", bytes));
        }
    }
}

/// What the fresh process runs: how much it grows by opening the log and by touching its streams.
pub(crate) fn memory_child(data_dir: &Path, streams: u64) {
    let before = machine::resident();
    let grown = || {
        let (anon, file) = machine::resident();
        json!({
            "anon": anon as i64 - before.0 as i64,
            "file": file as i64 - before.1 as i64,
        })
    };
    let log = Log::open_offline(data_dir).unwrap();
    let opened = grown();
    let touch = |number: u64| {
        assert!(log.stream_version(&load::stream(number)).unwrap().is_some(), "stream {number} is missing");
    };
    let mut random = Random(1);
    for _ in 0..streams / 10 {
        touch(random.below(streams));
    }
    let touched = grown();
    (0..streams).for_each(touch);
    println!("{}", json!({"opened": opened, "random": touched, "all": grown()}));
}
