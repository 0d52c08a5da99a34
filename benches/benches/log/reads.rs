//! One stream of 100 events, its pages in memory and not; and everything, from the first event to the last.

use crate::load::{self, Payloads, Random};
use crate::shared;
use benches::Bench;
use benches::bare::Pieces;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::machine;
use eventstore::{Direction, ExpectedVersion, Log, Position, Version};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

const PER_STREAM: u64 = 100;
const PREAD: &str = "pread of the same frames, their places known";

/// A frame's place.
struct Place {
    segment: usize,
    offset: u64,
}

struct Streams {
    data_dir: PathBuf,
    streams: u64,
    /// Stream ids from here on were written with one commit each.
    whole_from: u64,
    frame: usize,
    whole_frame: usize,
}

pub(crate) fn streams(bench: &mut Bench) {
    let names = |variant: &str, heat: &str, part: &str| format!("stream of 100, {variant}, {heat}: {part}");
    let variants = ["100 commits among others'", "one commit"];
    let all: Vec<String> = variants
        .iter()
        .flat_map(|variant| ["hot", "cold"].map(|heat| (variant, heat)))
        .flat_map(|(variant, heat)| ["p50", "p99"].map(|part| names(variant, heat, part)))
        .collect();
    if !all.iter().any(|name| bench.wants(name)) {
        return;
    }
    let scratch = machine::scratch(&bench.dir);
    let made = make(scratch.path(), if bench.quick { 500 } else { 2_000 });
    for (variant, whole) in variants.into_iter().zip([false, true]) {
        for (heat, cold) in [("hot", false), ("cold", true)] {
            if !["p50", "p99"].iter().any(|part| bench.wants(&names(variant, heat, part))) {
                continue;
            }
            let samples = match (cold, bench.quick) {
                (true, quick) => {
                    if quick {
                        10
                    } else {
                        40
                    }
                }
                (false, quick) => {
                    if quick {
                        2_000
                    } else {
                        10_000
                    }
                }
            };
            let [p50, p99] = measure(bench.runs, &made, whole, cold, samples);
            for (part, runs) in [("p50", p50), ("p99", p99)] {
                let name = names(variant, heat, part);
                if !bench.wants(&name) {
                    continue;
                }
                let goals: &[Goal] = if part == "p50" && !cold { &[Goal::AtMost(15.0)] } else { &[] };
                let figure = Figure::new(name, "µs", runs).ceiling_is(PREAD).goals(goals);
                bench.print(figure.with("reads_per_run", samples).with("frame_bytes", made.frame_of(whole)));
            }
        }
    }
}

fn make(data_dir: &Path, streams: u64) -> Streams {
    let payloads = Payloads::new(256);
    let single = |version: u64, number: u64| {
        let stream = load::stream(number);
        payloads.commit(&stream, 1, ExpectedVersion::Any, version * streams + number)
    };
    let whole = |number: u64| {
        payloads.commit(&load::stream(number), PER_STREAM as usize, ExpectedVersion::NoStream, number)
    };
    let frame = single(0, 0).frame_len();
    let whole_frame = whole(0).frame_len();
    // One event of every stream in turn: between two events of a stream lie those of all others.
    let spread = (0..PER_STREAM).flat_map(|version| (0..streams).map(move |number| (version, number)));
    load::fill(
        data_dir,
        &load::options(128 << 20),
        spread.map(|(version, number)| single(version, number)).chain((streams..2 * streams).map(whole)),
    );
    Streams { data_dir: data_dir.to_owned(), streams, whole_from: streams, frame, whole_frame }
}

impl Streams {
    fn frame_of(&self, whole: bool) -> u64 {
        (if whole { self.whole_frame } else { self.frame }) as u64
    }

    fn pick(&self, random: &mut Random, whole: bool) -> u64 {
        random.below(self.streams) + if whole { self.whole_from } else { 0 }
    }

    /// Where the frames of a stream are.
    fn places(&self, log: &Log, number: u64) -> Vec<Place> {
        let events = read(log, number);
        let mut places: Vec<_> = events.iter().map(|event| event.commit().place()).collect();
        places.dedup();
        places
            .into_iter()
            .map(|place| Place { segment: place.segment() as usize, offset: place.offset() })
            .collect()
    }

    /// Lets the page cache forget the log, also what this process has mapped of it.
    fn forget(&self) {
        shared::release_mapped(&self.data_dir);
        machine::drop_cached(&self.data_dir);
    }
}

fn read(log: &Log, number: u64) -> Vec<eventstore::RecordedEvent> {
    let events = log
        .read_stream(&load::stream(number), Version::ZERO, Direction::Forward, PER_STREAM as usize)
        .unwrap();
    assert_eq!(events.len() as u64, PER_STREAM);
    events
}

/// Every payload is looked at, as somebody who folds a stream would.
fn touch(events: &[eventstore::RecordedEvent]) -> u64 {
    events
        .iter()
        .map(|event| event.get().unwrap().payload().iter().map(|byte| u64::from(*byte)).sum::<u64>())
        .sum()
}

