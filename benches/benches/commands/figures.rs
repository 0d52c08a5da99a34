//! The figures: how many commands a second, and how long one takes.

use crate::requests::{self, BATCH, PAYLOAD_BYTES, Place};
use crate::server::Server;
use benches::Bench;
use benches::bare::Segments;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::load::{Load, Outcome, Plan, Template};
use benches::machine;
use eventstore::{Log, Position};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const EMPTY: &str = "the same requests to the same server with an empty handler";
const BARE_AND_EMPTY: &str =
    "pwrite + fdatasync of a frame, plus a request to an empty handler, each at its p50 or p99";

const BARE_AT_AND_EMPTY: &str = "frames at the same rate, pwrite + fdatasync of all that have come, plus the empty handler at the same rate, each at its p50 or p99";

/// Bytes of the frame of an item's creation, nearly: what the bare write writes.
const FRAME_BYTES: usize = 768;

/// A server, its ceiling, and what is sent to both.
struct Sides {
    ours: Server,
    empty: Server,
    place: Place,
    load: Load,
    commands: u64,
}

pub(crate) fn run(bench: &mut Bench, binary: &Path) {
    let scratch = machine::scratch(&bench.dir);
    let data_dir = scratch.path().join("data");
    let ours = Server::command_api(binary, &data_dir);
    let place = Place::make(&ours);
    let empty = Server::empty(&scratch.path().join("empty"));
    let mut sides = Sides { ours, empty, place, load: Load::default(), commands: 0 };
    let peak = singles(bench, &mut sides);
    latencies(bench, &mut sides, scratch.path());
    if let Some(peak) = peak {
        half_of_the_peak(bench, &mut sides, peak, scratch.path());
    }
    batches(bench, &mut sides);
    appends(bench, &mut sides, false);
    appends(bench, &mut sides, true);
    let Sides { ours, empty, commands, .. } = sides;
    ours.stop();
    empty.stop();
    check(&data_dir, commands);
}

/// Every command that was answered is in the log, and its payload is as long as is said.
fn check(data_dir: &Path, commands: u64) {
    let log = Log::open(data_dir).unwrap();
    let (mut items, mut bytes) = (0, 0);
    for commit in log.commits(Position::ZERO) {
        for event in commit.unwrap().events().filter(|event| event.event_type() == "item.created") {
            items += 1;
            bytes += event.payload().len();
        }
    }
    assert_eq!(items, commands, "the log does not hold what was answered");
    let mean = bytes / (items as usize).max(1);
    assert!(items == 0 || mean.abs_diff(PAYLOAD_BYTES) < 16, "payloads of {mean} bytes are not what is said");
}

/// What a run cost, µs of processor time per request.
struct Costs {
    server: Vec<f64>,
    load: Vec<f64>,
}

fn measure(server: &Server, load: &mut Load, template: &Template, plan: Plan, costs: &mut Costs) -> Outcome {
    let (before, own) = (server.cpu_us(), machine::cpu_us_of(std::process::id()));
    let outcome = load.run(server.address, template, plan);
    let answered = outcome.answered as f64;
    costs.server.push((server.cpu_us() - before) / answered);
    costs.load.push((machine::cpu_us_of(std::process::id()) - own) / answered);
    outcome
}

/// Closed loops on both sides in turns; what each request brings is `events`.
fn throughput(
    bench: &mut Bench,
    sides: &mut Sides,
    (name, connections, events): (&str, usize, u64),
    (ours, empty): (&Template, &Template),
    goals: &[Goal],
) -> (f64, u64) {
    let plan = Plan::of(bench, connections);
    let [mut costs, mut ceilings] = [(); 2].map(|()| Costs { server: Vec::new(), load: Vec::new() });
    let dir = bench.dir.clone();
    let mut runs = Runs::default();
    let mut counted = 0;
    for _ in 0..bench.runs {
        let of = |outcome: &Outcome| Run { value: outcome.per_second * events as f64, ..Run::default() };
        runs.ceiling.push(of(&measure(&sides.empty, &mut sides.load, empty, plan, &mut ceilings)));
        machine::settle(&dir);
        let outcome = measure(&sides.ours, &mut sides.load, ours, plan, &mut costs);
        counted += outcome.answered * events;
        runs.ours.push(of(&outcome));
    }
    let peak = quantile(&runs.ours.iter().map(|run| run.value).collect::<Vec<_>>(), 0.5) / events as f64;
    let median = |values: &[f64]| (quantile(values, 0.5) * 100.0).round() / 100.0;
    eprintln!(
        "  per request: server {:.1} µs of processor, load generator {:.1}; empty handler {:.1} and {:.1}",
        median(&costs.server),
        median(&costs.load),
        median(&ceilings.server),
        median(&ceilings.load)
    );
    let figure = Figure::new(name, "events/s", runs).ceiling_is(EMPTY).goals(goals);
    bench.print(
        figure
            .with("server_cpu_us", median(&costs.server))
            .with("load_cpu_us", median(&costs.load))
            .with("ceiling_cpu_us", median(&ceilings.server)),
    );
    (peak, counted)
}

