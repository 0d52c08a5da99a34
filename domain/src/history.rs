//! What an event changed, field by field, for people who look at what happened: `{field, from, to}`.
//!
//! Invariant: every event of the domain has its changes here, and says them from its own payload alone: nothing is
//! folded, so one event of a long history costs one event. Exhaustive, so that a new event has to say what it changes.
//!
//! A field that holds several things (`assignees`, `columns`, `members`, `fields`, `links`, `attachments`) is told by
//! what was taken away (`from`) and what was added (`to`). Custom fields of items are told as `fields.<name>`.

use crate::{
    board,
    change::{Change, Changes},
    comment,
    event::DomainEvent,
    ids::ColumnId,
    item::{self, due_date_change},
    project,
    rank::Rank,
    workspace::{self, Role},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What one event did to one field.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FieldChange {
    /// Its name in the API.
    pub field: String,
    /// What it was, `null` for nothing; left out where the event does not say it: a long text stands in the event that
    /// set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is from now on, `null` for nothing.
    pub to: Value,
}

impl FieldChange {
    fn new(field: &str, from: Value, to: Value) -> Self {
        Self { field: field.to_owned(), from: Some(from), to }
    }

    fn set(field: &str, to: impl Into<Value>) -> Self {
        Self::new(field, Value::Null, to.into())
    }

    fn cleared(field: &str, from: impl Into<Value>) -> Self {
        Self::new(field, from.into(), Value::Null)
    }

    /// Of a long text, which the event says only anew.
    fn text(field: &str, to: Value) -> Self {
        Self { field: field.to_owned(), from: None, to }
    }
}

/// The changes that an event made, in the order in which a person would tell them.
#[must_use]
pub fn field_changes(event: &DomainEvent) -> Vec<FieldChange> {
    match event {
        DomainEvent::Workspace(event) => of_workspace(event),
        DomainEvent::Project(event) => of_project(event),
        DomainEvent::Board(event) => of_board(event),
        DomainEvent::Item(event) => of_item(event),
        DomainEvent::Comment(event) => of_comment(event),
    }
}

fn of_workspace(event: &workspace::Event) -> Vec<FieldChange> {
    use workspace::Event as E;
    match event {
        E::Created(event) => vec![FieldChange::set("name", event.name.as_str())],
        E::Renamed(event) => vec![FieldChange::new("name", json!(event.from), json!(event.to))],
        E::Archived(_) => vec![turned("archived", true)],
        E::MemberAdded(event) => vec![FieldChange::set("members", member(&event.member, event.role))],
        E::MemberRemoved(event) => vec![left(&event.member)],
        E::MemberRoleChanged(event) => vec![other_role(&event.member, event.from, event.to)],
    }
}

fn of_project(event: &project::Event) -> Vec<FieldChange> {
    use project::Event as E;
    match event {
        E::Created(event) => created_as(&event.name, event.description.as_deref()),
        E::Updated(event) => described(&event.changes),
        E::Archived(_) => vec![turned("archived", true)],
        E::Restored(_) => vec![turned("archived", false)],
    }
}

fn of_board(event: &board::Event) -> Vec<FieldChange> {
    use board::Event as E;
    match event {
        E::Created(event) => {
            let mut changes = created_as(&event.name, event.description.as_deref());
            changes.extend(event.columns.iter().map(|column| {
                FieldChange::set("columns", new_column(column.column_id, &column.name, column.wip_limit))
            }));
            changes
        }
        E::Updated(event) => described(&event.changes),
        E::Deleted(_) => vec![turned("deleted", true)],
        E::ColumnAdded(event) => {
            let mut column = new_column(event.column_id, &event.name, event.wip_limit);
            column["index"] = json!(event.index);
            vec![FieldChange::set("columns", column)]
        }
        E::ColumnChanged(event) => vec![changed_column(event.column_id, &event.changes)],
        E::ColumnMoved(event) => {
            let at = |index| json!({"id": event.column_id, "index": index});
            vec![FieldChange::new("columns", at(event.from), at(event.to))]
        }
        E::ColumnRemoved(event) => vec![
            FieldChange::cleared("columns", json!({"id": event.column_id})),
            FieldChange::new("itemsIn", json!(event.column_id), json!(event.items_to)),
        ],
        E::MemberAdded(event) => vec![FieldChange::set("members", member(&event.member, event.role))],
        E::MemberRemoved(event) => vec![left(&event.member)],
        E::MemberRoleChanged(event) => vec![other_role(&event.member, event.from, event.to)],
        E::FieldDefined(event) => {
            let mut field = json!({"name": event.name, "kind": event.kind});
            if !event.options.is_empty() {
                field["options"] = json!(event.options);
            }
            vec![FieldChange::set("fields", field)]
        }
        E::FieldRemoved(event) => vec![FieldChange::cleared("fields", json!({"name": event.name}))],
    }
}

fn of_item(event: &item::Event) -> Vec<FieldChange> {
    use item::Event as E;
    match event {
        E::Created(event) => created_item(event),
        E::Updated(event) => event.changes.iter().map(|(name, change)| updated(name, change)).collect(),
        E::Moved(event) => {
            let column = (event.from_column != event.to_column)
                .then(|| FieldChange::new("column", json!(event.from_column), json!(event.to_column)));
            column.into_iter().chain(ranked(&event.from_rank, &event.to_rank)).collect()
        }
        E::Ranked(event) => ranked(&event.from_rank, &event.to_rank).into_iter().collect(),
        E::Assigned(event) => vec![FieldChange::set("assignees", json!(event.assignees))],
        E::Unassigned(event) => vec![FieldChange::cleared("assignees", json!(event.assignees))],
        E::Completed(event) => {
            let resolution = event.resolution.as_deref();
            let resolution = resolution.map(|resolution| FieldChange::set("resolution", resolution));
            [turned("completed", true)].into_iter().chain(resolution).collect()
        }
        E::Reopened(_) => vec![turned("completed", false)],
        E::Linked(event) => vec![FieldChange::set("links", link(&event.kind, event.item_id))],
        E::Unlinked(event) => vec![FieldChange::cleared("links", link(&event.kind, event.item_id))],
        E::AttachmentAdded(event) => {
            let mut file = json!({"id": event.attachment_id, "name": event.name, "size": event.size});
            if let Some(mime) = &event.mime {
                file["mime"] = json!(mime);
            }
            vec![FieldChange::set("attachments", file)]
        }
        E::AttachmentRemoved(event) => {
            vec![FieldChange::cleared("attachments", json!({"id": event.attachment_id}))]
        }
        E::Deleted(_) => vec![turned("deleted", true)],
    }
}

fn of_comment(event: &comment::Event) -> Vec<FieldChange> {
    use comment::Event as E;
    match event {
        E::Added(event) => {
            let key = event.external_key.as_deref().map(|key| FieldChange::set("externalKey", key));
            key.into_iter().chain([FieldChange::set("body", event.body.as_str())]).collect()
        }
        E::Edited(event) => vec![FieldChange::text("body", json!(event.body))],
        E::Deleted(_) => vec![turned("deleted", true)],
    }
}

fn created_item(event: &item::Created) -> Vec<FieldChange> {
    let mut changes = vec![FieldChange::set("title", event.title.as_str())];
    let mut say = |field: &str, value: Option<Value>| {
        changes.extend(value.map(|value| FieldChange::set(field, value)));
    };
    say("externalKey", event.external_key.as_deref().map(Value::from));
    say("description", event.description.as_deref().map(Value::from));
    say("board", Some(json!(event.board_id)));
    say("column", Some(json!(event.column_id)));
    say("rank", Some(json!(event.rank)));
    say("assignees", (!event.assignees.is_empty()).then(|| json!(event.assignees)));
    say("dueDate", event.due_date.map(|date| json!(date)));
    for (name, value) in &event.fields {
        say(&custom(name), Some(value.clone()));
    }
    changes
}

/// A change of an item: of what all items have, or of a custom field.
fn updated(name: &str, change: &Change) -> FieldChange {
    let from = change.from.clone().unwrap_or_default();
    match name {
        "description" => FieldChange::text(name, change.to.clone()),
        "title" => FieldChange::new(name, from, change.to.clone()),
        "dueDate" if due_date_change(change).is_some() => FieldChange::new(name, from, change.to.clone()),
        _ => FieldChange::new(&custom(name), from, change.to.clone()),
    }
}

fn custom(name: &str) -> String {
    format!("fields.{name}")
}

fn created_as(name: &str, description: Option<&str>) -> Vec<FieldChange> {
    let description = description.map(|description| FieldChange::set("description", description));
    [FieldChange::set("name", name)].into_iter().chain(description).collect()
}

/// Changes of a project's or board's name and description.
fn described(changes: &Changes) -> Vec<FieldChange> {
    let told = changes.iter().map(|(name, change)| match name.as_str() {
        "description" => FieldChange::text(name, change.to.clone()),
        _ => FieldChange::new(name, change.from.clone().unwrap_or_default(), change.to.clone()),
    });
    told.collect()
}

fn turned(field: &str, on: bool) -> FieldChange {
    FieldChange::new(field, json!(!on), json!(on))
}

fn ranked(from: &Rank, to: &Rank) -> Option<FieldChange> {
    (from != to).then(|| FieldChange::new("rank", json!(from), json!(to)))
}

fn member(member: &str, role: Role) -> Value {
    json!({"member": member, "role": role})
}

fn left(member: &str) -> FieldChange {
    FieldChange::cleared("members", json!({"member": member}))
}

fn other_role(name: &str, from: Role, to: Role) -> FieldChange {
    FieldChange::new("members", member(name, from), member(name, to))
}

fn link(kind: &str, item: crate::ids::ItemId) -> Value {
    json!({"kind": kind, "itemId": item})
}

fn new_column(id: ColumnId, name: &str, wip_limit: Option<u32>) -> Value {
    json!({"id": id, "name": name, "wipLimit": wip_limit})
}

/// Both sides say which column it is, and of it what is different.
fn changed_column(id: ColumnId, changes: &Changes) -> FieldChange {
    let (mut from, mut to) = (Map::new(), Map::new());
    for side in [&mut from, &mut to] {
        side.insert("id".to_owned(), json!(id));
    }
    for (name, change) in changes {
        from.insert(name.clone(), change.from.clone().unwrap_or_default());
        to.insert(name.clone(), change.to.clone());
    }
    FieldChange::new("columns", Value::Object(from), Value::Object(to))
}
