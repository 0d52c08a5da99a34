//! Every refusal of every command, by the code that a caller sees. The table is written by hand from what the
//! decisions say; the tests fill it with what the decisions do.

use super::{
    ACCEPTED, Pairs, code_of,
    lives::{self, comment_added, new_board, new_comment, new_project, new_workspace},
    name_of,
};
use crate::given::*;
use domain::{
    Aggregate, AttachmentId, BoardId, ColumnId, Date, Rank,
    board::{self, Board, FieldKind},
    comment::{self, Comment},
    item::{self, FieldEdit, Item},
    limits,
    project::{self, Project},
    workspace::{self, AddMember, ChangeMemberRole, RemoveMember, Role, Workspace},
};
use serde_json::{Value, json};
use std::fmt::Debug;

/// Every command with the codes of its refusals.
const TABLE: &[(&str, &[&str])] = &[
    ("workspace.Create", &["already_exists", "name_empty", "too_long", "empty"]),
    ("workspace.Rename", &["not_found", "archived", "name_empty", "too_long"]),
    ("workspace.Archive", &["not_found"]),
    ("workspace.AddMember", &["not_found", "archived", "empty", "too_long", "already_exists", "too_many"]),
    ("workspace.RemoveMember", &["not_found", "archived", "last_owner"]),
    ("workspace.ChangeMemberRole", &["not_found", "archived", "last_owner"]),
    ("project.Create", &["already_exists", "name_empty", "too_long"]),
    ("project.Update", &["not_found", "archived", "name_empty", "too_long"]),
    ("project.Archive", &["not_found"]),
    ("project.Restore", &["not_found"]),
    ("board.Create", &["already_exists", "gone", "name_empty", "too_long", "too_many", "wip_limit_zero"]),
    ("board.Update", &["not_found", "gone", "name_empty", "too_long"]),
    ("board.Delete", &["not_found", "gone"]),
    (
        "board.AddColumn",
        &["not_found", "gone", "already_exists", "name_empty", "too_long", "too_many", "wip_limit_zero"],
    ),
    ("board.ChangeColumn", &["not_found", "gone", "name_empty", "too_long", "wip_limit_zero"]),
    ("board.MoveColumn", &["not_found", "gone"]),
    ("board.RemoveColumn", &["not_found", "gone", "column_to_itself", "no_such_column"]),
    ("board.AddMember", &["not_found", "gone", "empty", "too_long", "already_exists", "too_many"]),
    ("board.RemoveMember", &["not_found", "gone"]),
    ("board.ChangeMemberRole", &["not_found", "gone"]),
    ("board.DefineField", &["not_found", "gone", "name_empty", "empty", "too_long", "too_many"]),
    ("board.RemoveField", &["not_found", "gone"]),
    (
        "item.Create",
        &[
            "already_exists",
            "gone",
            "other_board",
            "title_empty",
            "empty",
            "too_long",
            "too_many",
            "too_deep",
            "reserved_field",
            "field_type",
        ],
    ),
    (
        "item.Update",
        &[
            "not_found",
            "gone",
            "other_board",
            "title_empty",
            "empty",
            "too_long",
            "too_many",
            "too_deep",
            "reserved_field",
            "field_type",
            "not_a_list",
        ],
    ),
    ("item.Move", &["not_found", "gone", "other_board", "rank_order", "rank_exhausted"]),
    ("item.Rank", &["not_found", "gone", "rank_order", "rank_exhausted"]),
    ("item.Assign", &["not_found", "gone", "empty", "too_long", "too_many"]),
    ("item.Unassign", &["not_found", "gone"]),
    ("item.Complete", &["not_found", "gone", "too_long"]),
    ("item.Reopen", &["not_found", "gone"]),
    ("item.AddAttachment", &["not_found", "gone", "already_exists", "name_empty", "too_long", "too_many"]),
    ("item.RemoveAttachment", &["not_found", "gone"]),
    ("item.Link", &["not_found", "gone", "empty", "too_long", "too_many"]),
    ("item.Unlink", &["not_found", "gone"]),
    ("item.Delete", &["not_found", "gone"]),
    ("comment.Add", &["already_exists", "gone", "body_empty", "too_long"]),
    ("comment.Edit", &["not_found", "gone", "body_empty", "too_long"]),
    ("comment.Delete", &["not_found", "gone"]),
];

