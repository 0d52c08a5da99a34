//! What is asked and what is answered, as small values that can be compared, and as text for people.

use std::collections::BTreeMap;
use std::fmt;

/// Of an item: how many events it has had, less one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version(pub(crate) u64);

/// How many events the whole log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position(pub(crate) u64);

/// One of a board's items; whoever deletes one makes room for the next generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ItemName {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// An idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyName {
    pub(crate) client: u32,
    pub(crate) number: u32,
}

/// One of few titles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Title(pub(crate) u64);

/// A board's columns; as many items as like may be to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    ToDo,
    Doing,
}

/// What is wanted of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Create(Title, Column),
    Retitle(Title),
    Move(Column),
    Complete,
    Reopen,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OnConflict {
    Reject,
    Merge,
    LastWriterWins,
}

/// All that makes a request another one under the same key: path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) item: ItemName,
    pub(crate) what: What,
    pub(crate) base: Option<(Version, OnConflict)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Command {
    pub(crate) request: Request,
    pub(crate) if_match: Option<Version>,
    pub(crate) key: Option<KeyName>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Input {
    Command(Command),
    /// All of it is looked at, with nobody else there.
    Read,
}

/// A command that was carried out, or found that there was nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Done {
    pub(crate) is_new: bool,
    pub(crate) is_applied: bool,
    pub(crate) version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    NotFound,
    Gone,
    AlreadyExists,
    /// 412, with the version that it has, if it is there.
    Precondition(Option<Version>),
    /// 409, with the version that it has.
    Conflict(Version),
    ColumnFull,
    KeyReused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Done, Position),
    Refused(Refused),
    Seen(View),
    /// Nothing that this model ever answers.
    Else(String),
}

/// An item from outside; nothing but its version once it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) version: Version,
    pub(crate) present: Option<(Title, Column, bool)>,
}

/// A board's items from outside.
pub(crate) type View = BTreeMap<ItemName, Looks>;

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key-{}-{}", self.client, self.number)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { item, what, base } = self.request;
        write!(f, "{what:?} {item}")?;
        if let Some(version) = self.if_match {
            write!(f, " If-Match \"{}\"", version.0)?;
        }
        if let Some((version, on_conflict)) = base {
            write!(f, " baseVersion {} {on_conflict:?}", version.0)?;
        }
        self.key.map_or(Ok(()), |key| write!(f, " {key}"))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Read => f.write_str("what the log says in the end"),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = if self.is_new { 201 } else { 200 };
        let outcome = if self.is_applied { "applied" } else { "unchanged" };
        write!(f, "{status} {outcome} version {}", self.version.0)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(done, position) => write!(f, "{done} position {}", position.0),
            Self::Refused(refused) => match refused {
                Refused::NotFound => f.write_str("404 not_found"),
                Refused::Gone => f.write_str("410 gone"),
                Refused::AlreadyExists => f.write_str("409 already_exists"),
                Refused::Precondition(Some(version)) => {
                    write!(f, "412 version_conflict, it is at {}", version.0)
                }
                Refused::Precondition(None) => f.write_str("412 version_conflict, it is not there"),
                Refused::Conflict(version) => write!(f, "409 version_conflict, it is at {}", version.0),
                Refused::ColumnFull => f.write_str("422 wip_limit_reached"),
                Refused::KeyReused => f.write_str("422 idempotency_key_reused"),
            },
            Self::Seen(view) => {
                let present = view.iter().filter(|(_, looks)| looks.present.is_some());
                present.clone().try_for_each(|(name, looks)| write!(f, "{name} {looks}; "))?;
                write!(f, "{} deleted", view.len() - present.count())
            }
            Self::Else(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}", self.version.0)?;
        match self.present {
            Some((title, column, is_completed)) => {
                write!(f, " {title:?} {column:?}{}", if is_completed { " completed" } else { "" })
            }
            None => f.write_str(" deleted"),
        }
    }
}
