//! The figures: how many answers a second, how long one takes, how fast everything is read, and what it costs to keep.

use benches::Bench;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::load::{Load, Outcome, Plan, Template};
use benches::machine;
use benches::query_api::{self, Server};
use benches::world::{self, STREAM_EVENTS};
use eventstore::{CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StreamId};
use projector::Projector;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const EMPTY: &str = "the same bytes from the same server with an empty handler";

pub(crate) fn run(bench: &mut Bench, binary: &Path, count: usize) {
    let scratch = machine::scratch(&bench.dir);
    items(bench, binary, scratch.path(), count);
    plain(bench, binary, scratch.path());
}

/// Everything about items and boards.
fn items(bench: &mut Bench, binary: &Path, scratch: &Path, count: usize) {
    let figures = ["item", "board", "ready", "memory", "fresh"];
    if !bench.only.is_empty()
        && !figures.iter().any(|figure| bench.only.iter().any(|part| part.contains(figure)))
    {
        return;
    }
    let data_dir = scratch.join("items");
    let store = Store::open(&data_dir, &Default::default()).unwrap();
    eprintln!("  {count} items are written");
    let world = world::items(&store, count);
    eprintln!("  the projector makes their image");
    // Stopped at once: what it leaves is an image of all of it.
    let projector = Projector::start(&data_dir, store.log()).unwrap();
    while projector.checkpoint() < store.watermark() {
        std::thread::sleep(Duration::from_millis(50));
    }
    projector.stop().unwrap();
    let mut ready = Vec::new();
    for _ in 0..bench.runs {
        ready.push(Run {
            value: Server::query_api(binary, &data_dir).ready_after.as_secs_f64(),
            ..Run::default()
        });
    }
    let ours = Server::query_api(binary, &data_dir);
    if bench.wants("ready from an image") {
        let name = format!("ready from an image, {count} items");
        let figure = Figure::new(name, "s", Runs { ours: ready, ceiling: Vec::new() });
        bench.print(figure.goals(&[Goal::AtMost(2.0)]));
    }
    if bench.wants("memory per item") {
        let per_item = ours.memory() / count as f64;
        bench.print(Figure::counted("memory per item", "bytes", per_item).goals(&[Goal::AtMost(1_024.0)]));
    }
    let goals = [Goal::RatioAtLeast(0.7)];
    let path = format!("/api/v1/items/{}", world.plain);
    let peak = throughput(bench, &ours, scratch, ("item, 64 connections", 64), &path, &goals);
    if let Some(peak) = peak {
        half_of_the_peak(bench, &ours, &path, peak);
    }
    let path = format!("/api/v1/items/{}", world.described);
    throughput(bench, &ours, scratch, ("item with a description of 2 KiB, 64 connections", 64), &path, &[]);
    let path = format!("/api/v1/boards/{}/view", world.board);
    throughput(bench, &ours, scratch, ("board view of 200 items, 64 connections", 64), &path, &goals);
    fresh(bench, &ours, &store, &format!("/api/v1/items/{}", world.plain));
    drop(ours);
    store.close();
}

/// Everything about plain events.
fn plain(bench: &mut Bench, binary: &Path, scratch: &Path) {
    let (of_stream, of_all) = ("stream of 100 events, 1 connection", "the whole log as lines, 256 B");
    if !bench.wants(of_stream) && !bench.wants(of_all) {
        return;
    }
    let data_dir = scratch.join("plain");
    let count = if bench.quick { 500_000 } else { 2_000_000 };
    eprintln!("  {count} plain events are written");
    world::plain(&data_dir, count);
    let ours = Server::query_api(binary, &data_dir);
    if bench.wants(of_stream) {
        let path = format!("/api/v1/streams/order-7/events?limit={STREAM_EVENTS}");
        let ceiling = ceiling(&ours, scratch, &path);
        let plan = Plan::of(bench, 1);
        let (mut load, mut our, mut null) = (Load::default(), Vec::new(), Vec::new());
        for _ in 0..bench.runs {
            null.push(load.run(ceiling.address, &Template::get(&path), plan).latencies);
            our.push(load.run(ours.address, &Template::get(&path), plan).latencies);
        }
        quantiles(bench, of_stream, &our, &null, [&[Goal::AtMost(150.0)], &[]]);
    }
    if bench.wants(of_all) {
        let path = "/api/v1/events/export?fields=position,streamId,version,type,data";
        let mut runs = Vec::new();
        for _ in 0..bench.runs {
            let began = Instant::now();
            let lines = query_api::count_lines(ours.address, path);
            // The head and the chunks' own lines are a few thousand.
            assert!(lines >= count, "{lines} lines of {count} events");
            runs.push(Run { value: count as f64 / began.elapsed().as_secs_f64(), ..Run::default() });
        }
        let figure = Figure::new(of_all, "events/s", Runs { ours: runs, ceiling: Vec::new() });
        bench.print(figure.goals(&[Goal::AtLeast(1_000_000.0)]));
    }
}

