//! A read model compared with a replay of the log, while it moves on.
//!
//! ```text
//! live    ──●────────●─────●──────▶   a few hundred parts at a time are observed under the lock, with the checkpoint
//! replay  ──┴────────┴─────┴──────▶   goes on to exactly that checkpoint, and is asked for the same parts
//! ```
//!
//! Invariant: two observations are compared only at the same lineage. So there is nothing to be patient about: what differs,
//! differs. A model that moves on meanwhile only means that different parts are compared at different positions.

use crate::checker::entity::Scope;
use crate::checker::gait::Gait;
use crate::checker::inspect::Inspect;
use crate::checker::replay::{CheckError, Replay};
use crate::checker::report::{Checked, Finding};
use crate::control::Letters;
use crate::rebuild::ProjectionName;
use crate::shared::Shared;
use eventstore::{Lineage, Log};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::Instant;

/// Parts that are observed under one lock.
const PARTS: usize = 256;

/// Compares a model with the log.
pub(crate) fn compare<M: Inspect>(
    projection: ProjectionName,
    log: &Log,
    live: &Shared<M>,
    scope: &Scope,
    gait: &mut Gait<'_>,
) -> Result<Checked, CheckError> {
    let began = Instant::now();
    let mut replay = Replay::<M>::begin(log, scope, live.letters());
    // Most of the way goes without looking at the live one.
    replay.approach(live.checkpoint(), gait)?;
    let ((at, letters), found) = observe(live, |model| model.keys(scope))?;
    replay.obey(letters)?;
    replay.advance(&at, gait)?;
    let mut keys = replay.model.keys(scope);
    let known: FxHashSet<_> = keys.iter().cloned().collect();
    keys.extend(found.into_iter().filter(|key| !known.contains(key)));
    drop(known);
    let mut checked = Checked::begin(projection, at.next);
    for parts in keys.chunks(PARTS) {
        let ((at, letters), found) =
            observe(live, |model| -> Vec<_> { parts.iter().map(|key| model.observe(key, scope)).collect() })?;
        replay.obey(letters)?;
        replay.advance(&at, gait)?;
        for (key, found) in parts.iter().zip(found) {
            let expected = replay.model.observe(key, scope);
            checked.compared += 1;
            if found != expected {
                for (entity, part, class) in replay.model.judge(key, found.as_ref(), expected.as_ref()) {
                    let (expected, actual) =
                        (expected.as_ref().map(|seen| seen.digest), found.as_ref().map(|seen| seen.digest));
                    checked.add(Finding { class, entity, part, expected, actual });
                }
            }
        }
        gait.breathe()?;
    }
    checked.took = began.elapsed();
    Ok(checked)
}

/// What is seen of a model under one lock, with where it is and what it passes over.
fn observe<M: Inspect, T>(
    live: &Shared<M>,
    see: impl FnOnce(&M) -> T,
) -> Result<((Lineage, Arc<Letters>), T), CheckError> {
    let model = live.read();
    if live.waiting().is_some_and(|waiting| waiting.is_torn) {
        // It has half of an event, and is made anew once that is decided.
        return Err(CheckError::Remade);
    }
    Ok(((model.checkpoint(), live.letters()), see(&model)))
}