/// The table as pairs, and every command accepted.
pub(super) fn known() -> Pairs {
    TABLE
        .iter()
        .flat_map(|(command, codes)| {
            codes.iter().chain([&ACCEPTED]).map(|code| ((*command).to_owned(), *code))
        })
        .collect()
}

/// Has a command refused.
fn refuse<A>(seen: &mut Pairs, given: &Given<A>, command: A::Command, code: &str)
where
    A: Aggregate<Command: Debug, Event: Debug>,
{
    let name = name_of::<A>(&command);
    let answer = given.decided(command);
    assert_eq!(code_of(&answer), code, "{name}: {answer:?}");
    seen.insert((name, code_of(&answer)));
}

fn long(characters: usize) -> String {
    "ä".repeat(characters + 1)
}

fn number(n: usize) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::try_from(n).expect("small"))
}

fn crowd() -> impl Iterator<Item = String> {
    (0..limits::MEMBERS_MAX).map(|n| format!("p{n}"))
}

fn add_member(member: &str, role: Role) -> AddMember {
    AddMember { member: member.into(), role }
}

fn of_workspaces_and_projects(seen: &mut Pairs) {
    use workspace::Command as W;
    let none = nothing::<Workspace>();
    refuse(seen, &none, new_workspace("\u{85} "), "name_empty");
    refuse(seen, &none, new_workspace(&long(limits::NAME_CHARS_MAX)), "too_long");
    // Its creator becomes its owner, so the subject has to be one that can be a member.
    refuse(seen, &nothing::<Workspace>().on_behalf_of(" "), new_workspace("acme"), "empty");
    let there = given::<Workspace>([workspace_created()]);
    let rename = |name: &str| W::Rename(workspace::Rename { name: name.into() });
    refuse(seen, &there, rename(""), "name_empty");
    refuse(seen, &there, rename(&long(limits::NAME_CHARS_MAX)), "too_long");
    refuse(seen, &there, W::AddMember(add_member(" ", Role::Member)), "empty");
    refuse(seen, &there, W::AddMember(add_member(&long(limits::NAME_CHARS_MAX), Role::Member)), "too_long");
    let owner = workspace::MemberAdded { member: "ann".into(), role: Role::Owner };
    let owned = given::<Workspace>([workspace_created(), owner.into()]);
    let member = || "ann".to_owned();
    refuse(seen, &owned, W::RemoveMember(RemoveMember { member: member() }), "last_owner");
    let change = ChangeMemberRole { member: member(), role: Role::Admin };
    refuse(seen, &owned, W::ChangeMemberRole(change.clone()), "last_owner");
    let privileged = owned.privileged();
    assert_eq!(code_of(&privileged.decided(W::ChangeMemberRole(change))), ACCEPTED);
    let members = crowd().map(|member| workspace::MemberAdded { member, role: Role::Viewer }.into());
    let full = given::<Workspace>([workspace_created()].into_iter().chain(members));
    refuse(seen, &full, W::AddMember(add_member("p0", Role::Admin)), "already_exists");
    refuse(seen, &full, W::AddMember(add_member("q", Role::Admin)), "too_many");

    let none = nothing::<Project>();
    refuse(seen, &none, new_project(""), "name_empty");
    refuse(seen, &none, new_project(&long(limits::NAME_CHARS_MAX)), "too_long");
    let there = given::<Project>([project_created()]);
    let update = |name: &str| {
        project::Command::Update(project::Update { name: Some(name.into()), ..Default::default() })
    };
    refuse(seen, &there, update("\t"), "name_empty");
    refuse(seen, &there, update(&long(limits::NAME_CHARS_MAX)), "too_long");
}

