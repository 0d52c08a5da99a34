//! What a check is about: things by their names, and which of them.

use crate::decode::{DecodedEvent, Happening};
use domain::{BoardId, CommentId, DomainEvent, ItemId, ProjectId, WorkspaceId, comment};
use eventstore::{Direction, EventView, Log, ReadError, RecordedEvent, StreamId, Version};
use std::fmt;
use uuid::Uuid;

/// Bytes of a person's name at most.
const PERSON_BYTES_MAX: usize = 255;

/// A thing that read models and the index know, by the name that findings and repairs have for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// `workspace:<uuid>`.
    Workspace(WorkspaceId),
    /// `project:<uuid>`.
    Project(ProjectId),
    /// `board:<uuid>`.
    Board(BoardId),
    /// `item:<uuid>`.
    Item(ItemId),
    /// `comment:<uuid>`.
    Comment(CommentId),
    /// `person:<name>`.
    Person(String),
}

impl Entity {
    /// The entity of a name; nothing where it is no name of one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, id) = name.split_once(':')?;
        Some(match kind {
            "workspace" => Self::Workspace(id.parse().ok()?),
            "project" => Self::Project(id.parse().ok()?),
            "board" => Self::Board(id.parse().ok()?),
            "item" => Self::Item(id.parse().ok()?),
            "comment" => Self::Comment(id.parse().ok()?),
            "person" if !id.is_empty() && id.len() <= PERSON_BYTES_MAX => Self::Person(id.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(id) => write!(f, "workspace:{id}"),
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Board(id) => write!(f, "board:{id}"),
            Self::Item(id) => write!(f, "item:{id}"),
            Self::Comment(id) => write!(f, "comment:{id}"),
            Self::Person(name) => write!(f, "person:{name}"),
        }
    }
}

/// Which things a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// About one item in so many, its comments, and where it stands. What is small (workspaces, projects, boards) is looked at
    /// whole, but for its sums over items, which only [`Scope::All`] can tell.
    Sample {
        /// How many there are to one that is looked at; at least 1.
        one_in: u32,
        /// Decides which ones.
        seed: u64,
    },
    /// One, with what belongs to it; a comment belongs to its item.
    One(Entity),
}

impl Scope {
    /// What has to be replayed for an entity to be told; a comment is told with its item. Reads the log.
    pub(crate) fn of(entity: &Entity, log: &Log) -> Result<Self, ReadError> {
        let Entity::Comment(id) = entity else { return Ok(Self::One(entity.clone())) };
        let Ok(stream) = StreamId::new(id.stream_id()) else { return Ok(Self::One(entity.clone())) };
        let first = log.read_stream(&stream, Version::ZERO, Direction::Forward, 1)?;
        let first = first.first().and_then(RecordedEvent::get).map(DecodedEvent::decode);
        Ok(match first.map(|event| event.happening) {
            Some(Happening::Known(DomainEvent::Comment(comment::Event::Added(event)))) => {
                Self::One(Entity::Item(event.item_id))
            }
            _ => Self::One(entity.clone()),
        })
    }

    /// Whether sums over all items of something can be told.
    pub(crate) fn has_sums_of(&self, entity: &Entity) -> bool {
        match self {
            Self::All => true,
            Self::Sample { .. } => false,
            Self::One(one) => one == entity,
        }
    }

    /// Whether something of its own is looked at.
    pub(crate) fn has(&self, entity: &Entity) -> bool {
        match self {
            Self::All => true,
            Self::Sample { one_in, seed } => match entity {
                Entity::Workspace(id) => chosen(id.uuid(), *seed, *one_in),
                Entity::Project(id) => chosen(id.uuid(), *seed, *one_in),
                Entity::Board(id) => chosen(id.uuid(), *seed, *one_in),
                Entity::Item(id) => chosen(id.uuid(), *seed, *one_in),
                Entity::Comment(id) => chosen(id.uuid(), *seed, *one_in),
                Entity::Person(name) => {
                    let bytes = name.as_bytes().chunks(16).fold(0, |sum: u128, chunk| {
                        let mut part = [0; 16];
                        part[..chunk.len()].copy_from_slice(chunk);
                        mixed(sum ^ u128::from_le_bytes(part), 0).into()
                    });
                    chosen(Uuid::from_u128(bytes), *seed, *one_in)
                }
            },
            Self::One(one) => one == entity,
        }
    }

    /// Whether an item is looked at, and what is said of it elsewhere.
    pub(crate) fn has_item(&self, id: ItemId) -> bool {
        match self {
            Self::All => true,
            Self::Sample { one_in, seed } => chosen(id.uuid(), *seed, *one_in),
            Self::One(one) => *one == Entity::Item(id),
        }
    }

    /// Whether workspaces, projects and boards are looked at, each by itself.
    pub(crate) fn has_structure(&self) -> bool {
        !matches!(self, Self::One(_))
    }
}

fn chosen(id: Uuid, seed: u64, one_in: u32) -> bool {
    mixed(id.as_u128(), seed).is_multiple_of(u64::from(one_in.max(1)))
}

/// SplitMix64's last step over both halves: ids that are derived from each other, or from a clock, are spread alike.
fn mixed(id: u128, seed: u64) -> u64 {
    let mix = |value: u64| {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let (high, low) = Uuid::from_u128(id).as_u64_pair();
    mix(low ^ mix(high ^ mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))))
}

/// What a tag of an event names, such as its item.
pub(crate) fn tagged<T: From<Uuid>>(event: &EventView<'_>, kind: &str) -> Option<T> {
    let id = event.tags().find_map(|tag| tag.strip_prefix(kind)?.strip_prefix(':'))?;
    Uuid::try_parse(id).ok().map(T::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let uuid = Uuid::from_u128(7);
        for entity in [
            Entity::Workspace(WorkspaceId::new(uuid)),
            Entity::Project(ProjectId::new(uuid)),
            Entity::Board(BoardId::new(uuid)),
            Entity::Item(ItemId::new(uuid)),
            Entity::Comment(CommentId::new(uuid)),
            Entity::Person("çelik-3".to_owned()),
        ] {
            assert_eq!(Entity::parse(&entity.to_string()), Some(entity));
        }
        let long = format!("person:{}", "x".repeat(256));
        for none in ["", "item:", "item:7", "item", "person:", "column:7", &long] {
            assert_eq!(Entity::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_sample_is_about_as_large_as_it_says_and_another_with_another_seed() {
        let ids: Vec<_> = (0..20_000).map(|number| ItemId::new(Uuid::from_u128(number << 64))).collect();
        let sample = |seed| -> Vec<_> {
            let scope = Scope::Sample { one_in: 20, seed };
            ids.iter().filter(|id| scope.has_item(**id)).collect()
        };
        let (one, other) = (sample(1), sample(2));
        assert!((800..1_200).contains(&one.len()) && (800..1_200).contains(&other.len()));
        assert_eq!(one, sample(1));
        assert!(one.iter().filter(|id| other.contains(id)).count() < 120);
        assert!(ids.iter().all(|id| Scope::Sample { one_in: 1, seed: 9 }.has_item(*id)));
    }
}
