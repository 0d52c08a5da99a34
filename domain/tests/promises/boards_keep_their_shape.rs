//! Promise: items go only where their board has room: into its own columns, and not into full ones.

use crate::given::*;
use domain::{
    BoardId, Change, ColumnId, Kind,
    board::{self, Board, Command, FieldKind},
    item::{self, Item},
    workspace::{AddMember, RemoveMember, Role},
};
use serde_json::json;

fn board() -> Given<Board> {
    given([board_created()])
}

fn names(board: &Board) -> Vec<&str> {
    board.columns().iter().map(board::Column::name).collect()
}

fn add(id: Option<ColumnId>, name: &str, index: Option<u32>) -> Command {
    Command::AddColumn(board::AddColumn { id, name: name.into(), wip_limit: None, index })
}

fn removed() -> Given<Board> {
    let removed = board::ColumnRemoved { column_id: column("doing"), items_to: column("done") };
    given([board_created(), removed.into()])
}

#[test]
fn a_board_begins_with_its_columns_in_order() {
    let new = |name: &str, id| board::NewColumn { id, name: name.into(), wip_limit: None };
    let create = |columns| {
        let body = board::Create {
            id: Some(board_id()),
            project_id: project_id(),
            name: "main".into(),
            description: None,
            columns,
        };
        Command::Create(body, project_ref())
    };
    let state = nothing::<Board>().when(create(vec![new("b", None), new("a", None)])).after();
    assert_eq!(names(&state), ["b", "a"]);
    assert_ne!(state.columns()[0].id(), state.columns()[1].id());
    let twice = vec![new("a", Some(column("a"))), new("b", Some(column("a")))];
    nothing::<Board>().when(create(twice)).refused("already_exists");
}

#[test]
fn a_placement_is_only_given_for_a_column_of_the_board() {
    let state = board().state();
    let placement = state.placement(board_id(), column("doing")).unwrap();
    assert_eq!(
        (placement.workspace_id(), placement.project_id(), placement.board_id(), placement.column_id()),
        (workspace_id(), project_id(), board_id(), column("doing"))
    );
    let error = state.placement(board_id(), column("elsewhere")).unwrap_err();
    assert_eq!(
        (error.code(), error.kind(), error.field()),
        ("no_such_column", Kind::Refused, Some("columnId"))
    );
    assert_eq!(state.first_placement(board_id()).unwrap().column_id(), column("open"));
    assert_eq!(state.column_named("done").map(board::Column::id), Some(column("done")));
}

#[test]
fn a_board_without_columns_takes_no_items() {
    let board::Event::Created(created) = board_created() else { unreachable!() };
    let bare = given::<Board>([board::Created { columns: vec![], ..created }.into()]).state();
    assert_eq!(bare.first_placement(board_id()).unwrap_err().code(), "no_columns");
}

#[test]
fn a_full_column_takes_no_more() {
    let limited = placement("doing");
    assert_eq!(limited.wip_limit(), Some(2));
    assert_eq!((limited.admit(0), limited.admit(1)), (Ok(()), Ok(())));
    let error = limited.admit(2).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("wip_limit_reached", Kind::Refused));
    assert_eq!(placement("open").admit(u64::MAX), Ok(()));
}

#[test]
fn an_item_stays_on_its_board() {
    let other = BoardId::derive(project_id(), "other");
    let elsewhere = board().state().placement(other, column("done")).unwrap();
    let to = item::Move { column_id: column("done"), after: None, before: None };
    given::<Item>([item_created()]).when(item::Command::Move(to, elsewhere)).refused("other_board");
}

#[test]
fn columns_are_added_where_they_are_wanted() {
    let id = column("new");
    let added = |index| board::ColumnAdded { column_id: id, name: "new".into(), wip_limit: None, index };
    let state = board().when(add(Some(id), "new", None)).then([added(3)]);
    assert_eq!(names(&state), ["open", "doing", "done", "new"]);
    let state = board().when(add(Some(id), "new", Some(1))).then([added(1)]);
    assert_eq!(names(&state), ["open", "new", "doing", "done"]);
    board().when(add(Some(id), "new", Some(77))).then([added(3)]);
    board().when(add(Some(column("open")), "open", None)).refused("already_exists");
    board().when(add(None, "", None)).refused("name_empty");
    let state = board().when(add(None, "new", None)).after();
    assert!(state.column_named("new").is_some(), "a column without an id gets one");
    let zero = board::AddColumn { id: None, name: "z".into(), wip_limit: Some(0), index: None };
    board().when(Command::AddColumn(zero)).refused("wip_limit_zero");
}

