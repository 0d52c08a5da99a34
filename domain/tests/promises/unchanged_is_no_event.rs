//! Promise: a command that changes nothing is accepted and gives no event.

use crate::given::*;
use domain::{
    board::{self, Board},
    comment::{self, Comment},
    item::{self, FieldEdit, Item},
    project::{self, Project},
    workspace::{self, Workspace},
};
use serde_json::json;

fn item() -> Given<Item> {
    let item::Event::Created(created) = item_created() else { unreachable!() };
    given([item::Created {
        description: Some("long\ntext".into()),
        assignees: vec!["ann".into(), "bob".into()],
        fields: [("labels".to_owned(), json!(["a", "b"])), ("level".to_owned(), json!("L2"))].into(),
        ..created
    }
    .into()])
}

fn completed() -> Given<Item> {
    given([item_created(), item::Completed { resolution: None }.into()])
}

fn update(fields: &[(&str, FieldEdit)]) -> item::Command {
    let fields = fields.iter().map(|(name, edit)| ((*name).to_owned(), edit.clone())).collect();
    update_item(item::Update { fields, ..Default::default() })
}

#[test]
fn an_update_to_what_is_there() {
    item()
        .when(update_item(item::Update {
            title: Some("Fix it".into()),
            description: Some(Some("long\ntext".into())),
            due_date: Some(None),
            fields: [("level".to_owned(), FieldEdit::Set(json!("L2")))].into(),
        }))
        .unchanged();
    item().when(update_item(item::Update::default())).unchanged();
    given::<Item>([item_created()])
        .when(update_item(item::Update { description: Some(None), ..Default::default() }))
        .unchanged();
}

#[test]
fn a_list_that_has_it_or_lacks_it_already() {
    item().when(update(&[("labels", FieldEdit::Add(vec![json!("b"), json!("a")]))])).unchanged();
    item().when(update(&[("labels", FieldEdit::Remove(vec![json!("c")]))])).unchanged();
    item().when(update(&[("none", FieldEdit::Remove(vec![json!("c")]))])).unchanged();
    item().when(update(&[("none", FieldEdit::Add(vec![]))])).unchanged();
    item().when(update(&[("none", FieldEdit::Set(json!(null)))])).unchanged();
}

#[test]
fn a_move_to_the_same_column() {
    let to = item::Move { column_id: column("open"), after: None, before: None };
    item().when(item::Command::Move(to, placement("open"))).unchanged();
}

#[test]
fn the_same_rank() {
    let same = item::SetRank { rank: Some(rank("i")), ..Default::default() };
    item().when(item::Command::Rank(same)).unchanged();
}

#[test]
fn assigning_who_is_assigned_and_unassigning_who_is_not() {
    let assign = |assignees: &[&str], remove: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        item::Command::Assign(item::Assign { assignees: names(assignees), remove: names(remove) })
    };
    item().when(assign(&["bob"], &[])).unchanged();
    item().when(assign(&["bob"], &["bob"])).unchanged();
    item().when(assign(&[], &["eve"])).unchanged();
    item().when(assign(&[], &[])).unchanged();
    item().when(item::Command::Unassign(item::Unassign { assignees: vec!["eve".into()] })).unchanged();
}

#[test]
fn completing_the_completed_and_reopening_the_open() {
    let again = item::Complete { resolution: Some("otherwise".into()) };
    completed().when(item::Command::Complete(again)).unchanged();
    item().when(item::Command::Reopen).unchanged();
}

#[test]
fn a_link_that_is_there() {
    let linked = item::Linked { kind: "blocks".into(), item_id: item_id() };
    let link = item::Link { kind: "blocks".into(), item_id: item_id() };
    given::<Item>([item_created(), linked.into()]).when(item::Command::Link(link)).unchanged();
}

#[test]
fn editing_a_comment_to_the_same_text_or_to_none_that_is_known() {
    let comment = || {
        given::<Comment>([comment::Added {
            workspace_id: workspace_id(),
            board_id: board_id(),
            item_id: item_id(),
            external_key: None,
            author: None,
            body: "once".into(),
        }
        .into()])
    };
    let edit = |body: Option<&str>| comment::Command::Edit(comment::Edit { body: body.map(str::to_owned) });
    comment().when(edit(Some("once"))).unchanged();
    comment().when(edit(None)).unchanged();
    comment().when(edit(Some("twice"))).then([comment::Edited { item_id: item_id(), body: "twice".into() }]);
}

#[test]
fn names_that_stay() {
    let rename = workspace::Command::Rename(workspace::Rename { name: "acme".into() });
    given::<Workspace>([workspace_created()]).when(rename).unchanged();
    let same = || project::Update { name: None, description: Some(None) };
    given::<Project>([project_created()]).when(project::Command::Update(same())).unchanged();
    given::<Board>([board_created()]).when(board::Command::Update(same())).unchanged();
}

#[test]
fn a_board_that_stays_as_it_is() {
    let board = || given::<Board>([board_created()]);
    let doing = column("doing");
    let change = board::ChangeColumn { name: Some("doing".into()), wip_limit: Some(Some(2)) };
    board().when(board::Command::ChangeColumn(doing, change)).unchanged();
    board().when(board::Command::MoveColumn(doing, board::MoveColumn { index: 1 })).unchanged();
    let last = board::MoveColumn { index: 99 };
    board().when(board::Command::MoveColumn(column("done"), last)).unchanged();
}
