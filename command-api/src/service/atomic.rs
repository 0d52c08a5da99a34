//! Many orders as one commit: all of them, or none.

use super::desk::Desk;
use super::order::{Done, Intent, Order};
use super::refusal::{Demand, Refusal};
use super::{ATTEMPTS_MAX, CommandService, Inner, Key, Kind};
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::{CommitBuilder, Receipt};
use rustc_hash::{FxHashMap, FxHashSet};

/// What became of an atomic batch: everything was done, or nothing was, for the reasons given by index.
pub type AtomicOutcome = Result<Vec<Done>, Vec<(usize, Refusal)>>;

impl CommandService {
    /// Carries out orders as one commit; durable when this returns. Blocks.
    ///
    /// # Errors
    /// Every refusal with the index of its order; nothing was appended then. What concerns the commit as a
    /// whole (its size, the store) stands at the first order.
    pub fn atomic(&self, mut orders: Vec<Order>) -> AtomicOutcome {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let inner = &*self.0;
        let mut desk = Desk::new(inner);
        let mut keys = Vec::with_capacity(orders.len());
        let mut homes = Homes::default();
        for (index, order) in orders.iter_mut().enumerate() {
            homes.complete(order);
            // An id that is new is chosen once, whatever the number of attempts.
            let key = desk.target(order).map_err(|refusal| vec![(index, refusal)])?;
            order.target = Some(key.id);
            homes.take_in(order, key, &mut desk);
            keys.push(key);
        }
        desk.discard();
        let mut in_order = keys.clone();
        in_order.sort_unstable();
        in_order.dedup();
        for key in in_order {
            desk.claim(key);
        }
        if let Some(receipt) = self.known_together(&orders)? {
            return repeat(inner, &receipt, &keys);
        }
        desk.is_atomic = true;
        for _ in 0..ATTEMPTS_MAX {
            match attempt(&mut desk, &orders, &keys) {
                Ok(done) => return Ok(done),
                Err(Attempt::Refused(refusals)) => return Err(refusals),
                Err(Attempt::Again) => {}
            }
            desk.discard();
        }
        let stream = keys.first().map(Key::stream);
        Err(stream
            .map(|stream| {
                (
                    0,
                    Refusal::VersionConflict {
                        stream,
                        expected: None,
                        current: None,
                        demand: Demand::Retries,
                    },
                )
            })
            .into_iter()
            .collect())
    }

    /// The receipt of the commit that carried out all of the orders before, if there is one.
    fn known_together(&self, orders: &[Order]) -> Result<Option<Receipt>, Vec<(usize, Refusal)>> {
        let mut known: Vec<(usize, Receipt)> = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            let found = self.0.known(order).map_err(|refusal| vec![(index, refusal)])?;
            known.extend(found.map(|receipt| (index, receipt)));
        }
        let Some((_, first)) = known.first() else { return Ok(None) };
        let together = |receipt: &Receipt| {
            receipt.first == first.first
                && receipt.next == first.next
                && receipt.recorded_at == first.recorded_at
        };
        if known.len() == orders.len() && known.iter().all(|(_, receipt)| together(receipt)) {
            return Ok(Some(first.clone()));
        }
        Err(known.into_iter().map(|(index, _)| (index, Refusal::CommandsSplit)).collect())
    }
}

/// Where the boards belong that are created by the batch itself: no log knows it yet.
#[derive(Default)]
struct Homes {
    projects: FxHashMap<ProjectId, WorkspaceId>,
    boards: FxHashMap<BoardId, WorkspaceId>,
}

impl Homes {
    fn take_in(&mut self, order: &Order, key: Key, desk: &mut Desk<'_>) {
        match &order.intent {
            Intent::CreateProject(create) => {
                self.projects.insert(ProjectId::new(key.id), create.workspace_id);
            }
            Intent::CreateBoard(create) => {
                let workspace = create
                    .workspace_id
                    .or_else(|| self.projects.get(&create.project_id).copied())
                    .or_else(|| {
                        let project = Key::new(Kind::Project, create.project_id.uuid());
                        let home = desk.home(project, order.origin.principal.tenants()).ok()??;
                        Some(WorkspaceId::new(home.workspace()))
                    });
                self.boards.extend(workspace.map(|workspace| (BoardId::new(key.id), workspace)));
            }
            _ => {}
        }
    }

    /// An item's id follows from its external key and its workspace, which its board tells otherwise.
    fn complete(&self, order: &mut Order) {
        if let Intent::CreateItem(create) = &mut order.intent
            && create.workspace_id.is_none()
        {
            create.workspace_id = self.boards.get(&create.board_id).copied();
        }
    }
}

enum Attempt {
    /// Something has moved on, or columns have to be counted.
    Again,
    Refused(Vec<(usize, Refusal)>),
}

fn attempt(desk: &mut Desk<'_>, orders: &[Order], keys: &[Key]) -> Result<Vec<Done>, Attempt> {
    let inner = desk.inner;
    if let Some(census) = &mut desk.census {
        census.advance(&inner.store).map_err(|refusal| Attempt::Refused(vec![(0, refusal)]))?;
    }
    let mut commit = CommitBuilder::new();
    let mut written = FxHashSet::default();
    let mut outcomes = Vec::with_capacity(orders.len());
    let mut refused = Vec::new();
    for (index, (order, key)) in orders.iter().zip(keys).enumerate() {
        match desk.decide(order.clone(), *key) {
            Ok(draft) => {
                let outcome = draft.outcome();
                outcomes.push((draft.version, outcome));
                let is_first = outcome == eventstore::Outcome::Applied && written.insert(draft.key);
                draft.add_to(&mut commit, is_first);
            }
            Err(Refusal::NeedsCount) if desk.census.is_none() => {
                desk.census = Some(inner.census.lock());
                return Err(Attempt::Again);
            }
            Err(refusal) => refused.push((index, refusal)),
        }
    }
    if !refused.is_empty() {
        // Only states that are the newest ones may refuse; the batch's own changes are not in the log yet.
        let is_stale = desk.entries.values().filter(|entry| !entry.is_dirty).any(|entry| {
            inner.store.stream_version(&entry.stream).is_ok_and(|version| version != entry.version)
        });
        return Err(if is_stale { Attempt::Again } else { Attempt::Refused(refused) });
    }
    let whole = |refusal| Attempt::Refused(vec![(0, refusal)]);
    let prepared = commit.prepare().map_err(|error| whole(Refusal::from(error)))?;
    let receipt = match inner.store.append(prepared).map_err(Refusal::from) {
        Ok(receipt) => receipt,
        Err(Refusal::Moved { .. }) => return Err(Attempt::Again),
        Err(refusal) => return Err(whole(refusal)),
    };
    if receipt.duplicate {
        desk.discard();
        return repeat(inner, &receipt, keys).map_err(Attempt::Refused);
    }
    for key in &written {
        desk.is_durable(*key, receipt.next);
    }
    desk.clear(&FxHashSet::default());
    Ok(keys
        .iter()
        .zip(outcomes)
        .map(|(key, (version, outcome))| Done {
            key: *key,
            version,
            position: receipt.next,
            outcome,
            duplicate: false,
        })
        .collect())
}

/// The first answers again.
fn repeat(inner: &Inner, receipt: &Receipt, keys: &[Key]) -> AtomicOutcome {
    let answer =
        |(index, key): (usize, &Key)| inner.repeat(receipt, *key).map_err(|refusal| vec![(index, refusal)]);
    keys.iter().enumerate().map(answer).collect()
}