#[test]
fn columns_change_their_name_and_limit() {
    let change = board::ChangeColumn { name: Some("busy".into()), wip_limit: Some(None) };
    let changes = [
        ("name".to_owned(), Change::between(Some(json!("doing")), json!("busy"))),
        ("wipLimit".to_owned(), Change::between(Some(json!(2)), json!(null))),
    ];
    let state = board()
        .when(Command::ChangeColumn(column("doing"), change))
        .then([board::ColumnChanged { column_id: column("doing"), changes: changes.into() }]);
    let changed = state.column(column("doing")).unwrap();
    assert_eq!((changed.name(), changed.wip_limit()), ("busy", None));

    let limit = board::ChangeColumn { name: None, wip_limit: Some(Some(5)) };
    let state = board().when(Command::ChangeColumn(column("open"), limit)).after();
    assert_eq!(state.column(column("open")).unwrap().wip_limit(), Some(5));
    let unknown = board::ChangeColumn::default();
    board().when(Command::ChangeColumn(column("x"), unknown)).refused("not_found");
}

#[test]
fn columns_change_places() {
    let to = |index| board::MoveColumn { index };
    let state = board().when(Command::MoveColumn(column("open"), to(2))).then([board::ColumnMoved {
        column_id: column("open"),
        from: 0,
        to: 2,
    }]);
    assert_eq!(names(&state), ["doing", "done", "open"]);
    let state = board().when(Command::MoveColumn(column("done"), to(0))).after();
    assert_eq!(names(&state), ["done", "open", "doing"]);
}

#[test]
fn a_removed_column_hands_its_items_over_and_never_returns() {
    let remove = |from: &str, items_to: &str| {
        Command::RemoveColumn(column(from), board::RemoveColumn { items_to: column(items_to) })
    };
    let state = board()
        .when(remove("doing", "done"))
        .then([board::ColumnRemoved { column_id: column("doing"), items_to: column("done") }]);
    assert_eq!(names(&state), ["open", "done"]);
    assert_eq!(state.resolve(column("doing")), column("done"));
    assert_eq!(state.resolve(column("open")), column("open"));
    assert_eq!(state.placement(board_id(), column("doing")).unwrap_err().code(), "no_such_column");

    board().when(remove("doing", "doing")).refused("column_to_itself");
    board().when(remove("doing", "x")).refused("no_such_column");
    board().when(remove("x", "done")).refused("not_found");
    removed().when(remove("doing", "done")).refused("gone");
    removed().when(add(Some(column("doing")), "doing", None)).refused("gone");

    let again = removed().when(remove("done", "open")).after();
    assert_eq!(again.resolve(column("doing")), column("open"), "through both removals");
}

#[test]
fn members_have_roles() {
    let add = |role| Command::AddMember(AddMember { member: "bob".into(), role });
    let role = |role| Command::ChangeMemberRole(board::ChangeMemberRole { member: "bob".into(), role });
    let added = board::MemberAdded { member: "bob".into(), role: Role::Member };
    board().when(add(Role::Member)).then([added.clone()]);
    let with_bob = || given::<Board>([board_created(), added.clone().into()]);
    let changed = board::MemberRoleChanged { member: "bob".into(), from: Role::Member, to: Role::Admin };
    assert_eq!(with_bob().when(role(Role::Admin)).then([changed]).role("bob"), Some(Role::Admin));
    with_bob().when(role(Role::Member)).unchanged();
    board().when(role(Role::Admin)).refused("not_found");
    let remove = || Command::RemoveMember(RemoveMember { member: "bob".into() });
    let removed = board::MemberRemoved { member: "bob".into() };
    assert_eq!(with_bob().when(remove()).then([removed]).role("bob"), None);
    board().when(remove()).refused("not_found");
}

#[test]
fn fields_are_defined_and_forgotten() {
    let define =
        |kind| Command::DefineField(board::DefineField { name: "due".into(), kind, options: vec![] });
    let defined = |kind| board::FieldDefined { name: "due".into(), kind, options: vec![] };
    board().when(define(FieldKind::Date)).then([defined(FieldKind::Date)]);
    let with_due = || given::<Board>([board_created(), defined(FieldKind::Date).into()]);
    with_due().when(define(FieldKind::Date)).unchanged();
    let state = with_due().when(define(FieldKind::Text)).then([defined(FieldKind::Text)]);
    assert_eq!(state.field("due"), Some(FieldKind::Text));
    let state = with_due()
        .when(Command::RemoveField("due".into()))
        .then([board::FieldRemoved { name: "due".into() }]);
    assert_eq!(state.field("due"), None);
    board().when(Command::RemoveField("due".into())).refused("not_found");
}
