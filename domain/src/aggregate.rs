//! What the aggregates have in common: a state, its commands and events, and the decision between them.
//!
//! Invariant: `decide` never changes the state and `apply` never refuses; `State::default()` is the
//! state of what does not exist yet. Where the context comes from is not known here.

use crate::{
    error::{DomainError, Thing},
    event::DomainEvent,
    tags::Scope,
};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// What a decision may know of the world: who, when, and a source of randomness, all handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The authenticated subject.
    pub actor: String,
    /// Whom the subject acts for; only imports say so.
    pub on_behalf_of: Option<String>,
    /// When the command arrived: nanoseconds since 1970-01-01T00:00:00Z.
    pub now_ns: i64,
    /// When it really happened, if that is another time: nanoseconds since the same epoch.
    pub occurred_at_ns: Option<i64>,
    /// Whether this is history from elsewhere: taken as it is, such as items without a title.
    pub imported: bool,
    /// Whether the subject acts with an operator's rights, whatever its role: the scope `admin`.
    pub is_privileged: bool,
    /// Random bits, fresh for each command. The same bits and times give the same events.
    pub entropy: u64,
}

impl Context {
    /// Whose deed it counts as: `onBehalfOf ?? actor`.
    #[must_use]
    pub fn person(&self) -> &str {
        self.on_behalf_of.as_deref().unwrap_or(&self.actor)
    }

    /// The business time: when it happened, or else when the command arrived; nanoseconds.
    #[must_use]
    pub fn time_ns(&self) -> i64 {
        self.occurred_at_ns.unwrap_or(self.now_ns)
    }

    /// The `ordinal`-th new id that this command makes: a UUIDv7 of its arrival and its entropy.
    #[must_use]
    pub fn fresh_id(&self, ordinal: u64) -> Uuid {
        let millis = u64::try_from(self.now_ns / 1_000_000).unwrap_or(0);
        let low = scramble(self.entropy ^ scramble(ordinal)).to_be_bytes();
        let high = scramble(self.entropy.wrapping_add(scramble(!ordinal))).to_be_bytes();
        let mut random = [0; 10];
        random[..2].copy_from_slice(&high[..2]);
        random[2..].copy_from_slice(&low);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so different input stays different.
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One consistency boundary: everything in it changes together, by the events of one stream.
pub trait Aggregate: Default {
    /// The category of its streams: `<category>-<uuid>`.
    const CATEGORY: &'static str;
    /// The version of the state's shape and meaning, for states that are kept in snapshots. To be raised with every
    /// change to the fields of the state (their order and types included) or to what `apply` makes of an event: a
    /// snapshot does not describe itself, so an old one would be taken for something that it is not. Snapshots of
    /// another version are passed over, and the history is folded instead.
    const STATE_VERSION: u32;
    /// What names it.
    type Id: Copy;
    /// What can be asked of it.
    type Command;
    /// What can happen to it.
    type Event: Into<DomainEvent> + TryFrom<DomainEvent>;

    /// What happens if the command is accepted; nothing (an empty list) where it changes nothing.
    ///
    /// # Errors
    /// When the command is refused; the error says why.
    fn decide(&self, context: &Context, command: Self::Command) -> Result<Vec<Self::Event>, DomainError>;

    /// Takes in what has happened. Total: an event that makes no sense here is passed over.
    fn apply(&mut self, event: &Self::Event);

    /// What the tags of its events are made of; `None` before its first event was applied.
    fn scope(&self, id: Self::Id) -> Option<Scope>;
}

/// Where a thing stands between its creation and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Life {
    /// Nothing has happened yet.
    #[default]
    Absent,
    /// It can be acted on.
    Present,
    /// It is kept but not to be changed; some things can be restored.
    Archived,
    /// It is gone and its id is never used again.
    Deleted,
}

impl Life {
    /// May it be created?
    pub(crate) fn check_absent(self, thing: Thing) -> Result<(), DomainError> {
        match self {
            Self::Absent => Ok(()),
            Self::Present | Self::Archived => Err(DomainError::AlreadyExists { thing }),
            Self::Deleted => Err(DomainError::Gone { thing }),
        }
    }

    /// Is it there, archived or not?
    pub(crate) fn check_exists(self, thing: Thing) -> Result<(), DomainError> {
        match self {
            Self::Absent => Err(DomainError::NotFound { thing }),
            Self::Present | Self::Archived => Ok(()),
            Self::Deleted => Err(DomainError::Gone { thing }),
        }
    }

    /// May it be changed?
    pub(crate) fn check_open(self, thing: Thing) -> Result<(), DomainError> {
        self.check_exists(thing)?;
        if self == Self::Archived { Err(DomainError::Archived { thing }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_differ_by_ordinal_and_repeat_by_context() {
        let context = Context {
            actor: "a".into(),
            on_behalf_of: None,
            now_ns: 1_700_000_000_000_000_000,
            occurred_at_ns: None,
            imported: false,
            is_privileged: false,
            entropy: 7,
        };
        assert_ne!(context.fresh_id(0), context.fresh_id(1));
        assert_eq!(context.fresh_id(3), context.clone().fresh_id(3));
        assert_eq!(context.fresh_id(0).get_version_num(), 7);
    }
}
