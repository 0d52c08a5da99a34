//! From the answer in the writer's process to the event in another one, beside a bare futex wake between the same two.
//!
//! The child does what any reader does: opens the log, awaits its watermark, reads what is new. Parent and child read
//! the same clock (CLOCK_MONOTONIC); the child sends its times over a pipe when a round is over.

use crate::load::{self, Payloads};
use crate::shared::SharedWord;
use benches::Bench;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::machine;
use eventstore::{ExpectedVersion, Log, Position, Store};
use rustix::thread::futex;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two events: long enough that everybody sleeps again, short enough that no mark comes in between.
const PAUSE: Duration = Duration::from_millis(1);
const FUTEX: &str = "a futex wake between the same two processes over a shared page";

pub(crate) fn run(bench: &mut Bench) {
    let names = ["p50", "p99"].map(|part| format!("answer to delivery in another process: {part}"));
    if !names.iter().any(|name| bench.wants(name)) {
        return;
    }
    let scratch = machine::scratch(&bench.dir);
    let data_dir = scratch.path().join("data");
    let page_path = scratch.path().join("page");
    std::fs::write(&page_path, vec![0; 4096]).unwrap();
    let page = SharedWord::map(&open_shared(&page_path));
    let store = Store::open(&data_dir, &load::options(16 << 20)).unwrap();
    let payloads = Payloads::new(256);
    append(&store, &payloads);
    let count = if bench.quick { 300 } else { 2_000 };
    let mut other = Other::spawn(&data_dir, &page_path);

    let mut quantiles = [Runs::default(), Runs::default()];
    let mut from_submit = Vec::new();
    for _ in 0..bench.runs {
        let woken = other.round("futex", count, || {
            let at = machine::now_ns();
            page.word().fetch_add(1, Ordering::Release);
            futex::wake(page.word(), futex::Flags::empty(), 1).unwrap();
            (at, at)
        });
        let delivered = other.round("log", count, || append(&store, &payloads));
        for (runs, part) in quantiles.iter_mut().zip([0.5, 0.99]) {
            let run = |micros: &[f64]| Run { value: quantile(micros, part), ..Run::default() };
            runs.ceiling.push(run(&woken.after));
            runs.ours.push(run(&delivered.after));
        }
        from_submit.push(quantile(&delivered.since, 0.5));
    }
    other.end();
    for (name, runs) in names.into_iter().zip(quantiles) {
        let goals: &[Goal] = if name.ends_with("p50") { &[Goal::AboveCeilingAtMost(30.0)] } else { &[] };
        let median =
            |runs: &[Run]| benches::figure::median(&runs.iter().map(|run| run.value).collect::<Vec<_>>());
        let above = median(&runs.ours) - median(&runs.ceiling);
        let figure = Figure::new(name, "µs", runs).ceiling_is(FUTEX).goals(goals);
        bench.print(
            figure
                .with("above_ceiling", above)
                .with("submit_to_delivery_p50", benches::figure::median(&from_submit))
                .with("events_per_run", count),
        );
    }
}

fn open_shared(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// When one event was submitted, and when its answer came.
fn append(store: &Store, payloads: &Payloads) -> (i64, i64) {
    let commit = payloads.commit(&load::stream(0), 1, ExpectedVersion::Any, 0);
    let submitted = machine::now_ns();
    store.append(commit).unwrap();
    (submitted, machine::now_ns())
}

/// Times of one round, µs: since the event was handed in, and after its answer (negative when the other process was
/// faster than the answer).
struct Round {
    since: Vec<f64>,
    after: Vec<f64>,
}

/// The other process, as its parent has it.
struct Other {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn spawn(data_dir: &Path, page: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--child-delivery")
            .args([data_dir, page])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, orders, answers }
    }

    fn answer(&mut self) -> String {
        self.answers.next().expect("the other process has ended").unwrap()
    }

    fn round(&mut self, what: &str, count: usize, mut event: impl FnMut() -> (i64, i64)) -> Round {
        writeln!(self.orders, "{what} {count}").unwrap();
        assert_eq!(self.answer(), "ready");
        let told: Vec<(i64, i64)> = (0..count)
            .map(|_| {
                std::thread::sleep(PAUSE);
                event()
            })
            .collect();
        let line = self.answer();
        let heard: Vec<i64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        assert_eq!(heard.len(), count);
        let micros = |from: i64, to: i64| (to - from) as f64 / 1e3;
        Round {
            since: told.iter().zip(&heard).map(|((from, _), to)| micros(*from, *to)).collect(),
            after: told.iter().zip(&heard).map(|((_, from), to)| micros(*from, *to)).collect(),
        }
    }

    fn end(self) {
        let Self { mut child, orders, answers } = self;
        drop((orders, answers));
        assert!(child.wait().unwrap().success());
    }
}

/// What the child process runs.
pub(crate) fn child(data_dir: &Path, page: &Path) {
    let page = SharedWord::map(&open_shared(page));
    let log = Log::open(data_dir).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let (what, count) = order.split_once(' ').unwrap();
        let count: usize = count.parse().unwrap();
        let times = if what == "futex" {
            hear_wakes(&page, count)
        } else {
            runtime.block_on(hear_events(&log, count))
        };
        println!("{}", times.iter().map(i64::to_string).collect::<Vec<_>>().join(" "));
    }
}

fn hear_wakes(page: &SharedWord, count: usize) -> Vec<i64> {
    let mut seen = page.word().load(Ordering::Acquire);
    println!("ready");
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        // Every return means the same: look again.
        let _ = futex::wait(page.word(), futex::Flags::empty(), seen, None);
        let now = page.word().load(Ordering::Acquire);
        // On a busy machine two wakes may be heard as one.
        for _ in 0..now.wrapping_sub(seen) {
            times.push(machine::now_ns());
        }
        seen = now;
    }
    times
}

async fn hear_events(log: &Log, count: usize) -> Vec<i64> {
    let mut watch = log.watch();
    let mut from: Position = *watch.borrow_and_update();
    println!("ready");
    let mut times = Vec::with_capacity(count);
    while times.len() < count {
        watch.changed().await.unwrap();
        let to = *watch.borrow_and_update();
        for commit in log.commits(from) {
            for event in commit.unwrap().events() {
                std::hint::black_box(event.payload().len());
                times.push(machine::now_ns());
            }
        }
        from = to;
    }
    times
}
