//! What must hold before a decision is taken: demanded versions, ids and names that agree.
//!
//! Invariant: nothing is changed here; a broken condition is a refusal that names its member or header.

use super::desk::Entry;
use super::order::{Conditions, IfMatch};
use super::refusal::{Demand, Refusal};
use domain::Life;
use uuid::Uuid;

/// An external key is unique because the id follows from it.
pub(super) fn check_derived(id: Uuid, derived: Option<Uuid>) -> Result<(), Refusal> {
    if derived.is_some_and(|derived| derived != id) {
        let detail = "the id does not follow from the external key; leave the id out, or derive it";
        return Err(Refusal::Contradiction { field: "id", detail });
    }
    Ok(())
}

pub(super) fn agrees<T: PartialEq + Copy>(
    field: &'static str,
    said: Option<T>,
    actual: T,
) -> Result<(), Refusal> {
    match said {
        Some(said) if said != actual => {
            Err(Refusal::Contradiction { field, detail: "what the order belongs to is in another one" })
        }
        _ => Ok(()),
    }
}

pub(super) fn check(entry: &Entry, conditions: &Conditions, creates: bool) -> Result<(), Refusal> {
    let conflict = |expected, demand| {
        Err(Refusal::VersionConflict {
            stream: entry.stream.clone(),
            expected,
            current: entry.version,
            demand,
        })
    };
    if conditions.if_none_match && entry.version.is_some() {
        return conflict(None, Demand::IfNoneMatch);
    }
    // What is not there or was deleted is 404 or 410 from the domain, whatever version was demanded; but whoever
    // creates under the condition that it has a version does not want what would come of it.
    let life = entry.state.life();
    if life == Life::Deleted || (life == Life::Absent && !creates) {
        return Ok(());
    }
    match &conditions.if_match {
        Some(IfMatch::Versions(versions))
            if !entry.version.is_some_and(|version| versions.contains(&version)) =>
        {
            return conflict(versions.first().copied(), Demand::IfMatch);
        }
        Some(IfMatch::Any) if entry.version.is_none() => return conflict(None, Demand::IfMatch),
        _ => {}
    }
    match conditions.expected_version {
        Some(expected) if entry.version != Some(expected) => {
            conflict(Some(expected), Demand::ExpectedVersion)
        }
        _ => Ok(()),
    }
}
