//! Durable appends by 1, 8 and 64 clients, beside the same bytes written bare.
//!
//! A client is a task that awaits each answer before it makes its next commit, on a stream of its own whose version it
//! expects. Both sides write a fixed number of commits over at least ten segments and prepare those segments themselves.

use crate::Bench;
use crate::bare::{self, Segments};
use crate::figure::{Figure, Goal, Run, Runs, quantile};
use crate::load::{self, Payloads};
use crate::machine;
use eventstore::{ExpectedVersion, Guard, Position, Store, Tag, Version};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

const FRAME_HEADER_BYTES: u64 = 96;
const SEGMENT_HEADER_BYTES: u64 = 4096;
const BARE: &str = "pwrite + fdatasync of the same bytes, one group of all clients at a time";
const ROLLS: u64 = 10;

/// What one figure appends.
#[derive(Debug, Clone, Copy)]
struct Shape {
    clients: usize,
    batch: usize,
    payload: usize,
    guarded: bool,
    commits: u64,
}

impl Shape {
    fn name(&self) -> String {
        let guard = if self.guarded { ", tag guard" } else { "" };
        format!("append {} x {}, {} B{guard}", self.clients, self.batch, self.payload)
    }

    fn events(&self) -> u64 {
        self.commits * self.batch as u64
    }

    fn frame(&self, payloads: &Payloads) -> usize {
        let stream = load::stream(0);
        let expected = ExpectedVersion::NoStream;
        if self.guarded {
            return payloads.guarded(&stream, expected, 0, guard(0, Position::ZERO)).frame_len();
        }
        payloads.commit(&stream, self.batch, expected, 0).frame_len()
    }

    /// So large that the commits roll over at least ten of them, the seal and the header included.
    fn segment_bytes(&self, frame: usize) -> u64 {
        let bytes = self.commits * frame as u64 * 100 / (ROLLS * 100 + 60);
        (bytes / 4096 * 4096).max(64 << 10)
    }
}

fn guard(client: u64, after: Position) -> Guard {
    Guard::NoNewer(Tag::new(format!("client:{client:010}")).unwrap(), after)
}

/// Seconds of one run, and how long each commit took, µs.
struct Timed {
    run: Run,
    latencies: Vec<f64>,
    rolls: u64,
}

pub(crate) fn run(bench: &mut Bench) {
    let scale = if bench.quick { 1 } else { 5 };
    for payload in [256, 1024] {
        let part = if payload == 256 { 1 } else { 2 };
        let shape = |clients, batch, commits: u64| Shape {
            clients,
            batch,
            payload,
            guarded: false,
            commits: commits * scale / part,
        };
        let mut shapes = vec![
            shape(1, 1, 5_120),
            shape(8, 1, 16_000),
            shape(64, 1, 102_400),
            shape(1, 100, 1_600),
            shape(64, 10, 25_600),
            shape(64, 100, 2_560),
        ];
        if payload == 256 {
            shapes.push(Shape { guarded: true, ..shape(64, 1, 102_400) });
        }
        for shape in shapes {
            figures(bench, shape);
        }
    }
}

fn figures(bench: &mut Bench, shape: Shape) {
    let name = shape.name();
    if !bench.wants(&name) {
        return;
    }
    let payloads = Arc::new(Payloads::new(shape.payload));
    let frame = shape.frame(&payloads);
    let segment_bytes = shape.segment_bytes(frame);
    let mut bare_latencies = Vec::new();
    let mut latencies = Vec::new();
    let (mut bare_rolls, mut our_rolls) = (u64::MAX, u64::MAX);
    let runs = Runs::alternate(
        bench.runs,
        || {
            let timed = bare(&bench.dir, shape, frame, segment_bytes);
            bare_latencies.push(timed.latencies);
            bare_rolls = bare_rolls.min(timed.rolls);
            timed.run
        },
        || {
            let timed = ours(&bench.dir, shape, &payloads, segment_bytes);
            latencies.push(timed.latencies);
            our_rolls = our_rolls.min(timed.rolls);
            timed.run
        },
    );
    assert!(
        bare_rolls.min(our_rolls) >= ROLLS,
        "{name}: {bare_rolls} and {our_rolls} segment rolls are too few to be honest"
    );
    let detail = |figure: Figure| {
        figure
            .with("frame_bytes", frame as u64)
            .with("segment_bytes", segment_bytes)
            .with("segment_rolls", our_rolls)
            .with("ceiling_segment_rolls", bare_rolls)
    };
    let mut goals = match (shape.clients, shape.batch) {
        (1, 1) => vec![Goal::RatioAtLeast(0.8)],
        (64, 1) => vec![Goal::RatioAtLeast(0.5), Goal::AtLeast(200_000.0)],
        (64, 10) => vec![Goal::RatioAtLeast(0.6), Goal::AtLeast(700_000.0)],
        (64, 100) => vec![Goal::AtLeast(1_000_000.0)],
        _ => Vec::new(),
    };
    if shape.payload > 256 {
        // The absolute goals are for small events.
        goals.retain(|goal| matches!(goal, Goal::RatioAtLeast(_)));
    }
    bench.print(detail(Figure::new(name.clone(), "events/s", runs.clone()).ceiling_is(BARE).goals(&goals)));
    if (shape.clients, shape.batch) != (1, 1) {
        return;
    }
    for (label, part) in [("p50", 0.5), ("p99", 0.99)] {
        let of = |runs: &[Run], latencies: &[Vec<f64>]| {
            let value = |all: &Vec<f64>| quantile(all, part);
            runs.iter().zip(latencies).map(|(run, all)| Run { value: value(all), ..run.clone() }).collect()
        };
        let runs = Runs { ours: of(&runs.ours, &latencies), ceiling: of(&runs.ceiling, &bare_latencies) };
        bench.print(detail(Figure::new(format!("{name}: {label}"), "µs", runs).ceiling_is(BARE)));
    }
}

