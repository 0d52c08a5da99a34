//! The bounded queue before the writer. What waits here is what the next group will be made of.

use crate::commit::PreparedCommit;
use crate::error::AppendError;
use crate::limits::{GROUP_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_COMMITS_MAX};
use crate::receipt::Receipt;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

/// What a waiter hears.
pub(crate) type Answer = Result<Receipt, AppendError>;

/// A commit and who waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) commit: PreparedCommit,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The bounded queue before the writer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// Set once, when writing has failed: nothing is taken in any more.
    failed: Option<String>,
}

impl Queue {
    pub(crate) fn push(&self, commit: PreparedCommit) -> Result<oneshot::Receiver<Answer>, AppendError> {
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
        let was_empty = state.jobs.is_empty();
        state.jobs.push_back(Job { commit, answer });
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(receiver)
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Takes no more, and tells everybody who waits.
    pub(crate) fn fail(&self, reason: &str) {
        let mut state = self.state.lock();
        state.failed = Some(reason.to_owned());
        for job in state.jobs.drain(..) {
            // These were never begun; a caller that has gone away needs no answer.
            let _ = job.answer.send(Err(AppendError::ReadOnly { reason: reason.to_owned() }));
        }
    }

    /// The next jobs, up to a group's worth. An empty answer means quiet for `timeout`; `None` means closed and empty.
    pub(crate) fn take(&self, timeout: Duration) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        if state.jobs.is_empty() && !state.closed {
            self.filled.wait_for(&mut state, timeout);
        }
        if state.jobs.is_empty() && state.closed {
            return None;
        }
        let mut bytes = 0;
        let mut taken = Vec::with_capacity(state.jobs.len().min(4096));
        while bytes < GROUP_BYTES_MAX
            && let Some(job) = state.jobs.pop_front()
        {
            bytes += job.commit.frame_len();
            state.bytes -= job.commit.body.len();
            taken.push(job);
        }
        Some(taken)
    }
}