/// A server that gives the bytes that ours gives.
fn ceiling(ours: &Server, scratch: &Path, path: &str) -> Server {
    let (status, body) = query_api::ask(ours.address, path);
    assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
    let file = scratch.join("answer");
    std::fs::write(&file, body).unwrap();
    Server::empty(&file)
}

/// What a request cost a server, µs of processor time.
fn measure(
    server: &Server,
    load: &mut Load,
    template: &Template,
    plan: Plan,
    costs: &mut Vec<f64>,
) -> Outcome {
    let before = server.cpu_us();
    let outcome = load.run(server.address, template, plan);
    costs.push((server.cpu_us() - before) / outcome.answered as f64);
    outcome
}

/// Closed loops on both sides in turns; the requests a second at the peak.
fn throughput(
    bench: &mut Bench,
    ours: &Server,
    scratch: &Path,
    (name, connections): (&str, usize),
    path: &str,
    goals: &[Goal],
) -> Option<f64> {
    if !bench.wants(name) {
        return None;
    }
    let empty = ceiling(ours, scratch, path);
    let (plan, template) = (Plan::of(bench, connections), Template::get(path));
    let (mut load, mut runs) = (Load::default(), Runs::default());
    let (mut costs, mut ceilings) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let of = |outcome: &Outcome| Run { value: outcome.per_second, ..Run::default() };
        runs.ceiling.push(of(&measure(&empty, &mut load, &template, plan, &mut ceilings)));
        runs.ours.push(of(&measure(ours, &mut load, &template, plan, &mut costs)));
    }
    let (cost, ceiling) = (quantile(&costs, 0.5), quantile(&ceilings, 0.5));
    eprintln!("  per request: server {cost:.1} µs of processor; empty handler {ceiling:.1}");
    let peak = quantile(&runs.ours.iter().map(|run| run.value).collect::<Vec<_>>(), 0.5);
    let figure = Figure::new(name, "answers/s", runs).ceiling_is(EMPTY).goals(goals);
    bench.print(figure.with("server_cpu_us", cost).with("ceiling_cpu_us", ceiling));
    Some(peak)
}

/// Requests at fixed times, half as many as there could be: how long whoever comes then waits.
fn half_of_the_peak(bench: &mut Bench, ours: &Server, path: &str, peak: f64) {
    let plan = Plan { rate: Some(peak / 2.0), ..Plan::of(bench, 64) };
    let mut load = Load::default();
    let our: Vec<_> =
        (0..bench.runs).map(|_| load.run(ours.address, &Template::get(path), plan).latencies).collect();
    quantiles(bench, "item at half of the peak", &our, &[], [&[], &[Goal::AtMost(1_000.0)]]);
}

/// From the log's answer to an append until the model has shown it over HTTP.
fn fresh(bench: &mut Bench, ours: &Server, store: &Store, path: &str) {
    let name = "fresh: from the append's answer to the model's";
    if !bench.wants(name) {
        return;
    }
    let mut load = Load::default();
    // What an answer that is not waited for takes stands in it, too.
    let bare = load.run(ours.address, &Template::get(path), Plan::of(bench, 1)).latencies;
    let mut latencies = Vec::new();
    let count = if bench.quick { 500 } else { 5_000 };
    for _ in 0..count {
        let mut commit = CommitBuilder::new();
        commit.event(NewEvent {
            id: Uuid::now_v7(),
            stream: StreamId::new("order-fresh").unwrap(),
            event_type: EventType::new("order.placed").unwrap(),
            content_type: ContentType::Json,
            schema_version: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: b"{}".to_vec(),
        });
        store.append(commit.prepare().unwrap()).unwrap();
        let (answered, wanted) = (Instant::now(), store.watermark());
        let (status, _) =
            query_api::ask(ours.address, &format!("{path}?minPosition={wanted}&timeoutMs=5000"));
        assert_eq!(status, 200);
        latencies.push(answered.elapsed().as_secs_f64() * 1e6);
    }
    quantiles(bench, name, &[latencies], &[bare], [&[Goal::AtMost(1_000.0)], &[Goal::AtMost(10_000.0)]]);
}

/// Prints the p50 and the p99 of runs.
fn quantiles(bench: &mut Bench, name: &str, ours: &[Vec<f64>], ceiling: &[Vec<f64>], goals: [&[Goal]; 2]) {
    for ((label, part), goals) in [("p50", 0.5), ("p99", 0.99)].into_iter().zip(goals) {
        let of = |all: &[Vec<f64>]| {
            all.iter().map(|all| Run { value: quantile(all, part), ..Run::default() }).collect()
        };
        let runs = Runs { ours: of(ours), ceiling: of(ceiling) };
        let mut figure = Figure::new(format!("{name}: {label}"), "µs", runs).goals(goals);
        if !ceiling.is_empty() {
            figure = figure.ceiling_is(EMPTY);
        }
        bench.print(figure);
    }
}
