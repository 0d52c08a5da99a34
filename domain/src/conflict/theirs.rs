//! What events touched, and whether a wish is in their way.

use super::Conflict;
use super::facet::{ARCHIVED, DELETED, Facet, PRESENT, Touch, field_type, json, order, removed};
use crate::{DomainEvent, board, change::Changes, comment, item, project, workspace};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What became of one part.
#[derive(Debug)]
struct Touched<'a> {
    /// Before the first event, where that says it.
    base: Option<Cow<'a, Value>>,
    now: Cow<'a, Value>,
    /// Of a field: whether it was something else than a list at some time.
    is_whole: bool,
}

/// What some events, in order, made of their aggregate.
#[derive(Debug, Default)]
pub(super) struct Theirs<'a> {
    touched: BTreeMap<Facet<'a>, Touched<'a>>,
    /// Values that came into a list field or left it, as JSON texts beside the field's name.
    elements: BTreeSet<(&'a str, String)>,
}

impl<'a> Theirs<'a> {
    pub(super) fn of(since: &'a [DomainEvent]) -> Self {
        let mut theirs = Self::default();
        for event in since {
            match event {
                DomainEvent::Workspace(event) => theirs.take_workspace(event),
                DomainEvent::Project(event) => theirs.take_project(event),
                DomainEvent::Board(event) => theirs.take_board(event),
                DomainEvent::Item(event) => theirs.take_item(event),
                DomainEvent::Comment(event) => theirs.take_comment(event),
            }
        }
        theirs
    }

    /// The conflict between a wish and these events, if they are in each other's way.
    pub(super) fn conflict(&self, touch: Touch<'_>) -> Option<Conflict> {
        match touch {
            Touch::Set(facet, yours) => {
                let touched = self.touched.get(&facet)?;
                (*touched.now != yours).then(|| touched.conflict(facet, yours))
            }
            Touch::Add(name, values) => self.list_conflict(name, values, true),
            Touch::Remove(name, values) => self.list_conflict(name, values, false),
            Touch::End(facet, yours) => self.end_conflict(facet, yours),
        }
    }

    fn end_conflict(&self, facet: Facet<'_>, yours: Value) -> Option<Conflict> {
        if let Some(touched) = self.touched.get(&facet) {
            return (*touched.now != yours).then(|| touched.conflict(facet, yours));
        }
        let column = facet.of_column();
        let is_touched = match column {
            Some(column) => self.touched.keys().any(|facet| facet.of_column() == Some(column)),
            None => true,
        };
        let present = || Value::from(PRESENT);
        is_touched.then(|| Conflict {
            field: facet.to_string(),
            base: Some(present()),
            theirs: present(),
            yours,
        })
    }

    fn list_conflict(&self, name: &str, values: &[Value], adds: bool) -> Option<Conflict> {
        let facet = Facet::Field(name);
        let touched = self.touched.get(&facet)?;
        let nothing = Vec::new();
        let (list, is_list) = match &*touched.now {
            Value::Array(list) => (list, true),
            // Nothing can be removed from nothing, and what is added would begin a new list.
            Value::Null => (&nothing, true),
            _ => (&nothing, false),
        };
        let is_in_the_way = |value: &Value| {
            !is_list
                || (list.contains(value) != adds
                    && (touched.is_whole || self.elements.contains(&(name, value.to_string()))))
        };
        let kept: Vec<Value> = values.iter().filter(|value| is_in_the_way(value)).cloned().collect();
        let yours = if adds { serde_json::json!({"add": kept}) } else { serde_json::json!({"remove": kept}) };
        // An edit of no values needs a list as well.
        let is_conflict = !is_list || !kept.is_empty();
        is_conflict.then(|| touched.conflict(facet, yours))
    }

    fn set(&mut self, facet: Facet<'a>, base: Option<Value>, now: Value) {
        self.put(facet, base.map(Cow::Owned), Cow::Owned(now), true);
    }

