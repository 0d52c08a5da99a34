//! Many orders at once, each on its own: decided one after another against states that are ahead of the log, handed to
//! it a hundred to a commit without waiting, answered when all are durable.
//!
//! Sharing a commit saves the log a frame and a link of its chain per order, and no more: each order has its own entry
//! in it, by which it is known, repeated and answered. When the log refuses a commit, its orders are carried out again
//! in commits of their own, so that one of them is never another's fate.
//!
//! Invariant: an order sees what the orders before it in the batch did. Orders about one aggregate take
//! effect in their order. What cannot be decided ahead (somebody else has the claim, a refusal that rests
//! on what is pending, a limited column) waits until everything before it is durable and goes alone.

use super::CommandService;
use super::desk::Desk;
use super::draft::Draft;
use super::key::Key;
use super::order::{Done, Order};
use super::refusal::{Refusal, Shown};
use eventstore::{
    AppendError, Command, CommandId, CommitBuilder, Fingerprint, Guard, Outcome, Pending, Receipt, StreamId,
    Version,
};
use rustc_hash::FxHashSet;

/// Orders that share a commit, at most. A commit is one frame with one link of the chain, and refused as a whole.
const COMMIT_ORDERS_MAX: usize = 128;

/// Bytes of payloads in a commit that no more orders are added to.
const COMMIT_BYTES_FULL: usize = 1 << 20;

/// An order that waits for its commit.
struct Waiting {
    index: usize,
    command: CommandId,
    key: Key,
    version: Option<Version>,
    outcome: Outcome,
    /// Events of the commit up to the order's own last one.
    events: u64,
}

/// Orders on their way in one commit. `None` where the log did not take it.
struct Sent {
    orders: Vec<Waiting>,
    pending: Option<Pending>,
}

/// The commit that orders are being added to.
#[derive(Default)]
struct Open {
    commit: CommitBuilder,
    orders: Vec<Waiting>,
    /// Streams that it writes.
    written: FxHashSet<StreamId>,
    /// Most orders of a batch rest on the same few things.
    guards: FxHashSet<Guard>,
    events: u64,
    bytes: usize,
}

impl Open {
    /// Whether a draft has to wait for this commit, because it rests on what the commit is about to write: a guard is
    /// about what was there before its commit.
    fn is_before(&self, draft: &Draft) -> bool {
        draft.guards.iter().any(|guard| match guard {
            Guard::StreamAt(stream, _) => self.written.contains(stream),
            Guard::NoNewer(..) => false,
        })
    }

    fn add(&mut self, index: usize, mut draft: Draft) {
        let (key, version, outcome, command) = (draft.key, draft.version, draft.outcome(), draft.command);
        let is_first = outcome == Outcome::Applied && self.written.insert(draft.stream.clone());
        draft.guards.retain(|guard| self.guards.insert(guard.clone()));
        self.events += draft.events.len() as u64;
        self.bytes += draft.events.iter().map(|event| event.payload.len()).sum::<usize>();
        draft.add_to(&mut self.commit, is_first);
        self.orders.push(Waiting { index, command, key, version, outcome, events: self.events });
    }
}

/// How far an order got without waiting.
enum Step {
    Answered(Result<Done, Refusal>),
    /// It is part of a commit, and answered when that is durable.
    Added,
    /// It goes alone, after everything before it.
    Alone,
}

struct Batch<'s, 'r> {
    service: &'s CommandService,
    read: &'r dyn Fn(usize) -> Result<Order, Refusal>,
    desk: Desk<'s>,
    open: Open,
    sent: Vec<Sent>,
    /// Orders that share a commit, at most.
    shared_by: usize,
    /// Aggregates that an order on its way has found as they should be.
    unchanged: FxHashSet<Key>,
    /// Commands of this batch: one that stands twice is known only once the first one is durable.
    seen: FxHashSet<CommandId>,
    results: Vec<Result<Done, Refusal>>,
    shown: Shown,
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
            desk: Desk::new(&self.0).with_room(count),
            open: Open::default(),
            sent: Vec::new(),
            shared_by: COMMIT_ORDERS_MAX,
            unchanged: FxHashSet::default(),
            shown: Shown::default(),
            seen: FxHashSet::default(),
            // Every order has its place in the answers; those that wait get theirs when they are settled.
            results: (0..count).map(|_| Err(Refusal::Overloaded)).collect(),
        };
        batch.take(0..count);
        batch.settle();
        batch.results
    }
}

impl Batch<'_, '_> {
    fn take(&mut self, indexes: impl IntoIterator<Item = usize>) {
        for index in indexes {
            match self.step(index) {
                Step::Answered(result) => self.answer(index, result),
                Step::Added => {}
                Step::Alone => {
                    self.settle();
                    let result = self.alone(index);
                    self.answer(index, result);
                }
            }
        }
    }

