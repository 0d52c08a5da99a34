//! One order, from start to end.

use super::desk::Desk;
use super::key::Key;
use super::order::{Done, Order};
use super::refusal::{Demand, Refusal};
use super::{ATTEMPTS_MAX, CommandService};
use eventstore::CommitBuilder;
use rustc_hash::FxHashSet;

impl CommandService {
    /// Carries out an order; durable when this returns. Blocks.
    ///
    /// # Errors
    /// When it is refused, or cannot be carried out now; see [`Refusal`].
    pub fn execute(&self, order: &Order) -> Result<Done, Refusal> {
        let done = self.carry_out(order);
        let counters = &self.0.counters;
        counters.blocking.add(1);
        counters.conflicts.add(u64::from(matches!(done, Err(Refusal::VersionConflict { .. }))));
        done
    }

    fn carry_out(&self, order: &Order) -> Result<Done, Refusal> {
        let inner = &*self.0;
        let mut desk = Desk::new(inner);
        let key = desk.target(order)?;
        desk.claim(key);
        // With the claim, so that the same order sent twice at once finds what the first one became.
        if let Some(found) = inner.known(order)? {
            return inner.repeat(&found, key);
        }
        let mut moved = (key.stream(), None);
        for _ in 0..ATTEMPTS_MAX {
            match attempt(&mut desk, order, key) {
                Ok(done) => return Ok(done),
                Err(Refusal::Moved { current, what }) => {
                    tracing::debug!(what, "deciding again");
                    moved.1 = current;
                }
                // A state that was kept may be older than the log; only the newest one may refuse. And what refuses it
                // may have come after an order about something else under the same name.
                Err(refusal) if desk.is_current(key)? => {
                    let found = inner.known(order)?;
                    return found.map_or(Err(refusal), |found| inner.repeat(&found, key));
                }
                Err(
                    refusal @ (Refusal::Domain(_)
                    | Refusal::Reference { .. }
                    | Refusal::VersionConflict { .. }),
                ) => {
                    tracing::debug!(%refusal, "deciding again, on newer states");
                }
                Err(refusal) => {
                    desk.discard();
                    return Err(refusal);
                }
            }
            inner.counters.retries.add(1);
            desk.discard();
        }
        let (stream, current) = moved;
        Err(Refusal::VersionConflict {
            stream,
            expected: None,
            current,
            demand: Demand::Retries,
            since: None,
        })
    }
}

fn attempt(desk: &mut Desk<'_>, order: &Order, key: Key) -> Result<Done, Refusal> {
    let inner = desk.inner;
    let draft = loop {
        match desk.decide(order.clone(), key) {
            // The claim is held already, and nobody who has a turn waits for a claim.
            Err(Refusal::NeedsTurns(columns)) => desk.turns.take(columns),
            decided => break decided?,
        }
    };
    let (version, outcome) = (draft.version, draft.outcome());
    let mut commit = CommitBuilder::new();
    draft.add_to(&mut commit, true);
    let receipt = inner.append(commit.prepare()?)?;
    if receipt.duplicate {
        // Only an order under the same name about another target can have come between.
        desk.discard();
        return inner.repeat_known(order, key);
    }
    if version.is_some() && outcome == eventstore::Outcome::Applied {
        desk.is_durable(key, receipt.next);
    }
    desk.clear(&FxHashSet::default());
    Ok(Done { key, version, position: receipt.next, outcome, duplicate: false })
}
