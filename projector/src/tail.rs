//! The loop that gives the log to projections. Catch-up and live are the same loop over the watermark: there is no
//! hand-over to lose events in.
//!
//! Invariant: whole commits, in order, from the oldest checkpoint on. When anything fails, the loop begins again from
//! the checkpoints, which only move with what was taken in.

use crate::decode::DecodedCommit;
use crate::projection::{Projection, ProjectionError};
use eventstore::{Log, Position, ReadError, RecordedCommit};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Commits in a batch at most: a reader of the models waits for no more than these.
const BATCH_COMMITS_MAX: usize = 256;
/// A batch ends with the commit that reaches this many events.
const BATCH_EVENTS: usize = 1_024;
/// How long nothing happens until projections are given time to save, at most.
const REST: Duration = Duration::from_millis(250);
/// Pause after a failure.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How a tail is, for whoever asks from another thread. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    failure: Option<String>,
    last_error: Option<String>,
}

impl Condition {
    /// What is wrong now.
    pub(crate) fn failure(&self) -> Option<String> {
        self.told.lock().failure.clone()
    }

    /// What was wrong last, whether it still is or not.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.told.lock().last_error.clone()
    }
}

/// Ends a tail, and says what is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    stopped: Arc<watch::Sender<bool>>,
    condition: Condition,
}

impl Stop {
    /// One whose tail tells there how it is.
    pub(crate) fn telling(condition: Condition) -> Self {
        Self { stopped: Arc::new(watch::Sender::new(false)), condition }
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.condition.failure()
    }

    /// Remembers a failure; logs it when it is a new one.
    pub(crate) fn fail(&self, failure: Option<String>) {
        let mut told = self.condition.told.lock();
        if told.failure != failure {
            match &failure {
                Some(error) => {
                    tracing::error!(error, "projections stand still");
                    told.last_error = Some(error.clone());
                }
                None => tracing::info!("projections go on"),
            }
            told.failure = failure;
        }
    }
}

/// Runs a thread's work; says what a panic said, which is a bug of ours, so that it can be told as a failure instead
/// of leaving everything to stand still in silence.
pub(crate) fn guarded(work: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let thread = std::thread::current();
        format!(
            "the thread {} panicked: {}",
            thread.name().unwrap_or("?"),
            said.unwrap_or("it did not say why")
        )
    })
}

/// Gives the log to projections until it is stopped. After a panic it ends for good, with that as its failure: false
/// then, and the projections MUST NOT be saved, because nobody knows what they have taken in.
pub(crate) fn run(log: &Log, projections: &mut [&mut dyn Projection], stop: &Stop) -> bool {
    let ended = guarded(|| run_unguarded(log, projections, stop));
    let is_whole = ended.is_ok();
    if let Err(panic) = ended {
        stop.fail(Some(panic));
    }
    is_whole
}

fn run_unguarded(log: &Log, projections: &mut [&mut dyn Projection], stop: &Stop) {
    // The watermark is watched in async fashion, which a runtime of this one thread can wait for together with `stop`.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return stop.fail(Some(format!("cannot wait for the log: {error}"))),
    };
    let mut watermark = log.watch();
    let mut stopped = stop.stopped.subscribe();
    while !stop.is_stopped() {
        let pause = match feed(log, projections, stop, || {
            runtime.block_on(async {
                tokio::select! {
                    changed = watermark.changed() => {
                        if changed.is_err() {
                            // Nobody writes this log any more; there is nothing to wait for but the end.
                            tokio::time::sleep(REST).await;
                        }
                    }
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    () = tokio::time::sleep(REST) => {}
                }
            });
        }) {
            Ok(()) => continue,
            Err(error) => {
                stop.fail(Some(error.to_string()));
                TRY_AGAIN
            }
        };
        runtime.block_on(async {
            let _ = tokio::time::timeout(pause, stop.stopped.subscribe().wait_for(|stopped| *stopped)).await;
        });
    }
}

/// Gives everything up to the watermark, waits, and goes on, until it is stopped or something fails.
fn feed(
    log: &Log,
    projections: &mut [&mut dyn Projection],
    stop: &Stop,
    mut wait: impl FnMut(),
) -> Result<(), ProjectionError> {
    let mut commits = log.commits(oldest(projections));
    let mut batch = Vec::new();
    while !stop.is_stopped() {
        fill(&mut commits, &mut batch)?;
        if batch.is_empty() {
            stop.fail(None);
        } else {
            give(&batch, projections)?;
        }
        projections.iter_mut().for_each(|projection| projection.rest());
        if batch.is_empty() {
            wait();
        }
    }
    Ok(())
}

/// Gives projections everything that a log has now; `progress` hears the position after each batch.
///
/// # Errors
/// When the log cannot be read, or a projection cannot go on.
pub(crate) fn catch_up(
    log: &Log,
    projections: &mut [&mut dyn Projection],
    mut progress: impl FnMut(Position),
) -> Result<(), ProjectionError> {
    let mut commits = log.commits(oldest(projections));
    let mut batch = Vec::new();
    loop {
        fill(&mut commits, &mut batch)?;
        let Some(last) = batch.last() else { return Ok(()) };
        let reached = last.next();
        give(&batch, projections)?;
        progress(reached);
    }
}

fn oldest(projections: &[&mut dyn Projection]) -> Position {
    projections.iter().map(|projection| projection.checkpoint().next).min().unwrap_or_default()
}

fn fill(
    commits: &mut impl Iterator<Item = Result<RecordedCommit, ReadError>>,
    batch: &mut Vec<RecordedCommit>,
) -> Result<(), ProjectionError> {
    batch.clear();
    let mut events = 0;
    while batch.len() < BATCH_COMMITS_MAX && events < BATCH_EVENTS {
        let Some(commit) = commits.next().transpose()? else { break };
        events += commit.len();
        batch.push(commit);
    }
    Ok(())
}

/// Decodes a batch once and gives it to all, in their order.
fn give(batch: &[RecordedCommit], projections: &mut [&mut dyn Projection]) -> Result<(), ProjectionError> {
    let decoded: Vec<_> = batch.iter().map(DecodedCommit::decode).collect();
    for (commit, decoded) in batch.iter().zip(&decoded) {
        // Bytes that rot between the check of their sum and now would end the list of events early.
        if decoded.events.len() != commit.len() {
            let reason = "its events cannot be read to the end".to_owned();
            let place = commit.place();
            return Err(
                ReadError::Damaged { segment: place.segment(), offset: place.offset(), reason }.into()
            );
        }
    }
    projections.iter_mut().try_for_each(|projection| projection.apply(&decoded))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use eventstore::{Lineage, Store, StoreOptions};

    /// Cannot do anything.
    struct Broken(Lineage);

    impl Projection for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn version(&self) -> u32 {
            1
        }

        fn checkpoint(&self) -> Lineage {
            self.0
        }

        fn apply(&mut self, _: &[DecodedCommit<'_>]) -> Result<(), ProjectionError> {
            Ok(())
        }

        fn rest(&mut self) {
            panic!("a bug");
        }
    }

    #[test]
    fn a_panic_is_told_as_a_failure_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let log = store.log();
        let stop = Stop::telling(Condition::default());
        let mut broken = Broken(log.lineage());
        assert!(!run(&log, &mut [&mut broken], &stop));
        let failure = stop.failure().unwrap();
        assert!(failure.contains("panicked: a bug"), "{failure}");
    }

    #[test]
    fn a_tail_that_is_stopped_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let stop = Stop::telling(Condition::default());
        stop.stop();
        assert!(run(&store.log(), &mut [], &stop));
        assert_eq!(stop.failure(), None);
    }
}
