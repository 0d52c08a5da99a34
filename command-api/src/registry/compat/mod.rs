//! Does one schema take everything that another one takes?
//!
//! The rules are sound and not complete: what they let pass is true, what they cannot judge they refuse and say so. A
//! schema is taken apart into single requirements, and each of them has to follow from some part of the other schema:
//! types may widen, lists of values grow, bounds loosen, what was required may no longer be; what is added has to be
//! optional. Alternatives (`anyOf`, `oneOf`) of the narrower side are gone through one by one; of the wider side one of
//! `anyOf` has to take each. `not`, `if` and the `unevaluated…` keywords are only compared: they have to be the same.
//!
//! One assumption stands in place of a proof: where a schema declares members (`properties`) and says nothing about
//! further ones (`additionalProperties` is absent), events are taken to hold none that it does not declare. Otherwise
//! no member could ever be added to an open schema. `additionalProperties: true` says that they may be there, and is
//! taken at its word.
//!
//! Invariant: both schemas are plain (references followed, only what asserts something); see `schema`.

mod bounds;
mod elements;
mod given;
mod judge;
mod members;

#[cfg(test)]
mod tests;

use given::Given;
use judge::Judge;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a new version of a schema promises about the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Compatibility {
    /// Who knows the new version can read events of the old one.
    #[default]
    Backward,
    /// Who knows the old version can read events of the new one.
    Forward,
    /// Both.
    Full,
    /// Nothing.
    None,
}

/// Why a promise would be broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Which promise: `backward` or `forward`.
    pub breaks: &'static str,
    /// JSON pointer to what refuses: in the new schema for `backward`, in the old one for `forward`; references followed.
    pub pointer: String,
    /// What is the matter with it.
    pub reason: String,
}

/// Most differences that are told.
const DIFFERENCES_MAX: usize = 50;
/// Most steps that a judgement takes.
const STEPS_MAX: usize = 10_000;

/// What keeps the new schema from promising this about the old one; nothing if it holds.
pub(crate) fn differences(old: &Value, new: &Value, promise: Compatibility) -> Vec<Difference> {
    let judge = |wide: &Value, narrow: &Value, breaks| {
        let found = Judge::new(narrow).follows(wide, &Given::of(narrow), "");
        found.into_iter().take(DIFFERENCES_MAX).map(move |(pointer, reason)| Difference {
            breaks,
            pointer,
            reason,
        })
    };
    let (backward, forward) = match promise {
        Compatibility::Backward => (true, false),
        Compatibility::Forward => (false, true),
        Compatibility::Full => (true, true),
        Compatibility::None => (false, false),
    };
    let mut found = Vec::new();
    if backward {
        found.extend(judge(new, old, "backward"));
    }
    if forward {
        found.extend(judge(old, new, "forward"));
    }
    found
}