fn of_boards(seen: &mut Pairs) {
    use board::Command as C;
    let none = nothing::<Board>();
    let new = |name: &str, wip_limit| board::NewColumn { id: None, name: name.into(), wip_limit };
    refuse(seen, &none, new_board("", vec![]), "name_empty");
    refuse(seen, &none, new_board(&long(limits::NAME_CHARS_MAX), vec![]), "too_long");
    refuse(seen, &none, new_board("b", vec![new("c", None); limits::COLUMNS_MAX + 1]), "too_many");
    refuse(seen, &none, new_board("b", vec![new("c", Some(0))]), "wip_limit_zero");

    let there = given::<Board>([board_created()]);
    let update = |name: &str| C::Update(project::Update { name: Some(name.into()), ..Default::default() });
    refuse(seen, &there, update(" "), "name_empty");
    refuse(seen, &there, update(&long(limits::NAME_CHARS_MAX)), "too_long");

    let add = |id, name: &str, wip_limit| {
        C::AddColumn(board::AddColumn { id, name: name.into(), wip_limit, index: None })
    };
    refuse(seen, &there, add(Some(column("open")), "x", None), "already_exists");
    refuse(seen, &there, add(None, "", None), "name_empty");
    refuse(seen, &there, add(None, &long(limits::NAME_CHARS_MAX), None), "too_long");
    refuse(seen, &there, add(None, "x", Some(0)), "wip_limit_zero");
    let columns = (3..limits::COLUMNS_MAX).map(|n| {
        let column_id = ColumnId::new(number(n));
        board::ColumnAdded { column_id, name: "c".into(), wip_limit: None, index: 0 }.into()
    });
    let full = given::<Board>([board_created()].into_iter().chain(columns));
    refuse(seen, &full, add(None, "x", None), "too_many");

    let change = |name: Option<&str>, wip_limit| {
        C::ChangeColumn(column("open"), board::ChangeColumn { name: name.map(str::to_owned), wip_limit })
    };
    refuse(seen, &there, change(Some(""), None), "name_empty");
    refuse(seen, &there, change(Some(&long(limits::NAME_CHARS_MAX)), None), "too_long");
    refuse(seen, &there, change(None, Some(Some(0))), "wip_limit_zero");

    let remove =
        |items_to: &str| C::RemoveColumn(column("open"), board::RemoveColumn { items_to: column(items_to) });
    refuse(seen, &there, remove("open"), "column_to_itself");
    refuse(seen, &there, remove("elsewhere"), "no_such_column");

    refuse(seen, &there, C::AddMember(add_member("", Role::Member)), "empty");
    refuse(seen, &there, C::AddMember(add_member(&long(limits::NAME_CHARS_MAX), Role::Member)), "too_long");
    let members = crowd().map(|member| board::MemberAdded { member, role: Role::Viewer }.into());
    let full = given::<Board>([board_created()].into_iter().chain(members));
    refuse(seen, &full, C::AddMember(add_member("p0", Role::Admin)), "already_exists");
    refuse(seen, &full, C::AddMember(add_member("q", Role::Admin)), "too_many");

    let define =
        |name: &str, kind| C::DefineField(board::DefineField { name: name.into(), kind, options: vec![] });
    refuse(seen, &there, define(" ", FieldKind::Text), "name_empty");
    refuse(seen, &there, define("f", FieldKind::Choice), "empty");
    refuse(seen, &there, define(&long(limits::FIELD_NAME_CHARS_MAX), FieldKind::Text), "too_long");
    let fields = (0..limits::FIELDS_MAX).map(|n| {
        board::FieldDefined { name: format!("f{n}"), kind: FieldKind::Text, options: vec![] }.into()
    });
    let full = given::<Board>([board_created()].into_iter().chain(fields));
    refuse(seen, &full, define("one more", FieldKind::Text), "too_many");
}

/// Deeper than a value may be.
fn deep() -> Value {
    (0..=limits::FIELD_VALUE_DEPTH_MAX).fold(json!(1), |value, _| json!([value]))
}

