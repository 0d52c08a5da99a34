//! The main job, measured from outside on real histories: import, replay, rebuild, verify, search, memory.
//!
//! `cargo bench -p benches --bench pipeline [-- --json] [--quick]`. It builds the release binaries, runs them as a user
//! would, and prints each figure beside a ceiling measured in the same run, because absolute figures of a shared
//! machine do not travel. The full tracker (`../shared/data/issues.jsonl.gz` beside the repository) is skipped with a
//! loud line where it is absent.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod ceiling;
mod http;
mod process;

use process::{Server, Sunday};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    let sunday = Sunday::build(&root);
    let mut print = Printer { json: flag("--json"), headed: false };

    let mut files = vec![root.join("tests/data/incidents.jsonl.gz")];
    let full = root.parent().unwrap().join("shared/data/issues.jsonl.gz");
    if flag("--quick") {
        eprintln!("--quick: the full tracker is left out");
    } else if full.exists() {
        files.push(full);
    } else {
        eprintln!("!!! SKIPPED: {} is not here; no figures on the full tracker !!!", full.display());
    }
    for file in files {
        measure(&sunday, &file, &mut print);
    }
}

struct Printer {
    json: bool,
    headed: bool,
}

impl Printer {
    fn figure(&mut self, file: &str, figure: &str, unit: &str, value: f64, ceiling: Option<(&str, f64)>) {
        let ratio = ceiling.map(|(_, ceiling)| value / ceiling);
        if self.json {
            println!(
                "{}",
                json!({
                    "file": file, "figure": figure, "unit": unit, "value": round(value),
                    "ceiling": ceiling.map(|(_, ceiling)| round(ceiling)),
                    "ceilingIs": ceiling.map(|(name, _)| name), "ratio": ratio.map(round),
                })
            );
            return;
        }
        if !self.headed {
            println!(
                "| file | figure | value | ceiling | ratio | the ceiling is |\n| --- | --- | ---: | ---: | ---: | --- |"
            );
            self.headed = true;
        }
        let (name, ceiling) = ceiling
            .map_or((String::new(), String::new()), |(name, ceiling)| (name.to_owned(), grouped(ceiling)));
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        println!("| {file} | {figure} | {} {unit} | {ceiling} | {ratio} | {name} |", grouped(value));
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn grouped(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn measure(sunday: &Sunday, file: &Path, print: &mut Printer) {
    let name = file.file_name().unwrap().to_string_lossy().replace(".jsonl.gz", "");
    eprintln!("-- {name}");
    // On a real disk: a temporary directory in memory would make fdatasync free.
    let scratch = sunday.scratch();

    let synced = ceiling::synced_lines_per_second(file, scratch.path(), 1000);
    let synced = Some(("the same lines, pwrite + fdatasync per 1,000", synced));

    // The write side alone, then everything in one process: the difference is what reading costs the writer.
    let write_only = scratch.path().join("write-only");
    let server = Server::command_api(sunday, &write_only);
    let report = sunday.import(file, &server);
    print.figure(&name, "durable import, write side alone", "lines/s", lines_per_second(&report), synced);
    print.figure(&name, "peak memory of command-api", "MiB", server.peak_mib(), None);
    server.stop();

    let data = scratch.path().join("data");
    let server = Server::serve(sunday, &data);
    let began = Instant::now();
    let report = sunday.import(file, &server);
    let lines = report["lines"].as_f64().unwrap();
    check(&report);
    print.figure(
        &name,
        "durable import, all roles in one process",
        "lines/s",
        lines_per_second(&report),
        synced,
    );
    server.wait_until_caught_up(Duration::from_secs(300));
    let caught_up = began.elapsed().as_secs_f64();
    print.figure(&name, "import until searchable", "lines/s", lines / caught_up, synced);
    print.figure(&name, "peak memory of the importer", "MiB", report["peakMib"].as_f64().unwrap(), None);
    let again = sunday.import(file, &server);
    check(&again);
    assert_eq!(again["duplicate"].as_u64().unwrap() + again["rejected"].as_u64().unwrap(), lines as u64);
    print.figure(&name, "second import, all duplicates", "lines/s", lines_per_second(&again), synced);

    search(&name, file, &server, print);
    print.figure(&name, "peak memory of serve", "MiB", server.peak_mib(), None);
    server.stop();

    let (events, seconds) = sunday.replay(&data);
    print.figure(&name, "replay to JSON lines", "events/s", events / seconds, None);
    let (report, seconds) = sunday.timed_json(&["rebuild", "--json", "--data-dir"], &data);
    assert_eq!(report["equal"].as_bool(), Some(true), "rebuild ended with other digests: {report}");
    print.figure(&name, "rebuild of models and search", "events/s", events / seconds, None);
    let (report, seconds) = sunday.timed_json(&["verify", "--json", "--data-dir"], &data);
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    let bare = ceiling::hashed_bytes_per_second(&segments(&data));
    let used = ceiling::used_bytes(&segments(&data)) as f64;
    let bare = Some(("SHA-256 + CRC-32 alone over the same bytes, both cores", bare / used * events));
    print.figure(&name, "verify, from start to exit of the process", "events/s", events / seconds, bare);
}

fn check(report: &Value) {
    let number = |name: &str| report[name].as_u64().unwrap();
    let parts = number("applied") + number("unchanged") + number("duplicate") + number("rejected");
    assert_eq!(number("lines"), parts, "{report}");
}

fn lines_per_second(report: &Value) -> f64 {
    report["lines"].as_f64().unwrap() / report["seconds"].as_f64().unwrap()
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut segments: Vec<_> = std::fs::read_dir(data.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    segments
}

/// Latency of searching for words that the history itself uses, one request at a time over one connection.
fn search(name: &str, file: &Path, server: &Server, print: &mut Printer) {
    let queries = ceiling::queries(file, 1000);
    let mut client = http::Client::connect(server.query_addr());
    let mut run = |paths: &mut dyn Iterator<Item = String>| {
        let mut micros: Vec<f64> = paths
            .map(|path| {
                let began = Instant::now();
                let (status, _) = client.get(&path);
                assert_eq!(status, 200, "{path}");
                began.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        micros.sort_by(f64::total_cmp);
        (micros[micros.len() / 2], micros[micros.len() * 99 / 100])
    };
    let search = |query: &String| format!("/api/v1/search?limit=10&q={}", query.replace(' ', "%20"));
    run(&mut queries.iter().take(100).map(search));
    let (p50, p99) = run(&mut queries.iter().map(search));
    let (null50, null99) = run(&mut queries.iter().map(|_| "/livez".to_owned()));
    print.figure(name, "search, p50", "µs", p50, Some(("GET /livez over the same connection", null50)));
    print.figure(name, "search, p99", "µs", p99, Some(("GET /livez over the same connection", null99)));
}
