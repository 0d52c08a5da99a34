//! One thing of a read model put in order: replaced by what a replay of the log makes of it.
//!
//! Invariant: the model is what it was in all else, and at the same checkpoint; so a repair that was not needed changes nothing.

use crate::checker::entity::{Entity, Scope};
use crate::checker::gait::Gait;
use crate::checker::inspect::Inspect;
use crate::checker::replay::{CheckError, Replay};
use crate::shared::Shared;
use eventstore::Log;

/// Commits that are taken in under the model's lock at most: its readers wait.
const BEHIND_MAX: usize = 256;
/// How often the replay goes after a model that has moved on further.
const ATTEMPTS: usize = 100;

/// Puts an entity of a model in order; says whether anything was wrong with it. Blocks for a scan of the log, most of it
/// without a lock.
pub(crate) fn repair<M: Inspect>(
    log: &Log,
    live: &Shared<M>,
    entity: &Entity,
    gait: &mut Gait<'_>,
) -> Result<bool, CheckError> {
    let scope = Scope::of(entity, log)?;
    let Scope::One(whole) = &scope else { return Ok(false) };
    let mut replay = Replay::<M>::begin(log, &scope, live.letters());
    for _ in 0..ATTEMPTS {
        replay.approach(live.checkpoint(), gait)?;
        let mut model = live.write();
        let at = model.checkpoint();
        if live.waiting().is_some_and(|waiting| waiting.is_torn) {
            return Err(CheckError::Remade);
        }
        replay.obey(live.letters())?;
        for _ in 0..BEHIND_MAX {
            if replay.model.checkpoint() == at || !replay.step(at.next)? {
                break;
            }
        }
        if replay.model.checkpoint() != at {
            drop(model);
            gait.breathe()?;
            continue;
        }
        let mut keys = replay.model.keys(&scope);
        keys.extend(model.keys(&scope));
        let is_wrong = keys.iter().any(|key| model.observe(key, &scope) != replay.model.observe(key, &scope));
        if is_wrong {
            model.replace(whole, &replay.model);
        }
        return Ok(is_wrong);
    }
    Err(CheckError::Outrun)
}
