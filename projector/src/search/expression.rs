//! What a query says, as a tree: the query language's meaning, apart from how it is written and how it is looked up.
//!
//! Invariant: a tree is bounded in depth and size (see [`parser`](super::parser)), so whatever walks it may recurse.

use crate::models::{Models, Name};
use crate::search::parser;
use crate::search::words::fold;
use domain::WorkspaceId;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use uuid::Uuid;

/// A query, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expression {
    /// Nothing for a query without any condition: it holds for everything.
    pub(crate) root: Option<Node>,
}

/// What is wrong with a query, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at}; {expected}")]
pub struct Mistake {
    /// Characters before it.
    pub at: usize,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub expected: String,
}

/// A condition and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Bytes of the query's text.
    pub(crate) span: Range<usize>,
    pub(crate) condition: Condition,
}

/// What has to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Words(Words),
    /// A key, or its end from some part on, begins so (folded).
    KeyPrefix(String),
    Is(Is),
    Has(Has),
    Within(Moment, Days),
    Place(Place),
    Assignee(String),
    /// A custom field has this value (both folded).
    Field(String, String),
}

/// Words that stand somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) scope: Scope,
    /// One or, one after the other, several; folded.
    pub(crate) words: Vec<String>,
    pub(crate) manner: Manner,
}

/// How a word has to stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it is, or in another form where the search says so.
    Plain,
    /// As it is.
    Quoted,
    /// As the beginning of a word.
    Prefix,
    /// With at most so many letters inserted, left out, replaced or swapped.
    Fuzzy(u8),
}

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Anywhere,
    Title,
    /// Descriptions and comments.
    Text,
    Description,
    Comment,
    Key,
}

/// What an item can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    Open,
    Completed,
    Overdue,
    Unassigned,
}

/// What an item can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Has {
    Comments,
    Attachments,
    Links,
    Due,
    Description,
    Assignee,
}

/// Points in time that a thing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Created,
    Updated,
    Completed,
    Due,
}

/// Days since 1970: from the first on, before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) from: Option<i64>,
    pub(crate) before: Option<i64>,
}

/// Where a thing belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: PlaceKind,
    pub(crate) given: String,
    /// What is meant: the id that was given, or all places of the name.
    pub(crate) ids: Vec<Uuid>,
}

/// What kinds of places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PlaceKind {
    Workspace,
    Project,
    Board,
    Column,
}

impl Expression {
    /// Understands a query's text.
    ///
    /// # Errors
    /// When it is not one: what is wrong, where, and what would be right.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        parser::parse(text).map(|root| Self { root })
    }

    /// The names of all places of the kinds that are given by name here, as they are now, and only of what `within` says.
    /// Copied, so that they are compared with no models locked.
    #[must_use]
    pub fn place_names(&self, models: &Models, within: Option<&[WorkspaceId]>) -> PlaceNames {
        let mut names = PlaceNames::default();
        self.clone().each_place(&mut |place| {
            if place.is_name() {
                names.0.entry(place.kind).or_insert_with(|| place.kind.names(models, within));
            }
        });
        names
    }

    /// Looks up the places that are given by name, case and accents apart. A name that nothing has means nothing, so nothing
    /// is found there.
    pub fn resolve(&mut self, names: &PlaceNames) {
        let folded: HashMap<PlaceKind, Vec<(String, Uuid)>> = names
            .0
            .iter()
            .map(|(kind, names)| (*kind, names.iter().map(|(name, id)| (fold(name), *id)).collect()))
            .collect();
        self.each_place(&mut |place| {
            if place.is_name() {
                let wanted = fold(&place.given);
                let places = folded.get(&place.kind).map(Vec::as_slice).unwrap_or_default();
                place.ids = places.iter().filter(|(name, _)| *name == wanted).map(|(_, id)| *id).collect();
            }
        });
    }

    /// Whether any place is given by its name.
    #[must_use]
    pub fn has_names(&self) -> bool {
        let mut found = false;
        self.clone().each_place(&mut |place| found |= place.is_name());
        found
    }

    fn each_place(&mut self, visit: &mut dyn FnMut(&mut Place)) {
        fn walk(node: &mut Node, visit: &mut dyn FnMut(&mut Place)) {
            match &mut node.condition {
                Condition::All(nodes) | Condition::Any(nodes) => {
                    nodes.iter_mut().for_each(|node| walk(node, visit));
                }
                Condition::Not(node) => walk(node, visit),
                Condition::Place(place) => visit(place),
                _ => {}
            }
        }
        if let Some(root) = &mut self.root {
            walk(root, visit);
        }
    }

    /// The words that a hit may have because of this query: what is scored and shown, in a fixed order.
    pub(crate) fn wanted_words(&self) -> Vec<&Words> {
        fn walk<'a>(node: &'a Node, found: &mut Vec<&'a Words>) {
            match &node.condition {
                Condition::All(nodes) | Condition::Any(nodes) => {
                    nodes.iter().for_each(|node| walk(node, found));
                }
                Condition::Words(words) => found.push(words),
                // What must not be there is no reason to show anything.
                _ => {}
            }
        }
        let mut found = Vec::new();
        if let Some(root) = &self.root {
            walk(root, &mut found);
        }
        found
    }
}