/// One side of a run: how long each read took, what it asked for, what the device had to give.
#[derive(Default)]
struct Side {
    micros: Vec<f64>,
    bytes: u64,
    fetched: u64,
}

impl Side {
    /// Times one read.
    fn time(&mut self, made: &Streams, cold: bool, bytes: u64, read: impl FnOnce() -> u64) {
        if cold {
            made.forget();
        }
        let fetched = machine::fetched_bytes();
        let began = Instant::now();
        std::hint::black_box(read());
        self.micros.push(began.elapsed().as_secs_f64() * 1e6);
        self.fetched += machine::fetched_bytes() - fetched;
        self.bytes += bytes;
    }

    fn run(&self, part: f64) -> Run {
        Run { value: quantile(&self.micros, part), bytes: self.bytes, device_bytes: Some(self.fetched) }
    }
}

/// p50 and p99 of reading random streams, ours and bare.
fn measure(runs: usize, made: &Streams, whole: bool, cold: bool, samples: usize) -> [Runs; 2] {
    let mut quantiles = [Runs::default(), Runs::default()];
    let frame = made.frame_of(whole);
    for round in 0..runs {
        if cold {
            // Opened again for each run, so that nothing of an earlier run is left. Opening may read the log; what it
            // read is dropped before each read.
            machine::drop_cached(&made.data_dir);
        }
        let log = Log::open_offline(&made.data_dir).unwrap();
        let files: Vec<File> =
            machine::segments(&made.data_dir).iter().map(|path| File::open(path).unwrap()).collect();
        let mut random = Random(round as u64);
        let numbers: Vec<u64> = (0..samples).map(|_| made.pick(&mut random, whole)).collect();
        let places: Vec<_> = numbers.iter().map(|number| made.places(&log, *number)).collect();
        let (mut bare, mut ours) = (Side::default(), Side::default());
        let mut buffer = vec![0; frame as usize];
        for places in &places {
            bare.time(made, cold, frame * places.len() as u64, || {
                let mut sum = 0;
                for place in places {
                    files[place.segment].read_exact_at(&mut buffer, place.offset).unwrap();
                    sum += u64::from(buffer[buffer.len() / 2]);
                }
                sum
            });
        }
        for (number, places) in numbers.iter().zip(&places) {
            ours.time(made, cold, frame * places.len() as u64, || touch(&read(&log, *number)));
        }
        for side in [&bare, &ours] {
            let places: u64 = places.iter().map(|places| places.len() as u64).sum();
            // A page now and then may still be on its way in from reading ahead when it is dropped.
            assert!(!cold || side.fetched >= places * 4096 * 9 / 10, "the pages were not cold");
        }
        for (runs, part) in quantiles.iter_mut().zip([0.5, 0.99]) {
            runs.ceiling.push(bare.run(part));
            runs.ours.push(ours.run(part));
        }
    }
    quantiles
}

pub(crate) fn scan(bench: &mut Bench) {
    let name = "scan of everything, 100 events a commit, 256 B";
    if !bench.wants(name) {
        return;
    }
    let events: u64 = if bench.quick { 400_000 } else { 2_000_000 };
    let scratch = machine::scratch(&bench.dir);
    let frame = fill_batches(scratch.path(), events, 100);
    let log = Log::open_offline(scratch.path()).unwrap();
    let pieces = Pieces::of(scratch.path(), frame);
    let runs = Runs::alternate(
        bench.runs,
        || {
            let began = Instant::now();
            pieces.crc();
            Run {
                value: events as f64 / began.elapsed().as_secs_f64(),
                bytes: pieces.bytes(),
                device_bytes: None,
            }
        },
        || {
            let began = Instant::now();
            let (mut seen, mut names, mut payloads, mut bytes) = (0, 0, 0, 0);
            for commit in log.commits(Position::ZERO) {
                let commit = commit.unwrap();
                for event in commit.events() {
                    seen += 1;
                    names += event.stream().len() + event.event_type().len();
                    payloads += event.payload().len();
                }
                bytes += frame as u64;
            }
            let seconds = began.elapsed().as_secs_f64();
            std::hint::black_box(names);
            assert_eq!((seen, payloads as u64), (events, events * 256));
            Run { value: events as f64 / seconds, bytes, device_bytes: None }
        },
    );
    let figure = Figure::new(name, "events/s", runs)
        .ceiling_is("CRC-32 alone over the same bytes, one thread")
        .goals(&[Goal::AtLeast(10_000_000.0)]);
    bench.print(figure.with("events", events));
}

/// Makes a store of `events` events of 256 bytes, `batch` to a commit, a commit to one of 10,000 streams; the length of
/// its frames.
pub(crate) fn fill_batches(data_dir: &Path, events: u64, batch: u64) -> usize {
    let payloads = Payloads::new(256);
    let commit = |number: u64| {
        let stream = load::stream(number % 10_000);
        payloads.commit(&stream, batch as usize, ExpectedVersion::Any, number * batch)
    };
    let frame = commit(0).frame_len();
    load::fill(data_dir, &load::options(128 << 20), (0..events / batch).map(commit));
    frame
}