    fn answer(&mut self, index: usize, mut result: Result<Done, Refusal>) {
        if let Err(refusal) = &mut result {
            self.shown.cut(refusal);
        }
        self.results[index] = result;
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
        // Most orders of a repeated import end here, so this comes before everything that costs. It cannot be left to the log: what
        // is decided about an order that was carried out long ago would be on the desk for the orders after it.
        match self.desk.inner.known(&order) {
            Ok(None) => {}
            Ok(Some(found)) => return Step::Answered(self.desk.inner.repeat(&found, key)),
            Err(refusal) => return Step::Answered(Err(refusal)),
        }
        if self.unchanged.contains(&key) {
            // The log would take this one also where it does not take that one, and that one would follow it then.
            self.settle();
        }
        match self.desk.try_claim(key) {
            Ok(true) => {}
            Ok(false) => return Step::Alone,
            Err(refusal) => return Step::Answered(Err(refusal)),
        }
        let draft = match self.desk.decide(order, key) {
            Ok(draft) => draft,
            Err(refusal @ (Refusal::Domain(_) | Refusal::Reference { .. })) if self.is_final(key) => {
                return Step::Answered(self.refuse(index, key, refusal));
            }
            Err(_) => return Step::Alone,
        };
        if self.open.is_before(&draft) {
            self.send();
        }
        if draft.outcome() == Outcome::Unchanged {
            self.unchanged.insert(key);
        }
        self.open.add(index, draft);
        if self.open.orders.len() >= self.shared_by || self.open.bytes >= COMMIT_BYTES_FULL {
            self.send();
        }
        Step::Added
    }

    fn is_final(&self, key: Key) -> bool {
        // Without a claim-holder's pending commits below it, and on the newest states, a refusal is final.
        self.desk.is_current(key).unwrap_or(false)
    }

    /// The refusal, unless the order was carried out since it was looked for: what refuses it may have come after it.
    fn refuse(&self, index: usize, key: Key, refusal: Refusal) -> Result<Done, Refusal> {
        let found = self.desk.inner.known(&(self.read)(index)?)?;
        found.map_or(Err(refusal), |found| self.desk.inner.repeat(&found, key))
    }

    /// Hands the open commit to the log, if there is anything in it.
    fn send(&mut self) {
        let Open { commit, orders, .. } = std::mem::take(&mut self.open);
        if orders.is_empty() {
            return;
        }
        // Whatever the log has against it is said again to the orders one by one.
        let pending = commit.prepare().ok().and_then(|commit| self.desk.inner.store.submit(commit).ok());
        self.sent.push(Sent { orders, pending });
    }

    /// Waits for everything sent, hands the states to the cache, and does again what has to be.
    fn settle(&mut self) {
        self.send();
        self.unchanged.clear();
        let mut failed = FxHashSet::default();
        let mut again = Vec::new();
        for Sent { orders, pending } in std::mem::take(&mut self.sent) {
            match pending.map(Pending::wait) {
                Some(Ok(receipt)) if !receipt.duplicate => self.meet(orders, &receipt),
                // The log refuses it, or another request has carried out the same commands meanwhile: then the desk has
                // counted them twice. One order's trouble is all of theirs here.
                None
                | Some(
                    Ok(_)
                    | Err(
                        AppendError::WrongExpectedVersion { .. }
                        | AppendError::GuardFailed { .. }
                        | AppendError::CommandReused { .. }
                        | AppendError::CommandsSplit { .. }
                        | AppendError::LargerThanSegment { .. },
                    ),
                ) => {
                    failed.extend(orders.iter().map(|waiting| waiting.key));
                    again.extend(orders.iter().map(|waiting| (waiting.index, waiting.command)));
                }
                Some(Err(error)) => {
                    failed.extend(orders.iter().map(|waiting| waiting.key));
                    for waiting in orders {
                        self.results[waiting.index] = Err(error.clone().into());
                    }
                }
            }
        }
        // References may be what has moved on.
        if !again.is_empty() {
            failed.extend(self.desk.entries.iter().filter(|(_, entry)| !entry.is_dirty).map(|(key, _)| *key));
        }
        self.desk.clear(&failed);
        self.carry_out_again(again);
    }

    /// A commit is durable: its orders are answered.
    fn meet(&mut self, orders: Vec<Waiting>, receipt: &Receipt) {
        for Waiting { index, key, version, outcome, events, .. } in orders {
            if outcome == Outcome::Applied {
                self.desk.is_durable(key, receipt.next);
            }
            let position = receipt.first.plus(events);
            self.results[index] = Ok(Done { key, version, position, outcome, duplicate: false });
        }
    }

    /// First each in a commit of its own, still without waiting for one another; what fails even so goes alone.
    fn carry_out_again(&mut self, again: Vec<(usize, CommandId)>) {
        if self.shared_by == 1 {
            for (index, _) in again {
                let result = self.alone(index);
                self.answer(index, result);
            }
        } else if !again.is_empty() {
            let shared_by = std::mem::replace(&mut self.shared_by, 1);
            for (_, command) in &again {
                self.seen.remove(command);
            }
            self.take(again.into_iter().map(|(index, _)| index));
            self.settle();
            self.shared_by = shared_by;
        }
    }
}
