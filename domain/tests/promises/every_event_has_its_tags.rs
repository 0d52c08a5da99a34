//! Promise: every event carries its tenant, what guards rely on carries its column or its board's shape,
//! and nothing else does.

use crate::given::*;
use domain::{
    Aggregate, Change, CommentId, DomainEvent, Scope,
    board::{self, Board},
    comment::{self, Comment},
    item::{self, Item},
    project::{self, Project},
    tags::{board_shape, column as column_tag, for_each_tag, tags},
    workspace::{self, Workspace},
};

/// The tags of the last of these events.
fn last<A: Aggregate<Event: Clone>>(id: A::Id, events: &[A::Event]) -> Vec<String> {
    let mut state = A::default();
    assert_eq!(state.scope(id), None, "nothing is known before the first event");
    for event in events {
        state.apply(event);
    }
    let event: DomainEvent = events.last().expect("an event").clone().into();
    tags(&event, &state.scope(id).expect("a scope"))
}

fn tenant() -> String {
    format!("workspace:{}", workspace_id())
}

fn on_board() -> Vec<String> {
    vec![tenant(), format!("board:{}", board_id())]
}

fn on_item() -> Vec<String> {
    let mut tags = on_board();
    tags.push(format!("item:{}", item_id()));
    tags
}

fn with(mut tags: Vec<String>, more: &[String]) -> Vec<String> {
    tags.extend_from_slice(more);
    tags
}

#[test]
fn workspaces_and_projects_carry_the_tenant() {
    assert_eq!(last::<Workspace>(workspace_id(), &[workspace_created()]), [tenant()]);
    let archived = [workspace_created(), workspace::Archived {}.into()];
    assert_eq!(last::<Workspace>(workspace_id(), &archived), [tenant()]);
    assert_eq!(last::<Project>(project_id(), &[project_created()]), [tenant()]);
    let archived = [project_created(), project::Archived {}.into()];
    assert_eq!(last::<Project>(project_id(), &archived), [tenant()]);
}

#[test]
fn only_columns_and_limits_are_the_shape_of_a_board() {
    let tags = |event: board::Event| last::<Board>(board_id(), &[board_created(), event]);
    let shaped = with(on_board(), &[board_shape(board_id())]);
    assert_eq!(last::<Board>(board_id(), &[board_created()]), shaped);
    let name = "new".to_owned();
    let (open, new) = (column("open"), column("new"));
    let added = board::ColumnAdded { column_id: new, name, wip_limit: None, index: 3 };
    assert_eq!(tags(added.into()), shaped);
    assert_eq!(tags(board::ColumnChanged { column_id: open, changes: [].into() }.into()), shaped);
    assert_eq!(tags(board::ColumnMoved { column_id: open, from: 0, to: 1 }.into()), shaped);
    assert_eq!(tags(board::ColumnRemoved { column_id: open, items_to: column("done") }.into()), shaped);
    assert_eq!(tags(board::Deleted {}.into()), shaped);

    assert_eq!(tags(board::Updated { changes: [].into() }.into()), on_board());
    assert_eq!(tags(board::MemberRemoved { member: "bob".into() }.into()), on_board());
    assert_eq!(tags(board::FieldRemoved { name: "due".into() }.into()), on_board());
}

#[test]
fn only_what_changes_a_columns_count_carries_the_column() {
    let tags = |event: item::Event| last::<Item>(item_id(), &[item_created(), event]);
    let (open, done) = (column("open"), column("done"));
    assert_eq!(last::<Item>(item_id(), &[item_created()]), with(on_item(), &[column_tag(open)]));
    let moved =
        |to_column| item::Moved { from_column: open, to_column, from_rank: rank("i"), to_rank: rank("k") };
    assert_eq!(tags(moved(done).into()), with(on_item(), &[column_tag(open), column_tag(done)]));
    assert_eq!(tags(moved(open).into()), with(on_item(), &[column_tag(open)]));
    assert_eq!(tags(item::Deleted { column_id: open }.into()), with(on_item(), &[column_tag(open)]));

    let title = Change::between(Some("Fix it".into()), "x".into());
    let updated = item::Updated { changes: [("title".to_owned(), title)].into() };
    assert_eq!(tags(updated.into()), on_item());
    assert_eq!(tags(item::Ranked { from_rank: rank("i"), to_rank: rank("k") }.into()), on_item());
    assert_eq!(tags(item::Completed { resolution: None }.into()), on_item());
}

#[test]
fn comments_carry_their_item_to_the_end() {
    let id = CommentId::derive(item_id(), "1");
    let added: comment::Event = comment::Added {
        workspace_id: workspace_id(),
        board_id: board_id(),
        item_id: item_id(),
        external_key: None,
        author: None,
        body: "b".into(),
    }
    .into();
    assert_eq!(last::<Comment>(id, std::slice::from_ref(&added)), on_item());
    let deleted = comment::Deleted { item_id: item_id() };
    assert_eq!(last::<Comment>(id, &[added, deleted.into()]), on_item());
}

#[test]
fn tags_fit_the_log() {
    let scope = Scope { workspace: workspace_id(), board: Some(board_id()), item: Some(item_id()) };
    let mut count = 0;
    for_each_tag(&item_created().into(), &scope, |tag| {
        assert!(tag.len() <= 127 && tag.is_ascii(), "{tag}");
        count += 1;
    });
    assert_eq!(count, 4);
}
