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
        if let Some(receipt) = inner.known(order)? {
            return inner.repeat(&receipt, key);
        }
        let mut moved = (key.stream(), None);
        for _ in 0..ATTEMPTS_MAX {
            match attempt(&mut desk, order, key) {
                Ok(done) => return Ok(done),
                Err(Refusal::Moved { current, what }) => {
                    tracing::debug!(what, "deciding again");
                    moved.1 = current;
                }
                // A state that was kept may be older than the log; only the newest one may refuse.
                Err(refusal) if desk.is_current(key)? => return Err(refusal),
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
        Err(Refusal::VersionConflict { stream, expected: None, current, demand: Demand::Retries })
    }
}

fn attempt(desk: &mut Desk<'_>, order: &Order, key: Key) -> Result<Done, Refusal> {
    let inner = desk.inner;
    // Whoever takes an item out of a column does not wait for this lock, so every attempt counts on.
    if let Some(census) = &mut desk.census {
        census.advance(&inner.store)?;
    }
    let draft = match desk.decide(order.clone(), key) {
        Err(Refusal::NeedsCount) if desk.census.is_none() => {
            desk.census.insert(inner.census.lock()).advance(&inner.store)?;
            desk.decide(order.clone(), key)
        }
        decided => decided,
    }?;
    let (version, outcome) = (draft.version, draft.outcome());
    let mut commit = CommitBuilder::new();
    draft.add_to(&mut commit, true);
    let receipt = inner.append(commit.prepare()?)?;
    if receipt.duplicate {
        // Only an order under the same name about another target can have come between.
        desk.discard();
        return inner.repeat(&receipt, key);
    }
    if version.is_some() && outcome == eventstore::Outcome::Applied {
        desk.is_durable(key, receipt.next);
    }
    desk.clear(&FxHashSet::default());
    Ok(Done { key, version, position: receipt.next, outcome, duplicate: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Conditions, Intent, Kind, Origin, command_id};
    use eventstore::{Fingerprint, Store, StoreOptions};
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn order(target: Uuid, intent: Intent) -> Order {
        Order {
            target: Some(target),
            intent,
            conditions: Conditions::default(),
            command: command_id(),
            fingerprint: Fingerprint::of(&[]),
            origin: Origin::default(),
        }
    }

    fn read<T: serde::de::DeserializeOwned>(body: Value) -> T {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn an_item_that_leaves_a_limited_column_meanwhile_only_costs_one_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), &StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() })
                .unwrap();
        let service = CommandService::open(store);
        let [workspace, project, board, column, first, second] = [1, 2, 3, 4, 5, 6].map(Uuid::from_u128);
        let run = |target, intent| service.execute(&order(target, intent)).unwrap();
        let create = || Intent::CreateItem(read(json!({"boardId": board, "columnId": column, "title": "x"})));
        run(workspace, Intent::CreateWorkspace(read(json!({"name": "w"}))));
        run(project, Intent::CreateProject(read(json!({"workspaceId": workspace, "name": "p"}))));
        run(board, Intent::CreateBoard(read(json!({"projectId": project, "name": "b"}))));
        let add = json!({"id": column, "name": "c", "wipLimit": 5});
        run(board, Intent::Board(domain::board::Command::AddColumn(read(add))));
        run(first, create());

        let key = Key::new(Kind::Item, second);
        let mut desk = Desk::new(&service.0);
        desk.claim(key);
        // A first attempt has counted; then an item goes, which needs no count and no lock.
        desk.census = Some(service.0.census.lock());
        desk.census.as_mut().unwrap().advance(service.store()).unwrap();
        run(first, Intent::Item(domain::item::Command::Delete));
        let done = attempt(&mut desk, &order(second, create()), key);
        assert!(done.is_ok(), "{done:?}");
    }
}
