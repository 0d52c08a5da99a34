//! How far signed checkpoints are behind the log, while a hundred thousand events a second come in and everything else of the
//! projector works, too.

use crate::fill::{self, BATCH};
use benches::Bench;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::machine;
use eventstore::Store;
use projector::notary::TreeReader;
use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Events a second.
const RATE: u64 = 100_000;
/// How often it is looked whether there is another checkpoint.
const LOOK: Duration = Duration::from_millis(2);

pub(crate) fn run(bench: &mut Bench, projector: &Path) {
    let name = "checkpoint behind the log at 100,000 events/s";
    if !bench.wants(name) {
        return;
    }
    let time = Duration::from_secs(if bench.quick { 5 } else { 20 });
    let mut runs: [Vec<Run>; 3] = Default::default();
    let mut reached = Vec::new();
    for _ in 0..bench.runs.min(3) {
        let (lags, rate) = measure(bench, projector, time);
        for (runs, part) in runs.iter_mut().zip([0.5, 0.99, 1.0]) {
            runs.push(Run { value: quantile(&lags, part), ..Run::default() });
        }
        reached.push(rate);
    }
    let rate = quantile(&reached, 0.5);
    for ((label, ours), goals) in
        ["p50", "p99", "longest"].into_iter().zip(runs).zip([&[][..], &[][..], &[Goal::AtMost(1.0)][..]])
    {
        let figure = Figure::new(format!("{name}: {label}"), "s", Runs { ours, ceiling: Vec::new() });
        bench.print(figure.goals(goals).with("events_per_second", rate).with("seconds", time.as_secs()));
    }
}

/// From when each commit is handed to the log until a checkpoint covers it, s; and how many events a second came in.
fn measure(bench: &Bench, projector: &Path, time: Duration) -> (Vec<f64>, f64) {
    let scratch = machine::scratch(&bench.dir);
    let data_dir = scratch.path().join("data");
    let store = Store::open(&data_dir, &Default::default()).unwrap();
    let mut command = Command::new(projector);
    command.arg("--data-dir").arg(&data_dir).env("SUNDAY_LOG", "error");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let tree = TreeReader::new(&data_dir);
    let size = || tree.published().unwrap().map_or(0, |published| published.checkpoint.head.size.get());
    // The first one takes as long as a start takes.
    let (_, first) = fill::commit(u64::MAX);
    store.append(first).unwrap();
    while size() < BATCH {
        assert!(child.try_wait().unwrap().is_none(), "the projector has ended");
        std::thread::sleep(LOOK);
    }
    let answered: Mutex<VecDeque<(u64, Instant)>> = Mutex::default();
    let done = AtomicBool::new(false);
    let (lags, rate) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut lags = Vec::new();
            while !(done.load(Ordering::Acquire) && answered.lock().unwrap().is_empty()) {
                std::thread::sleep(LOOK);
                let (size, now) = (size(), Instant::now());
                let mut answered = answered.lock().unwrap();
                while let Some((next, at)) = answered.front() {
                    if *next > size {
                        // The goal is a second; whoever waits a minute for it waits in vain.
                        assert!(at.elapsed() < Duration::from_secs(60), "no checkpoint covers {next}");
                        break;
                    }
                    lags.push((now - *at).as_secs_f64());
                    answered.pop_front();
                }
            }
            lags
        });
        let began = Instant::now();
        let (mut number, mut pending) = (0, VecDeque::new());
        while began.elapsed() < time {
            let due = began + Duration::from_secs_f64((number * BATCH) as f64 / RATE as f64);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (_, commit) = fill::commit(number);
            pending.push_back((Instant::now(), store.submit(commit).unwrap()));
            number += 1;
            while pending.len() > 8 {
                let (sent, commit) = pending.pop_front().unwrap();
                answered.lock().unwrap().push_back((commit.wait().unwrap().next.get(), sent));
            }
        }
        let rate = (number * BATCH) as f64 / began.elapsed().as_secs_f64();
        for (sent, commit) in pending {
            answered.lock().unwrap().push_back((commit.wait().unwrap().next.get(), sent));
        }
        done.store(true, Ordering::Release);
        (watch.join().unwrap(), rate)
    });
    let _ = child.kill();
    let _ = child.wait();
    store.close();
    (lags, rate)
}
