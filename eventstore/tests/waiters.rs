//! Nobody who waits for the log is forgotten, whoever else is at work at the time.
#![allow(missing_docs, unreachable_pub, clippy::panic, clippy::unwrap_used)]

mod support;
#[path = "support/traced.rs"]
mod traced;

use eventstore::{AppendError, ExpectedVersion, Pending, Position, Store};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{one, small};
use traced::{Change, traced};

/// A disk that can be held up in the middle of a sync.
#[derive(Default)]
struct Gate {
    /// Syncs are held up, and whether one is.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self, change: &Change) {
        let mut state = self.state.lock();
        while state.0 && matches!(change, Change::Sync { name } if is_segment(name)) {
            state.1 = true;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
    }

    fn set(&self, closed: bool) {
        *self.state.lock() = (closed, false);
        self.changed.notify_all();
    }

    fn wait_for_a_sync(&self) {
        let mut state = self.state.lock();
        while !state.1 {
            self.changed.wait(&mut state);
        }
    }
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".seg")
}

fn answered(pending: &mut Pending) {
    let since = Instant::now();
    loop {
        if let Some(answer) = pending.try_answer() {
            answer.unwrap();
            return;
        }
        // Far beyond what any machine takes: it is the end of the waiting that matters, not its length.
        assert!(since.elapsed() < Duration::from_secs(20), "nobody carries it out");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A caller that finds the log idle writes by itself, and takes with it what others have submitted meanwhile. What it
/// could not take along because the segment was full once stayed where it was until somebody else came.
#[test]
fn what_an_idle_caller_leaves_behind_is_carried_out() {
    let gate = Arc::new(Gate::default());
    let environment = traced({
        let gate = Arc::clone(&gate);
        move |change| {
            gate.pass(change);
            Ok(())
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_in(&environment, dir.path(), &small()).unwrap();
    let commit = |len| one("s-1", ExpectedVersion::Any, &"x".repeat(len));
    store.append(commit(40_000)).unwrap();

    // The caller's own commit begins another segment, and so is not in its first flush.
    gate.set(true);
    let caller = std::thread::spawn({
        let (store, commit) = (store.clone(), commit(30_000));
        move || store.append(commit).unwrap()
    });
    gate.wait_for_a_sync();
    // Long enough for the writer's thread to think that all is quiet, and to come and look.
    std::thread::sleep(Duration::from_millis(300));
    // The first of these fits behind the caller's commit, the second one does not.
    let mut waiting = [10_000, 40_000, 10].map(|len| store.submit(commit(len)).unwrap());
    gate.set(false);
    caller.join().unwrap();
    waiting.iter_mut().for_each(answered);
    assert_eq!(store.watermark(), Position::new(5));
}

/// A bug of ours in the middle of a write: who waits for it hears that the outcome is unknown, who waits behind it that
/// nothing is written any more, and nobody waits for ever.
#[test]
fn a_thread_that_dies_leaves_nobody_waiting() {
    let gate = Arc::new(Gate::default());
    let environment = traced({
        let gate = Arc::clone(&gate);
        move |change| {
            gate.pass(change);
            // The second group begins beyond the first, which was held up at the gate.
            match change {
                Change::Write { name, offset, .. } if is_segment(name) && *offset > 8192 => panic!("a bug"),
                _ => Ok(()),
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_in(&environment, dir.path(), &small()).unwrap();
    gate.set(true);
    let mut first = store.submit(one("a-1", ExpectedVersion::Any, &"x".repeat(8000))).unwrap();
    gate.wait_for_a_sync();
    // These go to the disk together, and die there.
    let mut rest: Vec<Pending> =
        (0..50).map(|_| store.submit(one("a-1", ExpectedVersion::Any, "{}")).unwrap()).collect();
    gate.set(false);
    answered(&mut first);
    let since = Instant::now();
    for pending in &mut rest {
        let answer = loop {
            if let Some(answer) = pending.try_answer() {
                break answer;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "somebody waits for ever");
            std::thread::sleep(Duration::from_millis(1));
        };
        let error = answer.unwrap_err();
        assert!(
            matches!(error, AppendError::OutcomeUnknown { .. } | AppendError::ReadOnly { .. }),
            "{error}"
        );
    }
    assert!(store.append(one("a-1", ExpectedVersion::Any, "{}")).is_err());
}
