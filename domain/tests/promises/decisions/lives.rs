//! Every command in every state of life: before the creation, while it is there, archived, and after the end.

use super::{ACCEPTED, Pairs, code_of, name_of};
use crate::given::*;
use domain::{
    Aggregate,
    board::{self, Board, FieldKind},
    comment::{self, Comment},
    item::{self, Item},
    project::{self, Project},
    workspace::{self, AddMember, ChangeMemberRole, RemoveMember, Role, Workspace},
};
use std::fmt::Debug;

const NEW: [&str; 3] = [ACCEPTED, "already_exists", "gone"];
const OLD: [&str; 3] = ["not_found", ACCEPTED, "gone"];
/// What the command is about is not there, although its whole is.
const LACKS: [&str; 3] = ["not_found", "not_found", "gone"];

pub(super) fn comment_added() -> comment::Event {
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

fn add_bob() -> AddMember {
    AddMember { member: "bob".into(), role: Role::Member }
}

fn remove_bob() -> RemoveMember {
    RemoveMember { member: "bob".into() }
}

fn change_bob() -> ChangeMemberRole {
    ChangeMemberRole { member: "bob".into(), role: Role::Admin }
}

pub(super) fn new_workspace(name: &str) -> workspace::Command {
    workspace::Command::Create(workspace::Create { id: None, name: name.into() })
}

pub(super) fn new_project(name: &str) -> project::Command {
    let body =
        project::Create { id: None, workspace_id: workspace_id(), name: name.into(), description: None };
    project::Command::Create(body, workspace_ref())
}

pub(super) fn new_board(name: &str, columns: Vec<board::NewColumn>) -> board::Command {
    let (project_id, name) = (project_id(), name.into());
    board::Command::Create(
        board::Create { id: None, project_id, name, description: None, columns },
        project_ref(),
    )
}

pub(super) fn new_comment(body: &str) -> comment::Command {
    comment::Command::Add(comment::Add { id: None, external_key: None, body: body.into() }, item_ref())
}

/// Each command about a workspace, with what becomes of it before, while and after it may be changed.
fn of_workspaces() -> Vec<(workspace::Command, [&'static str; 3])> {
    use workspace::Command as C;
    let changes = ["not_found", ACCEPTED, "archived"];
    vec![
        (new_workspace("acme"), [ACCEPTED, "already_exists", "already_exists"]),
        (C::Rename(workspace::Rename { name: "x".into() }), changes),
        (C::Archive, ["not_found", ACCEPTED, ACCEPTED]),
        (C::AddMember(add_bob()), changes),
        (C::RemoveMember(remove_bob()), ["not_found", "not_found", "archived"]),
        (C::ChangeMemberRole(change_bob()), ["not_found", "not_found", "archived"]),
    ]
}

fn of_projects() -> Vec<(project::Command, [&'static str; 3])> {
    use project::Command as C;
    vec![
        (new_project("web"), [ACCEPTED, "already_exists", "already_exists"]),
        (C::Update(project::Update::default()), ["not_found", ACCEPTED, "archived"]),
        (C::Archive, ["not_found", ACCEPTED, ACCEPTED]),
        (C::Restore, ["not_found", ACCEPTED, ACCEPTED]),
    ]
}

fn of_boards() -> Vec<(board::Command, [&'static str; 3])> {
    use board::Command as C;
    let (open, done) = (column("open"), column("done"));
    let field = board::DefineField { name: "f".into(), kind: FieldKind::Text, options: vec![] };
    let column = board::AddColumn { id: None, name: "new".into(), wip_limit: None, index: None };
    vec![
        (new_board("main", vec![]), NEW),
        (C::Update(project::Update::default()), OLD),
        (C::Delete, OLD),
        (C::AddColumn(column), OLD),
        (C::ChangeColumn(open, board::ChangeColumn::default()), OLD),
        (C::MoveColumn(open, board::MoveColumn { index: 1 }), OLD),
        (C::RemoveColumn(open, board::RemoveColumn { items_to: done }), OLD),
        (C::AddMember(add_bob()), OLD),
        (C::RemoveMember(remove_bob()), LACKS),
        (C::ChangeMemberRole(change_bob()), LACKS),
        (C::DefineField(field), OLD),
        (C::RemoveField("f".into()), LACKS),
    ]
}

fn of_items() -> Vec<(item::Command, [&'static str; 3])> {
    use item::Command as C;
    let link = || item::Link { kind: "blocks".into(), item_id: item_id() };
    let file = item::AddAttachment { id: None, name: "a.txt".into(), size: 1, mime: None };
    let to = item::Move { column_id: column("done"), after: None, before: None };
    vec![
        (creation(create_item("t")), NEW),
        (update_item(item::Update::default()), OLD),
        (C::Move(to, placement("done")), OLD),
        (C::Rank(item::SetRank::default()), OLD),
        (C::Assign(item::Assign { assignees: vec!["bob".into()], remove: vec![] }), OLD),
        (C::Unassign(item::Unassign { assignees: vec!["bob".into()] }), OLD),
        (C::Complete(item::Complete::default()), OLD),
        (C::Reopen, OLD),
        (C::AddAttachment(file), OLD),
        (C::RemoveAttachment(uuid::Uuid::nil().into()), LACKS),
        (C::Link(link()), OLD),
        (C::Unlink(link()), LACKS),
        (C::Delete, OLD),
    ]
}

fn of_comments() -> Vec<(comment::Command, [&'static str; 3])> {
    use comment::Command as C;
    vec![(new_comment("yes"), NEW), (C::Edit(comment::Edit { body: None }), OLD), (C::Delete, OLD)]
}

/// Tries each command in each of three lives.
fn check<A>(
    seen: &mut Pairs,
    commands: Vec<(A::Command, [&'static str; 3])>,
    created: A::Event,
    ended: A::Event,
) where
    A: Aggregate<Command: Debug + Clone, Event: Clone>,
{
    for (command, expected) in commands {
        let name = name_of::<A>(&command);
        let lives = [vec![], vec![created.clone()], vec![created.clone(), ended.clone()]];
        for (index, (life, expected)) in lives.into_iter().zip(expected).enumerate() {
            let code = code_of(&given::<A>(life).decided(command.clone()));
            assert_eq!(code, expected, "{name} in life {index}");
            seen.insert((name.clone(), code));
        }
    }
}

/// What became of all of them.
pub(super) fn seen() -> Pairs {
    let mut seen = Pairs::new();
    check::<Workspace>(&mut seen, of_workspaces(), workspace_created(), workspace::Archived {}.into());
    check::<Project>(&mut seen, of_projects(), project_created(), project::Archived {}.into());
    check::<Board>(&mut seen, of_boards(), board_created(), board::Deleted {}.into());
    check::<Item>(&mut seen, of_items(), item_created(), item::Deleted { column_id: column("open") }.into());
    check::<Comment>(
        &mut seen,
        of_comments(),
        comment_added(),
        comment::Deleted { item_id: item_id() }.into(),
    );
    seen
}

#[test]
fn every_command_in_every_life() {
    // In each life some commands are refused and some are not, save at the end, where all are.
    assert!(seen().len() > 90);
}
