//! Many orders at once, each with a commit of its own: decided one after another against states that are
//! ahead of the log, submitted without waiting, answered when all are durable.
//!
//! Invariant: an order sees what the orders before it in the batch did. Orders about one aggregate take
//! effect in their order. What cannot be decided ahead (somebody else has the claim, a refusal that rests
//! on what is pending, a limited column) waits until everything before it is durable and goes alone.

use super::CommandService;
use super::desk::Desk;
use super::key::Key;
use super::order::{Done, Order};
use super::refusal::Refusal;
use eventstore::{Command, CommandId, CommitBuilder, Fingerprint, Outcome, Pending, Version};
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

/// The name of a batch as a whole, and what the batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Its permanent name.
    pub command: CommandId,
    /// What it says, so that another one under the same name is noticed.
    pub fingerprint: Fingerprint,
}

impl Name {
    /// The name as an entry of the log, which holds no events of its own.
    pub(super) fn entry(&self) -> Command {
        Command { id: self.command, fingerprint: self.fingerprint, outcome: Outcome::Unchanged }
    }
}

impl CommandService {
    /// Whether a name is new, or was used for the same batch: then true.
    ///
    /// # Errors
    /// When it was used for something else.
    pub fn check_name(&self, name: &Name) -> Result<bool, Refusal> {
        match self.0.store.find_command(&name.command)? {
            Some(found) if found.fingerprint != name.fingerprint => Err(Refusal::KeyReused),
            found => Ok(found.is_some()),
        }
    }

    /// Has the log remember a name before the batch's commands are carried out one by one; durable when this returns.
    /// Blocks.
    ///
    /// # Errors
    /// When the name was used for something else, or the log takes nothing.
    pub fn remember(&self, name: &Name) -> Result<(), Refusal> {
        if self.check_name(name)? {
            return Ok(());
        }
        let mut commit = CommitBuilder::new();
        commit.command(name.entry());
        self.0.store.append(commit.prepare()?)?;
        Ok(())
    }

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
            Ok(Some(found)) => return Step::Answered(self.desk.inner.repeat(&found, key)),
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
                    (self.read)(index).and_then(|order| self.desk.inner.repeat_known(&order, key))
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
