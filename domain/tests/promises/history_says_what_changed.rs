//! Promise: whatever happened, it can be told field by field, from what to what; and no event type is left out.

use domain::{Decoded, DomainEvent, codec, field_changes};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};

const BEN: &str = "se-Björn T";
const OPEN: &str = "ff51bce4-7b32-555e-951d-17c385230c29";
const DOING: &str = "824e79dd-76ad-5840-b99b-ce115e945c94";
const DONE: &str = "fd992b42-cf29-58a8-a9eb-5e7dbdb82480";
const ADDED: &str = "e96dc26b-a109-5a09-8928-82c46f2d5cbb";
const BOARD: &str = "521dc90e-d02d-5379-93e2-00b4820ab085";
const ITEM: &str = "437d315f-451b-5bea-8dd1-468d03af015d";
const FILE: &str = "00000000-0000-0000-0000-000000000007";

/// One change as it is told: a field and its sides; without `from` where the event does not say it.
fn change(field: &str, from: Value, to: Value) -> Value {
    json!({"field": field, "from": from, "to": to})
}

fn set(field: &str, to: impl Into<Value>) -> Value {
    change(field, Value::Null, to.into())
}

fn cleared(field: &str, from: impl Into<Value>) -> Value {
    change(field, from.into(), Value::Null)
}

fn anew(field: &str, to: impl Into<Value>) -> Value {
    json!({"field": field, "to": to.into()})
}

/// What is told of each golden event.
fn expected() -> Vec<(&'static str, Value)> {
    [of_workspaces_and_projects(), of_boards(), of_items(), of_comments()].concat()
}

fn of_workspaces_and_projects() -> Vec<(&'static str, Value)> {
    vec![
        ("workspace.archived.v1", json!([change("archived", json!(false), json!(true))])),
        ("workspace.created.v1", json!([set("name", "acme")])),
        ("workspace.member_added.v1", json!([set("members", json!({"member": BEN, "role": "admin"}))])),
        ("workspace.member_removed.v1", json!([cleared("members", json!({"member": BEN}))])),
        (
            "workspace.member_role_changed.v1",
            json!([change(
                "members",
                json!({"member": BEN, "role": "member"}),
                json!({"member": BEN, "role": "owner"})
            )]),
        ),
        ("workspace.renamed.v1", json!([change("name", json!("acme"), json!("ACME"))])),
        ("project.archived.v1", json!([change("archived", json!(false), json!(true))])),
        ("project.created.v1", json!([set("name", "web"), set("description", "the site")])),
        ("project.restored.v1", json!([change("archived", json!(true), json!(false))])),
        (
            "project.updated.v1",
            json!([anew("description", "line\r\n\"two\""), change("name", json!("web"), json!("site"))]),
        ),
    ]
}

fn of_boards() -> Vec<(&'static str, Value)> {
    let column = |id: &str, name: &str, limit: Value| json!({"id": id, "name": name, "wipLimit": limit});
    let at = |index: u32| json!({"id": ADDED, "index": index});
    let added = json!({"id": ADDED, "name": "Awaiting/User", "wipLimit": 3, "index": 1});
    vec![
        ("board.column_added.v1", json!([set("columns", added)])),
        (
            "board.column_changed.v1",
            json!([change(
                "columns",
                json!({"id": ADDED, "wipLimit": 3}),
                json!({"id": ADDED, "wipLimit": null})
            )]),
        ),
        ("board.column_moved.v1", json!([change("columns", at(1), at(0))])),
        (
            "board.column_removed.v1",
            json!([cleared("columns", json!({"id": ADDED})), change("itemsIn", json!(ADDED), json!(OPEN))]),
        ),
        (
            "board.created.v1",
            json!([
                set("name", "main"),
                set("columns", column(OPEN, "open", Value::Null)),
                set("columns", column(DOING, "doing", json!(2))),
                set("columns", column(DONE, "done", Value::Null)),
            ]),
        ),
        ("board.deleted.v1", json!([change("deleted", json!(false), json!(true))])),
        (
            "board.field_defined.v1-options",
            json!([set(
                "fields",
                json!({"name": "priority", "kind": "choice", "options": ["low", "se-hög"]})
            )]),
        ),
        ("board.field_defined.v1", json!([set("fields", json!({"name": "due", "kind": "date"}))])),
        ("board.field_removed.v1", json!([cleared("fields", json!({"name": "due"}))])),
        ("board.member_added.v1", json!([set("members", json!({"member": "bob", "role": "viewer"}))])),
        ("board.member_removed.v1", json!([cleared("members", json!({"member": "bob"}))])),
        (
            "board.member_role_changed.v1",
            json!([change(
                "members",
                json!({"member": "bob", "role": "viewer"}),
                json!({"member": "bob", "role": "member"})
            )]),
        ),
        (
            "board.updated.v1",
            json!([anew("description", "line\r\n\"two\""), change("name", json!("main"), json!("all"))]),
        ),
    ]
}

