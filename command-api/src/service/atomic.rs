//! Many orders as one commit: all of them, or none.

use super::batch::Name;
use super::census::Place;
use super::desk::Desk;
use super::order::{Done, Intent, Order};
use super::refusal::{Demand, Refusal, Shown};
use super::{ATTEMPTS_MAX, CommandService, Inner, Key, Kind};
use domain::{BoardId, ProjectId, WorkspaceId};
use eventstore::limits::COMMIT_COMMANDS_MAX;
use eventstore::{CommitBuilder, FoundCommand};
use rustc_hash::{FxHashMap, FxHashSet};

/// What became of an atomic batch: everything was done, or nothing was, for the reasons given by index.
pub type AtomicOutcome = Result<Vec<Done>, Vec<(usize, Refusal)>>;

impl CommandService {
    /// Carries out orders as one commit, under a name for all of them if there is one; durable when this returns. Blocks.
    ///
    /// # Errors
    /// Every refusal with the index of its order; nothing was appended then. What concerns the commit as a
    /// whole (its size, the store) stands at the first order.
    pub fn atomic(&self, mut orders: Vec<Order>, name: Option<&Name>) -> AtomicOutcome {
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
        if let Some(found) = inner.known_together(&orders)? {
            return repeat(inner, &found, &keys);
        }
        desk.is_atomic = true;
        let mut attempts = 0;
        while attempts < ATTEMPTS_MAX {
            match attempt(&mut desk, &orders, &keys, name) {
                Ok(done) => return Ok(done),
                // What refuses them may have come after somebody else used their names.
                Err(Attempt::Refused(refusals)) => {
                    let found = inner.known_together(&orders)?;
                    return found.map_or(Err(refusals), |found| repeat(inner, &found, &keys));
                }
                Err(Attempt::Again) => {
                    inner.counters.retries.add(1);
                    attempts += 1;
                }
                // Every time it is at least one more, so this ends.
                Err(Attempt::NeedsTurns(columns)) => desk.turns.take(columns),
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
                        since: None,
                    },
                )
            })
            .into_iter()
            .collect())
    }
}

impl Inner {
    /// What the orders became when one commit carried them out before, if one did.
    fn known_together(&self, orders: &[Order]) -> Result<Option<Vec<FoundCommand>>, Vec<(usize, Refusal)>> {
        let mut known: Vec<(usize, FoundCommand)> = Vec::new();
        for (index, order) in orders.iter().enumerate() {
            let found = self.known(order).map_err(|refusal| vec![(index, refusal)])?;
            known.extend(found.map(|found| (index, found)));
        }
        let Some((_, first)) = known.first() else { return Ok(None) };
        if known.len() == orders.len() && known.iter().all(|(_, found)| found.chain == first.chain) {
            return Ok(Some(known.into_iter().map(|(_, found)| found).collect()));
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
    /// Something has moved on.
    Again,
    /// These limited columns are concerned too.
    NeedsTurns(Vec<Place>),
    Refused(Vec<(usize, Refusal)>),
}

fn attempt(
    desk: &mut Desk<'_>,
    orders: &[Order],
    keys: &[Key],
    name: Option<&Name>,
) -> Result<Vec<Done>, Attempt> {
    let inner = desk.inner;
    let mut commit = CommitBuilder::new();
    let mut written = FxHashSet::default();
    let mut outcomes = Vec::with_capacity(orders.len());
    let mut shown = Shown::default();
    let mut refused = Vec::new();
    let mut columns = Vec::new();
    for (index, (order, key)) in orders.iter().zip(keys).enumerate() {
        match desk.decide(order.clone(), *key) {
            Ok(draft) => {
                let outcome = draft.outcome();
                outcomes.push((draft.version, outcome));
                let is_first = outcome == eventstore::Outcome::Applied && written.insert(draft.key);
                draft.add_to(&mut commit, is_first);
            }
            // The rest is decided on states that miss this one, which is good enough to find further columns.
            Err(Refusal::NeedsTurns(further)) => columns.extend(further),
            Err(mut refusal) => {
                shown.cut(&mut refusal);
                refused.push((index, refusal));
            }
        }
    }
    if !columns.is_empty() {
        return Err(Attempt::NeedsTurns(columns));
    }
    if !refused.is_empty() {
        // Only states that are the newest ones may refuse; the batch's own changes are not in the log yet.
        let is_stale = desk.entries.values().filter(|entry| !entry.is_dirty).any(|entry| {
            inner.store.stream_version(&entry.stream).is_ok_and(|version| version != entry.version)
        });
        return Err(if is_stale { Attempt::Again } else { Attempt::Refused(refused) });
    }
    // One more command than a commit takes would be refused for a name that nobody has to have.
    if let Some(name) = name.filter(|_| orders.len() < COMMIT_COMMANDS_MAX) {
        commit.command(name.entry());
    }
    let whole = |refusal| Attempt::Refused(vec![(0, refusal)]);
    let prepared = commit.prepare().map_err(|error| whole(Refusal::from(error)))?;
    let receipt = match inner.append(prepared) {
        Ok(receipt) => receipt,
        Err(Refusal::Moved { .. }) => return Err(Attempt::Again),
        Err(refusal) => return Err(whole(refusal)),
    };
    if receipt.duplicate {
        desk.discard();
        let found = inner.known_together(orders).map_err(Attempt::Refused)?;
        return repeat(inner, &found.unwrap_or_default(), keys).map_err(Attempt::Refused);
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
fn repeat(inner: &Inner, found: &[FoundCommand], keys: &[Key]) -> AtomicOutcome {
    let answer = |(index, (found, key)): (usize, (&FoundCommand, &Key))| {
        inner.repeat(found, *key).map_err(|refusal| vec![(index, refusal)])
    };
    found.iter().zip(keys).enumerate().map(answer).collect()
}