fn singles(bench: &mut Bench, sides: &mut Sides) -> Option<f64> {
    let name = "item.create 64 x 1";
    if !bench.wants(name) && !bench.wants("half") {
        return None;
    }
    let ours = sides.place.create(sides.ours.token.as_deref());
    let empty = sides.place.create(sides.empty.token.as_deref());
    let goals = [Goal::RatioAtLeast(0.5), Goal::AtLeast(43_456.0)];
    let (peak, counted) = throughput(bench, sides, (name, 64, 1), (&ours, &empty), &goals);
    sides.commands += counted;
    Some(peak)
}

fn batches(bench: &mut Bench, sides: &mut Sides) {
    let name = "batch of item.create 8 x 100";
    if !bench.wants(name) {
        return;
    }
    let ours = sides.place.creates(sides.ours.token.as_deref());
    let empty = sides.place.creates(sides.empty.token.as_deref());
    let goals = [Goal::AtLeast(150_000.0)];
    let (_, counted) = throughput(bench, sides, (name, 8, BATCH as u64), (&ours, &empty), &goals);
    sides.commands += counted;
}

/// Events of streams outside the domain, a hundred at a time, with the version that is expected.
fn appends(bench: &mut Bench, sides: &mut Sides, registered: bool) {
    let name = if registered { "append 8 x 100, with a schema" } else { "append 8 x 100" };
    if !bench.wants(name) {
        return;
    }
    if registered {
        requests::register(&sides.ours);
    }
    requests::begin_streams(&sides.ours, 8, registered);
    sides.load.begin_streams(8, BATCH as u64);
    let ours = requests::append(sides.ours.token.as_deref(), registered);
    let empty = requests::append_anywhere(sides.empty.token.as_deref());
    let goals: &[Goal] = if registered { &[] } else { &[Goal::AtLeast(560_000.0)] };
    throughput(bench, sides, (name, 8, BATCH as u64), (&ours, &empty), goals);
}

