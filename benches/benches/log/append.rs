//! Durable appends by 1, 8 and 64 clients, beside the same bytes written bare.
//!
//! A client is a task that awaits each answer before it makes its next commit, on a stream of its own whose version it
//! expects. Both sides write a fixed number of commits over at least ten segments and prepare those segments themselves.

use crate::load::{self, Payloads};
use benches::Bench;
use benches::bare::{self, Segments};
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::machine;
use eventstore::{
    Durability, ExpectedVersion, Guard, Position, PreparedCommit, Receipt, Store, StoreOptions, StreamId, Tag,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

const FRAME_HEADER_BYTES: u64 = 96;
const SEGMENT_HEADER_BYTES: u64 = 4096;
const BARE: &str = "pwrite + fdatasync of the same bytes, one group of all clients at a time";
const BARE_OS: &str = "pwrite of the same bytes, one group of all clients at a time";
const ROLLS: u64 = 10;

/// What one figure appends.
#[derive(Debug, Clone, Copy)]
struct Shape {
    clients: usize,
    batch: usize,
    payload: usize,
    kind: Kind,
    commits: u64,
}

/// What is particular about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Every commit is guarded against newer events with its tag.
    Guarded,
    /// The one client is a thread that blocks, so that it may write and sync by itself.
    Blocking,
    /// Answered before the sync.
    Os,
}