fn bare(dir: &Path, shape: Shape, frame: usize, segment_bytes: u64) -> Timed {
    let scratch = machine::scratch(dir);
    machine::settle(dir);
    let device = machine::device_bytes();
    let noise: Vec<u8> = (0..frame * shape.clients).map(|at| (at % 251) as u8 + 1).collect();
    let mut segments = Segments::begin(scratch.path(), segment_bytes, true);
    let mut latencies = Vec::with_capacity(shape.commits as usize);
    let began = Instant::now();
    let mut left = shape.commits as usize;
    while left > 0 {
        let group = left.min(shape.clients);
        let asked = Instant::now();
        segments.group(frame, group, &noise);
        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
        left -= group;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (bytes, rolls) = (segments.written, u64::from(segments.rolls));
    segments.end();
    let run = Run {
        value: shape.events() as f64 / seconds,
        bytes,
        device_bytes: Some(machine::device_bytes() - device),
    };
    Timed { run, latencies, rolls }
}

fn ours(dir: &Path, shape: Shape, payloads: &Arc<Payloads>, segment_bytes: u64) -> Timed {
    let scratch = machine::scratch(dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    machine::settle(dir);
    let device = machine::device_bytes();
    let store = Store::open(scratch.path(), &load::options(segment_bytes)).unwrap();
    let budget = Arc::new(AtomicI64::new(shape.commits as i64));
    let written = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..shape.clients as u64)
        .map(|number| {
            let client = Client {
                store: store.clone(),
                payloads: Arc::clone(payloads),
                budget: Arc::clone(&budget),
                written: Arc::clone(&written),
                number,
            };
            runtime.spawn(client.run(shape))
        })
        .collect();
    let mut latencies = Vec::with_capacity(shape.commits as usize);
    for client in clients {
        latencies.extend(runtime.block_on(client).unwrap());
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(store.watermark().get(), shape.events(), "the log does not hold what was appended");
    store.close();
    drop(store);
    let bytes = written.load(Ordering::Relaxed);
    let rolls = check_bytes(scratch.path(), bytes);
    let run = Run {
        value: shape.events() as f64 / seconds,
        bytes,
        device_bytes: Some(machine::device_bytes() - device),
    };
    Timed { run, latencies, rolls }
}

/// The bytes that the ceiling writes are those that the log wrote: frames counted by the clients, found again on disk
/// beside headers, seals and the marks of quiet moments. Returns how many segments were rolled over.
fn check_bytes(data_dir: &Path, counted: u64) -> u64 {
    let used: Vec<u64> = machine::segments(data_dir)
        .iter()
        .map(|path| bare::used_bytes(path))
        .filter(|used| *used > 0)
        .collect();
    let segments = used.len() as u64;
    let beside = segments * (SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES);
    let on_disk: u64 = used.iter().sum();
    // A frame may end in zeros of its padding; a slow machine may leave marks.
    let allowed = (counted + segments * SEGMENT_HEADER_BYTES)..=(counted + beside + 64 * FRAME_HEADER_BYTES);
    let near = on_disk + 8 * segments;
    assert!(allowed.contains(&near), "{counted} bytes of frames, but {on_disk} in {segments} segments");
    segments - 1
}

struct Client {
    store: Store,
    payloads: Arc<Payloads>,
    /// Commits that are left for all clients together, so that none is idle before the end.
    budget: Arc<AtomicI64>,
    written: Arc<AtomicU64>,
    number: u64,
}

impl Client {
    async fn run(self, shape: Shape) -> Vec<f64> {
        let stream = load::stream(self.number);
        let mut expected = ExpectedVersion::NoStream;
        let mut after = Position::ZERO;
        let mut pick = self.number * 31;
        let mut latencies = Vec::new();
        let mut bytes = 0;
        while self.budget.fetch_sub(1, Ordering::Relaxed) > 0 {
            let asked = Instant::now();
            let commit = if shape.guarded {
                self.payloads.guarded(&stream, expected, pick, guard(self.number, after))
            } else {
                self.payloads.commit(&stream, shape.batch, expected, pick)
            };
            bytes += commit.frame_len() as u64;
            let receipt = self.store.submit(commit).unwrap().await.unwrap();
            latencies.push(asked.elapsed().as_secs_f64() * 1e6);
            let version: Version = receipt.versions[0].1;
            expected = ExpectedVersion::Exact(version);
            after = receipt.next;
            pick += shape.batch as u64;
        }
        self.written.fetch_add(bytes, Ordering::Relaxed);
        latencies
    }
}