/// One connection, one command at a time.
fn latencies(bench: &mut Bench, sides: &mut Sides, scratch: &Path) {
    let name = "item.create 1 x 1";
    if !bench.wants(name) {
        return;
    }
    let plan = Plan::of(bench, 1);
    let mut unused = Costs { server: Vec::new(), load: Vec::new() };
    let ours = sides.place.create(sides.ours.token.as_deref());
    let empty = sides.place.create(sides.empty.token.as_deref());
    let (mut our, mut null, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..bench.runs {
        written.push(bare(&scratch.join(format!("bare-{number}")), plan.time));
        null.push(measure(&sides.empty, &mut sides.load, &empty, plan, &mut unused).latencies);
        let outcome = measure(&sides.ours, &mut sides.load, &ours, plan, &mut unused);
        sides.commands += outcome.answered;
        our.push(outcome.latencies);
    }
    for (label, part, goals) in [("p50", 0.5, &[Goal::AboveCeilingAtMost(60.0)][..]), ("p99", 0.99, &[][..])]
    {
        let of = |value| Run { value, ..Run::default() };
        let bare: Vec<f64> = written.iter().map(|all| quantile(all, part)).collect();
        let null: Vec<f64> = null.iter().map(|all| quantile(all, part)).collect();
        let runs = Runs {
            ours: our.iter().map(|all| of(quantile(all, part))).collect(),
            ceiling: bare.iter().zip(&null).map(|(bare, null)| of(bare + null)).collect(),
        };
        let figure =
            Figure::new(format!("{name}: {label}"), "µs", runs).ceiling_is(BARE_AND_EMPTY).goals(goals);
        bench.print(figure.with("bare_us", quantile(&bare, 0.5)).with("empty_us", quantile(&null, 0.5)));
    }
}

/// How long each bare write of a frame takes, µs.
fn bare(dir: &Path, time: Duration) -> Vec<f64> {
    std::fs::create_dir(dir).unwrap();
    let noise: Vec<u8> = (0..FRAME_BYTES).map(|at| (at % 251) as u8 + 1).collect();
    let mut segments = Segments::begin(dir, 128 << 20, true);
    let (began, mut latencies) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let asked = Instant::now();
        segments.group(FRAME_BYTES, 1, &noise);
        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    segments.end();
    std::fs::remove_dir_all(dir).unwrap();
    latencies
}

/// How long a frame waits for the disk alone when frames come at fixed times, µs: all that have come are one write and one
/// sync, into zeros that were there before.
fn bare_at(dir: &Path, rate: f64, time: Duration) -> Vec<f64> {
    std::fs::create_dir(dir).unwrap();
    let frames = (rate * time.as_secs_f64()) as usize;
    let noise: Vec<u8> = (0..frames * FRAME_BYTES).map(|at| (at % 251) as u8 + 1).collect();
    let file = zeros(&dir.join("bare"), noise.len());
    let (began, mut latencies) = (Instant::now(), Vec::with_capacity(frames));
    let due = |frame: usize| Duration::from_secs_f64(frame as f64 / rate);
    while latencies.len() < frames {
        let from = latencies.len();
        let come = ((began.elapsed().as_secs_f64() * rate) as usize + 1).min(frames);
        if come == from {
            std::thread::sleep(due(come).saturating_sub(began.elapsed()));
            continue;
        }
        file.write_all_at(&noise[from * FRAME_BYTES..come * FRAME_BYTES], (from * FRAME_BYTES) as u64)
            .unwrap();
        file.sync_data().unwrap();
        let done = began.elapsed();
        latencies.extend((from..come).map(|frame| done.saturating_sub(due(frame)).as_secs_f64() * 1e6));
    }
    std::fs::remove_dir_all(dir).unwrap();
    latencies
}

fn zeros(path: &Path, bytes: usize) -> File {
    let file = File::create_new(path).unwrap();
    file.write_all_at(&vec![0; bytes], 0).unwrap();
    file.sync_all().unwrap();
    file
}

/// Requests at fixed times, half as many as there could be: how long whoever comes then waits.
fn half_of_the_peak(bench: &mut Bench, sides: &mut Sides, peak: f64, scratch: &Path) {
    let name = "item.create at half of the peak";
    if !bench.wants(name) {
        return;
    }
    let plan = Plan { rate: Some(peak / 2.0), ..Plan::of(bench, 64) };
    let mut unused = Costs { server: Vec::new(), load: Vec::new() };
    let ours = sides.place.create(sides.ours.token.as_deref());
    let empty = sides.place.create(sides.empty.token.as_deref());
    let (mut our, mut null, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..bench.runs {
        written.push(bare_at(&scratch.join(format!("rate-{number}")), peak / 2.0, plan.time));
        null.push(measure(&sides.empty, &mut sides.load, &empty, plan, &mut unused).latencies);
        let outcome = measure(&sides.ours, &mut sides.load, &ours, plan, &mut unused);
        sides.commands += outcome.answered;
        our.push(outcome.latencies);
    }
    for (label, part, goals) in [("p50", 0.5, &[][..]), ("p99", 0.99, &[Goal::AtMost(5_000.0)][..])] {
        let of = |value| Run { value, ..Run::default() };
        let at = |all: &[Vec<f64>]| all.iter().map(|all| quantile(all, part)).collect::<Vec<_>>();
        let (bare, null) = (at(&written), at(&null));
        let runs = Runs {
            ours: at(&our).into_iter().map(of).collect(),
            ceiling: bare.iter().zip(&null).map(|(bare, null)| of(bare + null)).collect(),
        };
        let figure =
            Figure::new(format!("{name}: {label}"), "µs", runs).ceiling_is(BARE_AT_AND_EMPTY).goals(goals);
        bench.print(
            figure
                .with("rate", (peak / 2.0).round())
                .with("bare_us", quantile(&bare, 0.5))
                .with("empty_us", quantile(&null, 0.5)),
        );
    }
}