/// The query in one canonical spelling, with every grouping in parentheses.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.as_ref().map_or(Ok(()), |root| root.fmt(f))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.condition {
            Condition::All(nodes) => joined(f, nodes, " "),
            Condition::Any(nodes) => joined(f, nodes, " OR "),
            Condition::Not(node) => write!(f, "-{node}"),
            Condition::Words(words) => words.fmt(f),
            Condition::KeyPrefix(key) => write!(f, "key:{key}*"),
            Condition::Is(is) => write!(f, "is:{}", is.as_str()),
            Condition::Has(has) => write!(f, "has:{}", has.as_str()),
            Condition::Within(moment, days) => {
                let day = |day: Option<i64>| day.map(|day| day.to_string()).unwrap_or_default();
                write!(f, "{}:[{},{})", moment.as_str(), day(days.from), day(days.before))
            }
            Condition::Place(place) => write!(f, "{}:{:?}", place.kind.as_str(), place.given),
            Condition::Assignee(person) => write!(f, "assignee:{person:?}"),
            Condition::Field(name, value) => write!(f, "field.{name:?}:{value:?}"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], between: &str) -> fmt::Result {
    f.write_str("(")?;
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        fmt::Display::fmt(node, f)?;
    }
    f.write_str(")")
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scope) = self.scope.as_str() {
            write!(f, "{scope}:")?;
        }
        let words = self.words.join(" ");
        match self.manner {
            Manner::Plain if self.words.len() == 1 => f.write_str(&words),
            Manner::Plain => write!(f, "'{words}'"),
            Manner::Quoted => write!(f, "\"{words}\""),
            Manner::Prefix => write!(f, "{words}*"),
            Manner::Fuzzy(edits) => write!(f, "{words}~{edits}"),
        }
    }
}

/// Gives the variants of an enum the words that stand for them in queries.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            pub(crate) const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words!(Is { Open = "open", Completed = "completed", Overdue = "overdue", Unassigned = "unassigned" });
words!(Has {
    Comments = "comments",
    Attachments = "attachments",
    Links = "links",
    Due = "due",
    Description = "description",
    Assignee = "assignee",
});
words!(Moment { Created = "created", Updated = "updated", Completed = "completed", Due = "due" });
words!(PlaceKind { Workspace = "workspace", Project = "project", Board = "board", Column = "column" });

impl PlaceKind {
    /// The names of all places of this kind.
    fn names(self, models: &Models, within: Option<&[WorkspaceId]>) -> Vec<(Name, Uuid)> {
        match (self, within) {
            (Self::Workspace, None) => models
                .workspaces()
                .iter()
                .map(|workspace| (workspace.name.clone(), workspace.id.uuid()))
                .collect(),
            (Self::Workspace, Some(within)) => {
                let workspaces = within.iter().filter_map(|id| models.workspace(*id));
                workspaces.map(|workspace| (workspace.name.clone(), workspace.id.uuid())).collect()
            }
            (Self::Project, _) => {
                let projects = models.projects_within(within);
                projects.map(|project| (project.name.clone(), project.id.uuid())).collect()
            }
            (Self::Board, _) => {
                models.boards_within(within).map(|board| (board.name.clone(), board.id.uuid())).collect()
            }
            (Self::Column, _) => {
                let columns = models.boards_within(within).flat_map(|board| &board.columns);
                columns.map(|column| (column.name.clone(), column.id.uuid())).collect()
            }
        }
    }
}

/// How places are called at some time.
#[derive(Debug, Clone, Default)]
pub struct PlaceNames(HashMap<PlaceKind, Vec<(Name, Uuid)>>);

impl Place {
    /// Whether it is given by its name and not by its id.
    fn is_name(&self) -> bool {
        Uuid::try_parse(&self.given).is_err()
    }
}

impl Scope {
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("title", Self::Title),
        ("text", Self::Text),
        ("description", Self::Description),
        ("comment", Self::Comment),
        ("key", Self::Key),
    ];

    pub(crate) fn as_str(self) -> Option<&'static str> {
        Self::WORDS.iter().find(|(_, scope)| *scope == self).map(|(word, _)| *word)
    }
}