fn of_items_bodies(seen: &mut Pairs) {
    use item::Command as C;
    let none = nothing::<Item>();
    let there = given::<Item>([item_created()]);
    let flag =
        || field_types([board::FieldDefined { name: "f".into(), kind: FieldKind::Flag, options: vec![] }]);
    let elsewhere = || {
        let other = BoardId::derive(project_id(), "other");
        given::<Board>([board_created()]).state().field_types(other, []).expect("a proof")
    };
    let create = |name: &str, value: Value| {
        creation(item::Create { fields: [(name.to_owned(), value)].into(), ..create_item("t") })
    };
    refuse(seen, &none, C::Create(create_item("t"), placement("open"), elsewhere()), "other_board");
    refuse(seen, &none, creation(create_item("\n")), "title_empty");
    refuse(seen, &none, creation(create_item(&long(limits::TITLE_CHARS_MAX))), "too_long");
    refuse(seen, &none, create("", json!(1)), "empty");
    refuse(seen, &none, create("description", Value::Null), "reserved_field");
    refuse(seen, &none, create("f", deep()), "too_deep");
    refuse(
        seen,
        &none,
        creation(item::Create { assignees: vec!["a".into(); 101], ..create_item("t") }),
        "too_many",
    );
    let body = item::Create { fields: [("f".to_owned(), json!(1))].into(), ..create_item("t") };
    refuse(seen, &none, C::Create(body, placement("open"), flag()), "field_type");

    let update = |name: &str, edit: FieldEdit| {
        update_item(item::Update { fields: [(name.to_owned(), edit)].into(), ..Default::default() })
    };
    let retitle = |title: &str| update_item(item::Update { title: Some(title.into()), ..Default::default() });
    refuse(seen, &there, C::Update(item::Update::default(), elsewhere()), "other_board");
    refuse(seen, &there, retitle(""), "title_empty");
    refuse(seen, &there, retitle(&long(limits::TITLE_CHARS_MAX)), "too_long");
    refuse(seen, &there, update(" ", FieldEdit::Set(json!(1))), "empty");
    refuse(seen, &there, update("dueDate", FieldEdit::Set(json!("2026-01-01"))), "reserved_field");
    refuse(seen, &there, update("f", FieldEdit::Set(deep())), "too_deep");
    let edits = (0..=limits::FIELDS_MAX).map(|n| (format!("f{n}"), FieldEdit::Set(Value::Null))).collect();
    refuse(seen, &there, update_item(item::Update { fields: edits, ..Default::default() }), "too_many");
    let body =
        item::Update { fields: [("f".to_owned(), FieldEdit::Set(json!(1)))].into(), ..Default::default() };
    refuse(seen, &there, C::Update(body, flag()), "field_type");
    let item::Event::Created(base) = item_created() else { unreachable!() };
    let with_text =
        given::<Item>([item::Created { fields: [("f".to_owned(), json!("x"))].into(), ..base }.into()]);
    refuse(seen, &with_text, update("f", FieldEdit::Add(vec![json!(1)])), "not_a_list");
    refuse(seen, &with_text, update("f", FieldEdit::Remove(vec![json!(1)])), "not_a_list");
}

fn of_items_places(seen: &mut Pairs) {
    use item::Command as C;
    let there = given::<Item>([item_created()]);
    // Between these two there are only ranks of more than 64 digits.
    let (low, high) = (rank("a"), rank(&format!("a{}1", "0".repeat(62))));
    let to = |after: &Rank, before: &Rank| {
        let (after, before) = (Some(after.clone()), Some(before.clone()));
        C::Move(item::Move { column_id: column("done"), after, before }, placement("done"))
    };
    let elsewhere = given::<Board>([board_created()]).state();
    let elsewhere = elsewhere.placement(BoardId::derive(project_id(), "other"), column("done"));
    let stay = item::Move { column_id: column("done"), after: None, before: None };
    refuse(seen, &there, C::Move(stay, elsewhere.expect("a placement")), "other_board");
    refuse(seen, &there, to(&high, &low), "rank_order");
    refuse(seen, &there, to(&low, &high), "rank_exhausted");
    let between = |after: &Rank, before: &Rank| {
        C::Rank(item::SetRank { rank: None, after: Some(after.clone()), before: Some(before.clone()) })
    };
    refuse(seen, &there, between(&low, &low), "rank_order");
    refuse(seen, &there, between(&low, &high), "rank_exhausted");
}