impl Shape {
    fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Plain => "",
            Kind::Guarded => ", tag guard",
            Kind::Blocking => ", blocking caller",
            Kind::Os => ", durability os",
        };
        format!("append {} x {}, {} B{kind}", self.clients, self.batch, self.payload)
    }

    fn events(&self) -> u64 {
        self.commits * self.batch as u64
    }

    fn frame(&self, payloads: &Payloads) -> usize {
        let stream = load::stream(0);
        let expected = ExpectedVersion::NoStream;
        if self.kind == Kind::Guarded {
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
            kind: Kind::Plain,
            commits: commits * scale / part,
        };
        let mut shapes = vec![
            shape(1, 1, 5_120),
            Shape { kind: Kind::Blocking, ..shape(1, 1, 5_120) },
            shape(8, 1, 16_000),
            shape(64, 1, 102_400),
            shape(1, 100, 1_600),
            shape(8, 100, 2_400),
            shape(64, 10, 25_600),
            shape(64, 100, 2_560),
        ];
        if payload == 256 {
            shapes.push(Shape { kind: Kind::Guarded, ..shape(64, 1, 102_400) });
            shapes.push(Shape { kind: Kind::Os, ..shape(64, 1, 102_400) });
            shapes.push(Shape { kind: Kind::Os, ..shape(64, 10, 25_600) });
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
    let bytes = runs.ceiling[0].bytes;
    assert!(
        runs.ours.iter().chain(&runs.ceiling).all(|run| run.bytes == bytes),
        "{name}: log and ceiling did not write the same number of bytes"
    );
    let detail = |figure: Figure| {
        figure
            .with("frame_bytes", frame as u64)
            .with("segment_bytes", segment_bytes)
            .with("segment_rolls", our_rolls)
            .with("ceiling_segment_rolls", bare_rolls)
    };
    let ceiling_is = if shape.kind == Kind::Os { BARE_OS } else { BARE };
    let mut goals = match (shape.clients, shape.batch) {
        _ if shape.kind == Kind::Os => Vec::new(),
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
    bench.print(detail(
        Figure::new(name.clone(), "events/s", runs.clone()).ceiling_is(ceiling_is).goals(&goals),
    ));
    if (shape.clients, shape.batch) != (1, 1) {
        return;
    }
    for (label, part) in [("p50", 0.5), ("p99", 0.99)] {
        let of = |runs: &[Run], latencies: &[Vec<f64>]| {
            let value = |all: &Vec<f64>| quantile(all, part);
            runs.iter().zip(latencies).map(|(run, all)| Run { value: value(all), ..run.clone() }).collect()
        };
        let runs = Runs { ours: of(&runs.ours, &latencies), ceiling: of(&runs.ceiling, &bare_latencies) };
        bench.print(detail(Figure::new(format!("{name}: {label}"), "µs", runs).ceiling_is(ceiling_is)));
    }
}

fn bare(dir: &Path, shape: Shape, frame: usize, segment_bytes: u64) -> Timed {
    let scratch = machine::scratch(dir);
    machine::settle(dir);
    let device = machine::device_bytes(dir);
    let noise: Vec<u8> = (0..frame * shape.clients).map(|at| (at % 251) as u8 + 1).collect();
    let mut segments = Segments::begin(scratch.path(), segment_bytes, shape.kind != Kind::Os);
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
    machine::settle(dir);
    let run = Run {
        value: shape.events() as f64 / seconds,
        bytes,
        device_bytes: machine::device_bytes(dir).zip(device).map(|(now, before)| now - before),
    };
    Timed { run, latencies, rolls }
}

fn ours(dir: &Path, shape: Shape, payloads: &Arc<Payloads>, segment_bytes: u64) -> Timed {
    let scratch = machine::scratch(dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    machine::settle(dir);
    let device = machine::device_bytes(dir);
    let durability = if shape.kind == Kind::Os { Durability::Os } else { Durability::Fsync };
    let options = StoreOptions { segment_bytes, durability };
    let store = Store::open(scratch.path(), &options).unwrap();
    let budget = Arc::new(AtomicI64::new(shape.commits as i64));
    let written = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut clients = (0..shape.clients as u64).map(|number| Client {
        store: store.clone(),
        payloads: Arc::clone(payloads),
        budget: Arc::clone(&budget),
        written: Arc::clone(&written),
        stream: load::stream(number),
        expected: ExpectedVersion::NoStream,
        after: Position::ZERO,
        number,
        appended: 0,
    });
    let mut latencies = Vec::with_capacity(shape.commits as usize);
    if shape.kind == Kind::Blocking {
        let client = clients.next().unwrap();
        latencies = std::thread::spawn(move || client.run_blocking(shape)).join().unwrap();
    } else {
        let clients: Vec<_> = clients.map(|client| runtime.spawn(client.run(shape))).collect();
        for client in clients {
            latencies.extend(runtime.block_on(client).unwrap());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(store.watermark().get(), shape.events(), "the log does not hold what was appended");
    store.close();
    drop(store);
    machine::settle(dir);
    let bytes = written.load(Ordering::Relaxed);
    let rolls = check_bytes(scratch.path(), bytes);
    let run = Run {
        value: shape.events() as f64 / seconds,
        bytes,
        device_bytes: machine::device_bytes(dir).zip(device).map(|(now, before)| now - before),
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
    stream: StreamId,
    expected: ExpectedVersion,
    after: Position,
    appended: u64,
}

impl Client {
    /// The next commit; `None` when all have been made.
    fn prepare(&self, shape: Shape) -> Option<PreparedCommit> {
        if self.budget.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return None;
        }
        let pick = self.number * 31 + self.appended;
        let commit = if shape.kind == Kind::Guarded {
            self.payloads.guarded(&self.stream, self.expected, pick, guard(self.number, self.after))
        } else {
            self.payloads.commit(&self.stream, shape.batch, self.expected, pick)
        };
        self.written.fetch_add(commit.frame_len() as u64, Ordering::Relaxed);
        Some(commit)
    }

    fn acknowledged(&mut self, receipt: &Receipt, shape: Shape) {
        self.expected = ExpectedVersion::Exact(receipt.versions[0].1);
        self.after = receipt.next;
        self.appended += shape.batch as u64;
    }

    async fn run(mut self, shape: Shape) -> Vec<f64> {
        let mut latencies = Vec::new();
        let mut asked = Instant::now();
        while let Some(commit) = self.prepare(shape) {
            let receipt = self.store.submit(commit).unwrap().await.unwrap();
            self.acknowledged(&receipt, shape);
            latencies.push(asked.elapsed().as_secs_f64() * 1e6);
            asked = Instant::now();
        }
        latencies
    }

    fn run_blocking(mut self, shape: Shape) -> Vec<f64> {
        let mut latencies = Vec::new();
        let mut asked = Instant::now();
        while let Some(commit) = self.prepare(shape) {
            let receipt = self.store.append(commit).unwrap();
            self.acknowledged(&receipt, shape);
            latencies.push(asked.elapsed().as_secs_f64() * 1e6);
            asked = Instant::now();
        }
        latencies
    }
}
