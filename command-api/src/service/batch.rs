//! Many orders at once, each with a commit of its own: decided one after another against states that are
//! ahead of the log, submitted without waiting, answered when all are durable.
//!
//! Invariant: an order sees what the orders before it in the batch did. Orders about one aggregate take
//! effect in their order. What cannot be decided ahead (somebody else has the claim, a refusal that rests
//! on what is pending, a limited column) waits until everything before it is durable and goes alone.

use super::desk::Desk;
use super::key::Key;
use super::order::{Done, Order};
use super::refusal::Refusal;
use super::{CommandService, Inner};
use eventstore::{CommandId, CommitBuilder, Outcome, Pending, Receipt, Version};
use rustc_hash::FxHashSet;

/// An order that waits for its commit.
struct Waiting {
    index: usize,
    pending: Pending,
    key: Key,
    version: Option<Version>,
    outcome: Outcome,
}

/// How far an order got without waiting.
enum Step {
    Answered(Result<Done, Refusal>),
    Submitted(Waiting),
    /// It goes alone, after everything before it.
    Alone,
}

struct Batch<'s, 'r> {
    service: &'s CommandService,
    read: &'r dyn Fn(usize) -> Result<Order, Refusal>,
    desk: Desk<'s>,
    waiting: Vec<Waiting>,
    /// Aggregates whose states on the desk are not what the log will hold.
    spoiled: FxHashSet<Key>,
    /// Commands of this batch: one that stands twice is known only once the first one is durable.
    seen: FxHashSet<CommandId>,
    results: Vec<Result<Done, Refusal>>,
}

impl CommandService {
    /// Carries out orders in order, each on its own; durable when this returns. `read` gives the order of an
    /// index and may be asked twice for it. The answers stand in the order of the orders. Blocks.
    pub fn batch(
        &self,
        count: usize,
        read: &dyn Fn(usize) -> Result<Order, Refusal>,
    ) -> Vec<Result<Done, Refusal>> {
        let mut batch = Batch {
            service: self,
            read,
            desk: Desk::new(&self.0),
            waiting: Vec::with_capacity(count),
            spoiled: FxHashSet::default(),
            seen: FxHashSet::default(),
            results: Vec::with_capacity(count),
        };
        for index in 0..count {
            batch.take(index);
        }
        batch.settle();
        batch.results
    }
}

/// The first answer again. Where nothing was changed it goes without the version, which only the target's
/// history knows: a repeated import would read all of it.
fn repeat(inner: &Inner, receipt: &Receipt, key: Key) -> Result<Done, Refusal> {
    if receipt.versions.is_empty() {
        let (position, outcome) = (receipt.next, receipt.outcome);
        return Ok(Done { key, version: None, position, outcome, duplicate: true });
    }
    inner.repeat(receipt, key)
}

impl Batch<'_, '_> {
    fn take(&mut self, index: usize) {
        // Every order has its place in the answers; those that wait get theirs when they are settled.
        let result = match self.step(index) {
            Step::Answered(result) => result,
            Step::Submitted(waiting) => {
                self.waiting.push(waiting);
                Err(Refusal::Overloaded)
            }
            Step::Alone => {
                self.settle();
                self.alone(index)
            }
        };
        self.results.push(result);
    }

    fn alone(&self, index: usize) -> Result<Done, Refusal> {
        self.service.execute(&(self.read)(index)?)
    }

    fn step(&mut self, index: usize) -> Step {
        let order = match (self.read)(index) {
            Ok(order) => order,
            Err(refusal) => return Step::Answered(Err(refusal)),
        };
        if !self.seen.insert(order.command) {
            return Step::Alone;
        }
        let key = match self.desk.target(&order) {
            Ok(key) => key,
            // No newer state changes what a token says.
            Err(refusal @ (Refusal::InsufficientScope { .. } | Refusal::TenantMismatch { .. })) => {
                return Step::Answered(Err(refusal));
            }
            Err(_) => return Step::Alone,
        };
        // Most orders of a repeated import end here, so this comes before everything that costs.
        match self.desk.inner.known(&order) {
            Ok(None) => {}
            Ok(Some(receipt)) => return Step::Answered(repeat(self.desk.inner, &receipt, key)),
            Err(refusal) => return Step::Answered(Err(refusal)),
        }
        if !self.desk.try_claim(key) {
            return Step::Alone;
        }
        let draft = match self.desk.decide(order, key) {
            Ok(draft) => draft,
            Err(Refusal::Domain(error)) if self.is_final(key) => {
                return Step::Answered(Err(Refusal::Domain(error)));
            }
            Err(refusal @ Refusal::Reference { .. }) if self.is_final(key) => {
                return Step::Answered(Err(refusal));
            }
            Err(_) => return Step::Alone,
        };
        let (version, outcome) = (draft.version, draft.outcome());
        let mut commit = CommitBuilder::new();
        draft.add_to(&mut commit, true);
        let submitted = match commit.prepare() {
            Ok(prepared) => self.desk.inner.store.submit(prepared).ok(),
            Err(_) => None,
        };
        match submitted {
            Some(pending) => Step::Submitted(Waiting { index, pending, key, version, outcome }),
            None => {
                // The desk is ahead of what will be there; whoever builds on it would be refused by the log.
                self.desk.entries.remove(&key);
                self.spoiled.insert(key);
                Step::Alone
            }
        }
    }

    fn is_final(&self, key: Key) -> bool {
        // Without a claim-holder's pending commits below it, and on the newest states, a refusal is final.
        !self.spoiled.contains(&key) && self.desk.is_current(key).unwrap_or(false)
    }

    /// Waits for everything submitted, hands the states to the cache, and does again what has to be.
    fn settle(&mut self) {
        let mut failed = std::mem::take(&mut self.spoiled);
        let mut again = Vec::new();
        for waiting in self.waiting.drain(..) {
            let Waiting { index, pending, key, version, outcome } = waiting;
            self.results[index] = match pending.wait() {
                Ok(receipt) if receipt.duplicate => {
                    // Another request carried out the same command meanwhile: the desk counted it twice.
                    failed.insert(key);
                    repeat(self.desk.inner, &receipt, key)
                }
                Ok(receipt) => {
                    if outcome == Outcome::Applied {
                        self.desk.is_durable(key, receipt.next);
                    }
                    Ok(Done { key, version, position: receipt.next, outcome, duplicate: false })
                }
                Err(error) => {
                    failed.insert(key);
                    let refusal = Refusal::from(error);
                    if matches!(refusal, Refusal::Moved { .. }) {
                        again.push(index);
                    }
                    Err(refusal)
                }
            };
        }
        // References may be what has moved on.
        if !again.is_empty() {
            failed.extend(self.desk.entries.iter().filter(|(_, entry)| !entry.is_dirty).map(|(key, _)| *key));
        }
        self.desk.clear(&failed);
        for index in again {
            self.results[index] = self.alone(index);
        }
    }
}
