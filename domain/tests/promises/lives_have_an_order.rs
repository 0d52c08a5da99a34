//! Promise: what exists is not created again, what does not exist is not acted on, what is gone stays gone,
//! and what is archived is left alone.

use crate::given::*;
use domain::{
    Kind, Life,
    board::{self, Board},
    comment::{self, Comment},
    item::{self, Item},
    project::{self, Project},
    workspace::{self, Role, Workspace},
};

fn item_deleted() -> item::Event {
    item::Deleted { column_id: column("open") }.into()
}

fn comment_added() -> comment::Event {
    comment::Added {
        workspace_id: workspace_id(),
        board_id: board_id(),
        item_id: item_id(),
        external_key: None,
        author: None,
        body: "yes".into(),
    }
    .into()
}

fn create_workspace() -> workspace::Command {
    workspace::Command::Create(workspace::Create { id: None, name: "acme".into() })
}

fn create_project() -> project::Command {
    let body =
        project::Create { id: None, workspace_id: workspace_id(), name: "web".into(), description: None };
    project::Command::Create(body, workspace_ref())
}

fn create_board() -> board::Command {
    let body = board::Create {
        id: None,
        project_id: project_id(),
        name: "main".into(),
        description: None,
        columns: vec![],
    };
    board::Command::Create(body, project_ref())
}

fn add_comment(body: &str) -> comment::Command {
    comment::Command::Add(comment::Add { id: None, external_key: None, body: body.into() }, item_ref())
}

/// One of each command about an item that is there.
fn every_item_command() -> Vec<item::Command> {
    use item::Command as C;
    let link = item::Link { kind: "blocks".into(), item_id: item_id() };
    vec![
        update_item(item::Update { title: Some("x".into()), ..Default::default() }),
        C::Move(item::Move { column_id: column("done"), after: None, before: None }, placement("done")),
        C::Rank(item::SetRank::default()),
        C::Assign(item::Assign { assignees: vec!["bob".into()], remove: vec![] }),
        C::Unassign(item::Unassign { assignees: vec!["bob".into()] }),
        C::Complete(item::Complete::default()),
        C::Reopen,
        C::AddAttachment(item::AddAttachment { id: None, name: "a.txt".into(), size: 1, mime: None }),
        C::RemoveAttachment(uuid::Uuid::nil().into()),
        C::Link(link.clone()),
        C::Unlink(link),
        C::Delete,
    ]
}

#[test]
fn what_is_new_is_created() {
    let owner = workspace::MemberAdded { member: "ann".into(), role: Role::Owner };
    nothing::<Workspace>().when(create_workspace()).then([workspace_created(), owner.into()]);
    nothing::<Project>().when(create_project()).then([project_created()]);
    let events = nothing::<Item>()
        .when(creation(item::Create { rank: Some(rank("i")), ..create_item("Fix it") }))
        .events();
    assert_eq!(events, [item_created()]);
    let comment::Event::Added(added) = comment_added() else { unreachable!() };
    let added = comment::Added { author: Some("ann".into()), ..added };
    nothing::<Comment>().when(add_comment("yes")).then([added]);
}

#[test]
fn what_exists_is_not_created_again() {
    let error = given::<Workspace>([workspace_created()]).when(create_workspace()).refused("already_exists");
    assert_eq!(error.kind(), Kind::AlreadyExists);
    given::<Project>([project_created()]).when(create_project()).refused("already_exists");
    given::<Board>([board_created()]).when(create_board()).refused("already_exists");
    given::<Item>([item_created()]).when(creation(create_item("x"))).refused("already_exists");
    given::<Comment>([comment_added()]).when(add_comment("yes")).refused("already_exists");
}

#[test]
fn what_does_not_exist_is_not_found() {
    for command in every_item_command() {
        let error = nothing::<Item>().when(command).refused("not_found");
        assert_eq!(error.kind(), Kind::NotFound);
    }
    nothing::<Workspace>().when(workspace::Command::Archive).refused("not_found");
    nothing::<Project>().when(project::Command::Restore).refused("not_found");
    nothing::<Board>().when(board::Command::Delete).refused("not_found");
    nothing::<Comment>().when(comment::Command::Delete).refused("not_found");
    nothing::<Comment>().when(comment::Command::Edit(comment::Edit { body: None })).refused("not_found");
    let absent = (
        Item::default().reference(item_id()).unwrap_err(),
        Board::default().placement(board_id(), column("open")).unwrap_err(),
    );
    assert_eq!((absent.0.code(), absent.1.code()), ("not_found", "not_found"));
}