    fn put(&mut self, facet: Facet<'a>, base: Option<Cow<'a, Value>>, now: Cow<'a, Value>, is_whole: bool) {
        match self.touched.get_mut(&facet) {
            Some(touched) => {
                touched.now = now;
                touched.is_whole |= is_whole;
            }
            None => drop(self.touched.insert(facet, Touched { base, now, is_whole })),
        }
    }

    /// A change of something whose former value the event always says, where there was one.
    fn put_changes(&mut self, changes: &'a Changes, facet: impl Fn(&'a str) -> Facet<'a>) {
        for (name, change) in changes {
            let facet = facet(name);
            // Of a long text the event does not say what it was.
            let base = match (&change.from, facet) {
                (Some(from), _) => Some(Cow::Borrowed(from)),
                (None, Facet::Description) => None,
                (None, _) => Some(Cow::Owned(Value::Null)),
            };
            let is_whole = match facet {
                Facet::Field(name) => !self.take_elements(name, change.from.as_ref(), &change.to),
                _ => true,
            };
            self.put(facet, base, Cow::Borrowed(&change.to), is_whole);
        }
    }

    /// Notes what came into a list and what left it; false where it is not a change from list to list.
    fn take_elements(&mut self, name: &'a str, from: Option<&Value>, to: &Value) -> bool {
        let nothing = Vec::new();
        let from = match from {
            None | Some(Value::Null) => &nothing,
            Some(Value::Array(list)) => list,
            Some(_) => return false,
        };
        let Value::Array(to) = to else { return false };
        let gone = from.iter().filter(|value| !to.contains(value));
        let come = to.iter().filter(|value| !from.contains(value));
        self.elements.extend(gone.chain(come).map(|value| (name, value.to_string())));
        true
    }

    fn take_workspace(&mut self, event: &'a workspace::Event) {
        use workspace::Event as E;
        match event {
            E::Created(_) => self.set(Facet::Life, None, PRESENT.into()),
            E::Archived(_) => self.set(Facet::Life, Some(PRESENT.into()), ARCHIVED.into()),
            E::Renamed(event) => {
                self.set(Facet::Name, Some(event.from.as_str().into()), event.to.as_str().into());
            }
            E::MemberAdded(event) => {
                self.set(Facet::Member(&event.member), Some(Value::Null), json(event.role));
            }
            E::MemberRemoved(event) => self.set(Facet::Member(&event.member), None, Value::Null),
            E::MemberRoleChanged(event) => {
                self.set(Facet::Member(&event.member), Some(json(event.from)), json(event.to));
            }
        }
    }

    fn take_project(&mut self, event: &'a project::Event) {
        use project::Event as E;
        match event {
            E::Created(_) => self.set(Facet::Life, None, PRESENT.into()),
            E::Updated(event) => self.put_changes(&event.changes, label_facet),
            E::Archived(_) => self.set(Facet::Life, Some(PRESENT.into()), ARCHIVED.into()),
            E::Restored(_) => self.set(Facet::Life, Some(ARCHIVED.into()), PRESENT.into()),
        }
    }

    fn take_board(&mut self, event: &'a board::Event) {
        use board::Event as E;
        let at = |column, index| order(Some(column), index);
        match event {
            E::Created(_) => self.set(Facet::Life, None, PRESENT.into()),
            E::Updated(event) => self.put_changes(&event.changes, label_facet),
            E::Deleted(_) => self.set(Facet::Life, Some(PRESENT.into()), DELETED.into()),
            E::ColumnAdded(event) => {
                self.set(Facet::Column(event.column_id), Some(Value::Null), PRESENT.into());
                self.set(Facet::Order, None, at(event.column_id, Some(event.index)));
            }
            E::ColumnChanged(event) => {
                let id = event.column_id;
                self.put_changes(&event.changes, |name| match name {
                    "wipLimit" => Facet::ColumnLimit(id),
                    _ => Facet::ColumnName(id),
                });
            }
            E::ColumnMoved(event) => {
                self.set(Facet::ColumnIndex(event.column_id), Some(event.from.into()), event.to.into());
                self.set(Facet::Order, None, at(event.column_id, Some(event.to)));
            }
            E::ColumnRemoved(event) => {
                self.set(Facet::Column(event.column_id), Some(PRESENT.into()), removed(event.items_to));
                self.set(Facet::ColumnItems(event.items_to), None, json(event.column_id));
                self.set(Facet::Order, None, at(event.column_id, None));
            }
            E::MemberAdded(event) => {
                self.set(Facet::Member(&event.member), Some(Value::Null), json(event.role));
            }
            E::MemberRemoved(event) => self.set(Facet::Member(&event.member), None, Value::Null),
            E::MemberRoleChanged(event) => {
                self.set(Facet::Member(&event.member), Some(json(event.from)), json(event.to));
            }
            E::FieldDefined(event) => {
                let board::FieldDefined { name, kind, options } = event;
                self.set(Facet::Field(name), None, field_type(*kind, options));
            }
            E::FieldRemoved(event) => self.set(Facet::Field(&event.name), None, Value::Null),
        }
    }

    fn take_item(&mut self, event: &'a item::Event) {
        use item::Event as E;
        match event {
            E::Created(_) => self.set(Facet::Life, None, PRESENT.into()),
            E::Updated(event) => self.put_changes(&event.changes, |name| match name {
                "title" => Facet::Title,
                "description" => Facet::Description,
                "dueDate" if event.changes.get(name).and_then(item::due_date_change).is_some() => {
                    Facet::DueDate
                }
                name => Facet::Field(name),
            }),
            E::Moved(event) => {
                self.set(Facet::Place, Some(json(event.from_column)), json(event.to_column));
                self.set(Facet::Rank, Some(json(&event.from_rank)), json(&event.to_rank));
            }
            E::Ranked(event) => {
                self.set(Facet::Rank, Some(json(&event.from_rank)), json(&event.to_rank));
            }
            E::Assigned(event) => self.take_people(&event.assignees, true),
            E::Unassigned(event) => self.take_people(&event.assignees, false),
            E::Completed(event) => {
                self.set(Facet::Completed, Some(false.into()), true.into());
                self.set(Facet::Resolution, None, event.resolution.as_deref().into());
            }
            E::Reopened(_) => {
                self.set(Facet::Completed, Some(true.into()), false.into());
                self.set(Facet::Resolution, None, Value::Null);
            }
            E::Linked(event) => self.take_flag(Facet::Link(&event.kind, event.item_id), true),
            E::Unlinked(event) => self.take_flag(Facet::Link(&event.kind, event.item_id), false),
            E::AttachmentAdded(event) => self.take_flag(Facet::Attachment(event.attachment_id), true),
            E::AttachmentRemoved(event) => self.take_flag(Facet::Attachment(event.attachment_id), false),
            E::Deleted(_) => self.set(Facet::Life, Some(PRESENT.into()), DELETED.into()),
        }
    }

    fn take_people(&mut self, people: &'a [String], is_assigned: bool) {
        for person in people {
            self.take_flag(Facet::Assignee(person), is_assigned);
        }
    }

    /// Something that is or is not, and by this event no longer is or is not.
    fn take_flag(&mut self, facet: Facet<'a>, now: bool) {
        self.set(facet, Some((!now).into()), now.into());
    }

    fn take_comment(&mut self, event: &'a comment::Event) {
        use comment::Event as E;
        match event {
            E::Added(_) => self.set(Facet::Life, None, PRESENT.into()),
            E::Edited(event) => self.set(Facet::Body, None, event.body.as_str().into()),
            E::Deleted(_) => self.set(Facet::Life, Some(PRESENT.into()), DELETED.into()),
        }
    }
}

impl Touched<'_> {
    fn conflict(&self, facet: Facet<'_>, yours: Value) -> Conflict {
        Conflict {
            field: facet.to_string(),
            base: self.base.as_deref().cloned(),
            theirs: self.now.clone().into_owned(),
            yours,
        }
    }
}

fn label_facet(name: &str) -> Facet<'_> {
    match name {
        "description" => Facet::Description,
        _ => Facet::Name,
    }
}
