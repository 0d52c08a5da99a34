//! One order, decided on the thread that its request is on: nothing here waits, save for the commit itself.
//!
//! Most orders need nothing that is not in memory: their aggregates are cached, or are to be created. Those are decided
//! at once, and what they were before is left to the log: it finds a repeated command and a moved stream by itself. All
//! others (a refusal, a state that is not at hand, a limited column, a claim that somebody has) are carried out by
//! [`CommandService::execute`] on a thread that may block, from the beginning.
//!
//! Invariant: nothing is refused here on a state that may not be the newest one; only `execute` refuses.
//! Invariant: the claim is held until the outcome is known and the cache has it, even if nobody waits for the answer
//! any more.

use super::CommandService;
use super::desk::{Desk, Entry};
use super::key::Key;
use super::order::{Done, Order};
use super::refusal::Refusal;
use eventstore::{AppendError, CommitBuilder, Outcome, Pending, PreparedCommit, Receipt, Version};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The claim of an aggregate, given back when it is dropped.
#[derive(Debug)]
struct Claim {
    service: CommandService,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.service.0.claims.release(&self.key);
    }
}

/// What is known about an order whose commit is on its way.
#[derive(Debug)]
struct Expected {
    claim: Claim,
    version: Option<Version>,
    outcome: Outcome,
    /// The target as it is then, where it is changed.
    entry: Option<Entry>,
    /// When it was handed to the log.
    asked: Instant,
}

/// An order that has been decided.
#[derive(Debug)]
pub(crate) struct Decided {
    commit: PreparedCommit,
    expected: Expected,
}

/// An order whose commit is on its way. `None` when it has to be carried out from the beginning.
#[derive(Debug)]
pub(crate) struct Underway {
    pending: Option<Pending>,
    expected: Option<Expected>,
}

impl CommandService {
    /// Decides about an order if that can be done at once, on what is in memory.
    pub(crate) fn decide_at_once(&self, order: &Order) -> Option<Decided> {
        let inner = &*self.0;
        let mut desk = Desk::at_hand(inner);
        let key = desk.target(order).ok()?;
        if !inner.claims.try_take(key) {
            return None;
        }
        let claim = Claim { service: self.clone(), key };
        if order.intent.creates() {
            desk.presume_absent(key);
        }
        let draft = desk.decide(order.clone(), key).ok()?;
        let (version, outcome) = (draft.version, draft.outcome());
        let mut commit = CommitBuilder::new();
        draft.add_to(&mut commit, true);
        let commit = commit.prepare().ok()?;
        let entry = desk.entries.remove(&key).filter(|entry| entry.is_dirty);
        Some(Decided { commit, expected: Expected { claim, version, outcome, entry, asked: Instant::now() } })
    }
}

impl Decided {
    /// Hands the commit to the log.
    ///
    /// # Errors
    /// When the log takes no more.
    pub(crate) fn submit(self) -> Result<Underway, Refusal> {
        let pending = self.expected.claim.service.0.store.submit(self.commit)?;
        Ok(Underway { pending: Some(pending), expected: Some(self.expected) })
    }

    /// Appends the commit on this thread. Blocks. `None` when the order has to be carried out from the beginning.
    pub(crate) fn append(self) -> Option<Result<Done, Refusal>> {
        let answer = self.expected.claim.service.0.store.append(self.commit);
        self.expected.meet(answer)
    }
}

impl Expected {
    /// What became of the order: the cache learns it, then the claim is given back.
    fn meet(self, answer: Result<Receipt, AppendError>) -> Option<Result<Done, Refusal>> {
        let Self { claim, version, outcome, entry, asked } = self;
        let (inner, key) = (&*claim.service.0, claim.key);
        inner.counters.appended(asked.elapsed());
        inner.counters.at_once.add(1);
        let receipt = match answer.map_err(Refusal::from) {
            Ok(receipt) if !receipt.duplicate => receipt,
            // The first answer, or a decision on newer states, is found by whoever begins anew.
            Ok(_) | Err(Refusal::Moved { .. } | Refusal::KeyReused) => {
                inner.cache.remove(&key);
                return None;
            }
            Err(refusal) => {
                inner.cache.remove(&key);
                return Some(Err(refusal));
            }
        };
        if let Some(mut entry) = entry {
            entry.as_of = Some(receipt.next);
            if let Some(cached) = entry.into_cached() {
                inner.put(key, cached);
            }
        }
        Some(Ok(Done { key, version, position: receipt.next, outcome, duplicate: false }))
    }
}

impl Future for Underway {
    type Output = Option<Result<Done, Refusal>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(pending) = &mut self.pending else { return Poll::Ready(None) };
        let answer = ready!(Pin::new(pending).poll(context));
        self.pending = None;
        Poll::Ready(self.expected.take().and_then(|expected| expected.meet(answer)))
    }
}

impl Drop for Underway {
    /// A client may go away, its commit does not: the claim is given back only when it is known how that ended.
    fn drop(&mut self) {
        let (Some(pending), Some(expected)) = (self.pending.take(), self.expected.take()) else { return };
        // Without a runtime the process is ending, and nobody decides any more.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { expected.meet(pending.await) });
        }
    }
}