#[test]
fn what_is_deleted_is_gone_for_good() {
    for command in every_item_command() {
        let error = given::<Item>([item_created(), item_deleted()]).when(command).refused("gone");
        assert_eq!(error.kind(), Kind::Gone);
    }
    let create = creation(create_item("again"));
    given::<Item>([item_created(), item_deleted()]).when(create).refused("gone");

    let gone = given::<Item>([item_created(), item_deleted()]).state();
    assert_eq!(gone.life(), Life::Deleted);
    assert_eq!(gone.reference(item_id()).unwrap_err().code(), "gone");

    let board = || given::<Board>([board_created(), board::Deleted {}.into()]);
    board().when(create_board()).refused("gone");
    board().when(board::Command::Delete).refused("gone");
    assert_eq!(board().state().placement(board_id(), column("open")).unwrap_err().code(), "gone");

    let comment = || given::<Comment>([comment_added(), comment::Deleted { item_id: item_id() }.into()]);
    comment().when(add_comment("again")).refused("gone");
    comment().when(comment::Command::Delete).refused("gone");
    comment().when(comment::Command::Edit(comment::Edit { body: Some("x".into()) })).refused("gone");
}

#[test]
fn deleting_says_where_it_was() {
    given::<Item>([item_created()]).when(item::Command::Delete).then([item_deleted()]);
    given::<Comment>([comment_added()])
        .when(comment::Command::Delete)
        .then([comment::Deleted { item_id: item_id() }]);
}

#[test]
fn an_archived_workspace_is_left_alone() {
    let archived = || given::<Workspace>([workspace_created(), workspace::Archived {}.into()]);
    let rename = workspace::Command::Rename(workspace::Rename { name: "other".into() });
    assert_eq!(archived().when(rename).refused("archived").kind(), Kind::Refused);
    let add =
        workspace::Command::AddMember(workspace::AddMember { member: "bob".into(), role: Role::Member });
    archived().when(add).refused("archived");
    archived().when(create_workspace()).refused("already_exists");
    archived().when(workspace::Command::Archive).unchanged();
    assert_eq!(archived().state().reference(workspace_id()).unwrap_err().code(), "archived");
}

#[test]
fn an_archived_project_is_left_alone_until_it_is_restored() {
    let archived = || given::<Project>([project_created(), project::Archived {}.into()]);
    let update =
        || project::Command::Update(project::Update { name: Some("site".into()), ..Default::default() });
    archived().when(update()).refused("archived");
    assert_eq!(archived().state().reference(project_id()).unwrap_err().code(), "archived");
    archived().when(project::Command::Archive).unchanged();
    archived().when(project::Command::Restore).then([project::Restored {}]);
    let restored = [project_created(), project::Archived {}.into(), project::Restored {}.into()];
    assert_eq!(given::<Project>(restored.clone()).when(update()).after().name(), "site");
    given::<Project>(restored).when(project::Command::Restore).unchanged();
}

#[test]
fn members_come_and_go() {
    let add = |role| workspace::Command::AddMember(workspace::AddMember { member: "bob".into(), role });
    let remove = || workspace::Command::RemoveMember(workspace::RemoveMember { member: "bob".into() });
    let added = workspace::MemberAdded { member: "bob".into(), role: Role::Viewer };
    let state = given::<Workspace>([workspace_created()]).when(add(Role::Viewer)).then([added.clone()]);
    assert_eq!(state.role("bob"), Some(Role::Viewer));
    let with_bob = || given::<Workspace>([workspace_created(), added.clone().into()]);
    with_bob().when(add(Role::Viewer)).unchanged();
    with_bob().when(add(Role::Admin)).refused("already_exists");
    let state = with_bob().when(remove()).then([workspace::MemberRemoved { member: "bob".into() }]);
    assert_eq!(state.role("bob"), None);
    given::<Workspace>([workspace_created()]).when(remove()).refused("not_found");
}