fn of_items_parts(seen: &mut Pairs) {
    use item::Command as C;
    let there = given::<Item>([item_created()]);
    let assign = |assignees: Vec<String>| C::Assign(item::Assign { assignees, remove: vec![] });
    refuse(seen, &there, assign(vec![" ".into()]), "empty");
    refuse(seen, &there, assign(vec![long(limits::NAME_CHARS_MAX)]), "too_long");
    refuse(seen, &there, assign(vec!["a".into(); limits::ASSIGNEES_MAX + 1]), "too_many");
    let resolution = Some(long(limits::RESOLUTION_CHARS_MAX));
    refuse(seen, &there, C::Complete(item::Complete { resolution }), "too_long");

    let attach = |n: usize, name: &str| {
        let id = Some(AttachmentId::new(number(n)));
        C::AddAttachment(item::AddAttachment { id, name: name.into(), size: 0, mime: None })
    };
    refuse(seen, &there, attach(0, "\n"), "name_empty");
    refuse(seen, &there, attach(0, &long(limits::FILE_NAME_CHARS_MAX)), "too_long");
    let files = (0..limits::ATTACHMENTS_MAX).map(|n| {
        let attachment_id = AttachmentId::new(number(n));
        item::AttachmentAdded { attachment_id, name: "a".into(), size: 0, mime: None }.into()
    });
    let full = given::<Item>([item_created()].into_iter().chain(files));
    refuse(seen, &full, attach(7, "a"), "already_exists");
    refuse(seen, &full, attach(limits::ATTACHMENTS_MAX, "a"), "too_many");

    let link = |kind: String| C::Link(item::Link { kind, item_id: item_id() });
    refuse(seen, &there, link(String::new()), "empty");
    refuse(seen, &there, link(long(limits::NAME_CHARS_MAX)), "too_long");
    let links =
        (0..limits::LINKS_MAX).map(|n| item::Linked { kind: format!("k{n}"), item_id: item_id() }.into());
    let full = given::<Item>([item_created()].into_iter().chain(links));
    refuse(seen, &full, link("one more".into()), "too_many");
}

fn of_comments(seen: &mut Pairs) {
    let none = nothing::<Comment>();
    refuse(seen, &none, new_comment(" "), "body_empty");
    let external_key = Some(long(limits::EXTERNAL_KEY_CHARS_MAX));
    let keyed = comment::Add { id: None, external_key, body: "b".into() };
    refuse(seen, &none, comment::Command::Add(keyed, item_ref()), "too_long");
    let there = given::<Comment>([comment_added()]);
    let edit = |body: String| comment::Command::Edit(comment::Edit { body: Some(body) });
    refuse(seen, &there, edit("\u{3000}".into()), "body_empty");
    refuse(seen, &there, edit("x".repeat(limits::TEXT_BYTES_MAX + 1)), "too_long");
}

#[test]
fn every_refusal_of_every_command_was_seen_and_no_other() {
    let mut seen = lives::seen();
    of_workspaces_and_projects(&mut seen);
    of_boards(&mut seen);
    of_items_bodies(&mut seen);
    of_items_places(&mut seen);
    of_items_parts(&mut seen);
    of_comments(&mut seen);
    // What can only be accepted once there is something to take away.
    let later = ["RemoveMember", "ChangeMemberRole", "RemoveField", "RemoveAttachment", "Unlink"];
    let known = known();
    let is_later = |command: &str| later.iter().any(|end| command.ends_with(end));
    let missing: Vec<_> =
        known.difference(&seen).filter(|(command, code)| *code != ACCEPTED || !is_later(command)).collect();
    assert!(missing.is_empty(), "nobody saw: {missing:?}");
    let unknown: Vec<_> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn every_refusal_of_a_proof_or_a_value() {
    let board = given::<Board>([board_created()]).state();
    let gone = given::<Board>([board_created(), board::Deleted {}.into()]).state();
    let board::Event::Created(created) = board_created() else { unreachable!() };
    let bare = given::<Board>([board::Created { columns: vec![], ..created }.into()]).state();
    let (id, open) = (board_id(), column("open"));
    let placed = [
        (code_of(&board.placement(id, open)), ACCEPTED),
        (code_of(&board.placement(id, column("x"))), "no_such_column"),
        (code_of(&gone.placement(id, open)), "gone"),
        (code_of(&Board::default().placement(id, open)), "not_found"),
        (code_of(&board.first_placement(id)), ACCEPTED),
        (code_of(&bare.first_placement(id)), "no_columns"),
        (code_of(&gone.first_placement(id)), "gone"),
        (code_of(&placement("doing").admit(2)), "wip_limit_reached"),
        (code_of(&board.field_types(id, [])), ACCEPTED),
        (code_of(&Board::default().field_types(id, [])), "not_found"),
        (code_of(&Workspace::default().reference(workspace_id())), "not_found"),
        (code_of(&Project::default().reference(project_id())), "not_found"),
        (code_of(&Item::default().reference(item_id())), "not_found"),
        (code_of(&Rank::new("a0")), "rank_invalid"),
        (code_of(&"2026-02-29".parse::<Date>()), "date_invalid"),
    ];
    for (index, (code, expected)) in placed.into_iter().enumerate() {
        assert_eq!(code, expected, "proof {index}");
    }
}
