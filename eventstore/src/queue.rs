//! The bounded queue before the writer. What waits here is what the next group will be made of.
//!
//! The writer's thread sleeps here when it has nothing to do, and only then is anybody woken: what comes while it is at
//! work it finds by itself.

use crate::commit::PreparedCommit;
use crate::error::AppendError;
use crate::flush::Answer;
use crate::limits::{GROUP_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_COMMITS_MAX};
use crate::pending::Pending;
use crate::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A commit and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) commit: PreparedCommit,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The bounded queue before the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// Set once, when writing has failed: nothing is taken in any more.
    failed: Option<String>,
    /// Whether the writer sleeps, and nobody has woken it yet.
    sleeps: bool,
}

/// Why the writer was woken.
#[derive(Debug)]
pub(crate) enum Woken {
    /// Commits wait, or the queue was closed.
    Queue,
    /// Nothing happened for the given time.
    Quiet,
}

impl Queue {
    pub(crate) fn push(&self, commit: PreparedCommit) -> Result<Pending, AppendError> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if let Some(reason) = &state.failed {
            return Err(AppendError::ReadOnly { reason: reason.clone() });
        }
        if state.closed {
            return Err(AppendError::Closed);
        }
        if state.jobs.len() >= QUEUE_COMMITS_MAX || state.bytes >= QUEUE_BYTES_MAX {
            return Err(AppendError::Overloaded);
        }
        state.bytes += commit.body.len();
        state.jobs.push_back(Job { commit, answer });
        let wake = std::mem::take(&mut state.sleeps);
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        Ok(Pending::new(receiver))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().jobs.is_empty()
    }

    /// Commits and bytes that wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.jobs.len(), state.bytes)
    }

    pub(crate) fn is_open_and_empty(&self) -> bool {
        let state = self.state.lock();
        state.jobs.is_empty() && !state.closed
    }

    /// Takes no more; what is in it is still served.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Takes no more, and tells everybody who waits.
    pub(crate) fn fail(&self, reason: &str) {
        let mut state = self.state.lock();
        state.failed = Some(reason.to_owned());
        state.bytes = 0;
        for job in state.jobs.drain(..) {
            // These were never begun; a caller that has gone away needs no answer.
            let _ = job.answer.send(Err(AppendError::ReadOnly { reason: reason.to_owned() }));
        }
    }

    /// What waits, up to a group's worth.
    pub(crate) fn take(&self) -> Vec<Job> {
        let mut state = self.state.lock();
        let mut bytes = 0;
        let mut taken = Vec::with_capacity(state.jobs.len().min(4096));
        while bytes < GROUP_BYTES_MAX
            && let Some(job) = state.jobs.pop_front()
        {
            bytes += job.commit.frame_len();
            state.bytes -= job.commit.body.len();
            taken.push(job);
        }
        taken
    }

    /// Sleeps until a commit waits or the queue is closed, or for `quiet` at most.
    pub(crate) fn wait(&self, quiet: Duration) -> Woken {
        let until = Instant::now() + quiet;
        let mut state = self.state.lock();
        while state.jobs.is_empty() && !state.closed {
            state.sleeps = true;
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.sleeps = false;
        if state.jobs.is_empty() && !state.closed { Woken::Quiet } else { Woken::Queue }
    }
}