fn of_items() -> Vec<(&'static str, Value)> {
    let people = || json!(["ann", BEN]);
    let ranks = || change("rank", json!("2bi1tpfz5k0e8100001"), json!("2bi1tpfz5k0e9200001"));
    let link = || json!({"kind": "blocks", "itemId": ITEM});
    let file = json!({"id": FILE, "name": "app.js", "size": 1202, "mime": "application/x-javascript"});
    vec![
        ("item.assigned.v1", json!([set("assignees", people())])),
        ("item.attachment_added.v1", json!([set("attachments", file)])),
        ("item.attachment_removed.v1", json!([cleared("attachments", json!({"id": FILE}))])),
        (
            "item.completed.v1",
            json!([change("completed", json!(false), json!(true)), set("resolution", "Fixed")]),
        ),
        (
            "item.created.v1-dueDate",
            json!([
                set("title", "Fix it"),
                set("board", BOARD),
                set("column", OPEN),
                set("rank", "i"),
                set("dueDate", "2026-02-28"),
            ]),
        ),
        (
            "item.created.v1",
            json!([
                set("title", "Fix \u{0} it\u{fffd}"),
                set("externalKey", "tidev/WEB-1"),
                set("description", "{html}<p>// TODO</p>\r\n"),
                set("board", BOARD),
                set("column", OPEN),
                set("rank", "i"),
                set("assignees", people()),
                set("fields.labels", json!(["a", 1, null])),
                set("fields.level", "L2"),
            ]),
        ),
        ("item.deleted.v1", json!([change("deleted", json!(false), json!(true))])),
        ("item.linked.v1", json!([set("links", link())])),
        ("item.moved.v1", json!([change("column", json!(OPEN), json!(DONE)), ranks()])),
        ("item.ranked.v1", json!([ranks()])),
        ("item.reopened.v1", json!([change("completed", json!(true), json!(false))])),
        ("item.unassigned.v1", json!([cleared("assignees", people())])),
        ("item.unlinked.v1", json!([cleared("links", link())])),
        (
            "item.updated.v1-dueDate-custom",
            // Once upon a time a custom field could have that name.
            json!([change("fields.dueDate", json!("soon"), json!(["now"]))]),
        ),
        ("item.updated.v1-dueDate", json!([change("dueDate", json!("2026-02-28"), json!("2026-03-01"))])),
        (
            "item.updated.v1",
            json!([
                anew("description", Value::Null),
                change("fields.labels", json!(["a"]), json!(["a", {"b": 1.5}])),
                change("title", json!("Fix it"), json!("Fix \u{0} it")),
            ]),
        ),
    ]
}

fn of_comments() -> Vec<(&'static str, Value)> {
    vec![
        ("comment.added.v1-author", json!([set("body", "why?")])),
        ("comment.added.v1", json!([set("externalKey", "311188"), set("body", "[~egomez]\r\n\r\nwhy 😀?")])),
        ("comment.deleted.v1", json!([change("deleted", json!(false), json!(true))])),
        ("comment.edited.v1", json!([anew("body", "because")])),
    ]
}

fn golden(name: &str) -> DomainEvent {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let payload = fs::read(folder.join(format!("{name}.json"))).unwrap();
    let (event_type, _) = name.rsplit_once(".v").unwrap();
    match codec::decode(event_type, 1, &payload) {
        Ok(Decoded::Known(event)) => event,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_event_type_says_what_it_changed() {
    let mut told = BTreeSet::new();
    for (name, expected) in expected() {
        let event = golden(name);
        assert_eq!(serde_json::to_value(field_changes(&event)).unwrap(), expected, "{name}");
        told.insert(event.event_type());
    }
    let all: BTreeSet<_> = DomainEvent::types().map(|(event_type, _)| event_type).collect();
    assert_eq!(told, all, "each type has its place in the table");
}

#[test]
fn a_move_within_a_column_changes_the_rank_only() {
    let at = crate::given::rank;
    let moved = |from: &str, to: &str, rank_from: &str, rank_to: &str| {
        let event = domain::item::Moved {
            from_column: crate::given::column(from),
            to_column: crate::given::column(to),
            from_rank: at(rank_from),
            to_rank: at(rank_to),
        };
        let changes = field_changes(&domain::item::Event::from(event).into());
        changes.into_iter().map(|change| change.field).collect::<Vec<_>>()
    };
    assert_eq!(moved("open", "open", "a", "b"), ["rank"]);
    assert_eq!(moved("open", "done", "a", "a"), ["column"]);
    assert_eq!(moved("open", "open", "a", "a"), [""; 0]);
}
