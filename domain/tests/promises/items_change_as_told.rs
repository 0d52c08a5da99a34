//! Promise: what a command says of an item is what happens to it, and nothing else.

use crate::given::*;
use domain::{
    AttachmentId, Change,
    item::{self, Command, FieldEdit, Item},
    rank::{rank_at_end, rank_between},
};
use serde_json::{Value, json};

fn item() -> Given<Item> {
    given([item_created()])
}

fn with_fields(fields: &[(&str, Value)]) -> Given<Item> {
    let changes = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Change::between(None, value.clone())))
        .collect();
    given([item_created(), item::Updated { changes }.into()])
}

fn edit(name: &str, edit: FieldEdit) -> Command {
    update_item(item::Update { fields: [(name.to_owned(), edit)].into(), ..Default::default() })
}

fn updated(name: &str, from: Option<Value>, to: Value) -> item::Updated {
    item::Updated { changes: [(name.to_owned(), Change::between(from, to))].into() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_item_begins_with_what_was_said() {
    let body = item::Create {
        description: Some("d".into()),
        external_key: Some("WEB-1".into()),
        assignees: names(&["bob", "eve", "bob"]),
        fields: [("level".to_owned(), json!("L2")), ("gone".to_owned(), json!(null))].into(),
        ..create_item("Fix it")
    };
    let item::Event::Created(base) = item_created() else { unreachable!() };
    let state = nothing::<Item>().when(creation(body)).then([item::Created {
        rank: rank_at_end(NOW_NS, 42),
        description: Some("d".into()),
        external_key: Some("WEB-1".into()),
        assignees: names(&["bob", "eve"]),
        fields: [("level".to_owned(), json!("L2"))].into(),
        ..base
    }]);
    assert_eq!(state.column_id(), Some(column("open")));
    assert_eq!(state.title(), "Fix it");
}

#[test]
fn imported_items_stand_where_their_own_time_puts_them() {
    let create = creation(create_item("old"));
    let state = nothing::<Item>().imported().occurred_at(1_300_000_000_000_000_000).when(create).after();
    assert_eq!(state.rank(), Some(&rank_at_end(1_300_000_000_000_000_000, 42)));
}

#[test]
fn an_update_says_what_was_and_what_is() {
    let update = item::Update {
        title: Some("Fix it now".into()),
        description: Some(Some("because".into())),
        due_date: Some(Some(date("2026-02-28"))),
        fields: [("level".to_owned(), FieldEdit::Set(json!(3)))].into(),
    };
    let changes = [
        ("title".to_owned(), Change::between(Some(json!("Fix it")), json!("Fix it now"))),
        ("description".to_owned(), Change::between(None, json!("because"))),
        ("dueDate".to_owned(), Change::between(None, json!("2026-02-28"))),
        ("level".to_owned(), Change::between(None, json!(3))),
    ];
    let state = item().when(update_item(update)).then([item::Updated { changes: changes.into() }]);
    assert_eq!((state.title(), state.due_date()), ("Fix it now", Some(date("2026-02-28"))));
}

#[test]
fn a_description_is_known_without_being_kept() {
    let described = updated("description", None, json!("because"));
    let set = |text: Option<&str>| {
        update_item(item::Update { description: Some(text.map(str::to_owned)), ..Default::default() })
    };
    let given_described = || given::<Item>([item_created(), described.clone().into()]);
    given_described().when(set(Some("because"))).unchanged();
    given_described().when(set(None)).then([updated("description", None, json!(null))]);
    let state = given_described().state();
    assert!(!serde_json::to_string(&state).unwrap().contains("because"));
}

#[test]
fn fields_are_set_and_cleared() {
    item().when(edit("level", FieldEdit::Set(json!("L2")))).then([updated("level", None, json!("L2"))]);
    let state = with_fields(&[("level", json!("L2"))])
        .when(edit("level", FieldEdit::Set(json!(null))))
        .then([updated("level", Some(json!("L2")), json!(null))]);
    assert_eq!(state, item().state());
}

#[test]
fn lists_grow_and_shrink() {
    item().when(edit("labels", FieldEdit::Add(vec![json!("a"), json!("a")]))).then([updated(
        "labels",
        None,
        json!(["a"]),
    )]);
    let with_list = || with_fields(&[("labels", json!(["a", "b"]))]);
    with_list().when(edit("labels", FieldEdit::Add(vec![json!("c"), json!("a")]))).then([updated(
        "labels",
        Some(json!(["a", "b"])),
        json!(["a", "b", "c"]),
    )]);
    with_list().when(edit("labels", FieldEdit::Remove(vec![json!("a")]))).then([updated(
        "labels",
        Some(json!(["a", "b"])),
        json!(["b"]),
    )]);
    with_fields(&[("level", json!("L2"))])
        .when(edit("level", FieldEdit::Add(vec![json!("a")])))
        .refused("not_a_list");
}

#[test]
fn an_items_own_members_are_no_custom_fields() {
    for name in ["title", "description", "dueDate"] {
        item().when(edit(name, FieldEdit::Set(json!("x")))).refused("reserved_field");
    }
}

#[test]
fn a_move_says_both_columns_and_both_places() {
    let to = item::Move { column_id: column("done"), after: None, before: None };
    let state = item().when(Command::Move(to, placement("done"))).then([item::Moved {
        from_column: column("open"),
        to_column: column("done"),
        from_rank: rank("i"),
        to_rank: rank_at_end(NOW_NS, 42),
    }]);
    assert_eq!(state.column_id(), Some(column("done")));
}

#[test]
fn a_move_goes_between_its_neighbours() {
    let (after, before) = (rank("c"), rank("d"));
    let to =
        item::Move { column_id: column("done"), after: Some(after.clone()), before: Some(before.clone()) };
    let state = item().when(Command::Move(to, placement("done"))).after();
    let chosen = state.rank().unwrap();
    assert!(&after < chosen && chosen < &before, "{chosen}");
}

#[test]
fn a_move_within_the_column_is_a_new_rank() {
    let to = item::Move { column_id: column("open"), after: Some(rank("x")), before: None };
    let expected = rank_between(Some(&rank("x")), None, 42).unwrap();
    item()
        .when(Command::Move(to, placement("open")))
        .then([item::Ranked { from_rank: rank("i"), to_rank: expected }]);
}

#[test]
fn neighbours_in_the_wrong_order_are_refused() {
    let to = item::SetRank { rank: None, after: Some(rank("d")), before: Some(rank("c")) };
    item().when(Command::Rank(to)).refused("rank_order");
}

#[test]
fn a_column_is_ranked_anew_by_given_ranks() {
    let to = item::SetRank { rank: Some(rank("k")), ..Default::default() };
    item().when(Command::Rank(to)).then([item::Ranked { from_rank: rank("i"), to_rank: rank("k") }]);
}

#[test]
fn one_goes_and_another_comes() {
    let assigned = || given::<Item>([item_created(), item::Assigned { assignees: names(&["ann"]) }.into()]);
    let replace = item::Assign { assignees: names(&["bob", "bob"]), remove: names(&["ann", "eve"]) };
    let state = assigned().when(Command::Assign(replace)).then([
        item::Event::from(item::Unassigned { assignees: names(&["ann"]) }),
        item::Assigned { assignees: names(&["bob"]) }.into(),
    ]);
    assert_eq!(state.assignees(), ["bob"]);
    let state = assigned()
        .when(Command::Unassign(item::Unassign { assignees: names(&["ann"]) }))
        .then([item::Unassigned { assignees: names(&["ann"]) }]);
    assert!(state.assignees().is_empty());
}

#[test]
fn work_is_completed_and_reopened() {
    let resolution = Some("Fixed".to_owned());
    let completed = item::Completed { resolution: resolution.clone() };
    let state = item().when(Command::Complete(item::Complete { resolution })).then([completed.clone()]);
    assert!(state.is_completed());
    assert_eq!(state.column_id(), Some(column("open")), "the column is left to moves");
    let state =
        given::<Item>([item_created(), completed.into()]).when(Command::Reopen).then([item::Reopened {}]);
    assert!(!state.is_completed());
}

#[test]
fn attachments_come_and_go_and_do_not_come_back() {
    let id = AttachmentId::new(uuid::Uuid::from_u128(7));
    let add = |id| {
        Command::AddAttachment(item::AddAttachment {
            id,
            name: "a.txt".into(),
            size: 12,
            mime: Some("text/plain".into()),
        })
    };
    let added = item::AttachmentAdded {
        attachment_id: id,
        name: "a.txt".into(),
        size: 12,
        mime: Some("text/plain".into()),
    };
    item().when(add(Some(id))).then([added.clone()]);
    let attached = || given::<Item>([item_created(), added.clone().into()]);
    attached().when(add(Some(id))).refused("already_exists");
    attached().when(Command::RemoveAttachment(id)).then([item::AttachmentRemoved { attachment_id: id }]);
    let removed = || {
        let removed = item::AttachmentRemoved { attachment_id: id };
        given::<Item>([item_created(), added.clone().into(), removed.into()])
    };
    removed().when(add(Some(id))).refused("gone");
    removed().when(Command::RemoveAttachment(id)).refused("gone");
    item().when(Command::RemoveAttachment(id)).refused("not_found");
    let fresh = attached().when(add(None)).events();
    assert!(matches!(&fresh[..], [item::Event::AttachmentAdded(new)] if new.attachment_id != id));
}

#[test]
fn links_come_and_go() {
    let link = || item::Link { kind: "blocks".into(), item_id: item_id() };
    let linked = item::Linked { kind: "blocks".into(), item_id: item_id() };
    let unlinked = item::Unlinked { kind: "blocks".into(), item_id: item_id() };
    item().when(Command::Link(link())).then([linked.clone()]);
    given::<Item>([item_created(), linked.into()]).when(Command::Unlink(link())).then([unlinked]);
    item().when(Command::Unlink(link())).refused("not_found");
}

#[test]
fn a_state_survives_being_stored() {
    let state = with_fields(&[("labels", json!(["a", {"b": [1.5, null]}]))])
        .when(Command::Assign(item::Assign { assignees: names(&["ann"]), remove: vec![] }))
        .after();
    let stored = serde_json::to_vec(&state).unwrap();
    assert_eq!(serde_json::from_slice::<Item>(&stored).unwrap(), state);
}
