//! Promise: whatever was once written can be read for ever. Each file in `golden/` is the payload of one
//! event type at one version, byte for byte as it was stored; none of them may ever be changed.
//!
//! A new event type or version needs a new file: `SUNDAY_GOLDEN=write cargo test -p domain` writes those
//! that are missing and leaves those that are there.

use crate::given::*;
use domain::{
    AttachmentId, Change, Decoded, DomainEvent, board, codec, comment, item, project,
    rank::rank_at_end,
    workspace::{self, Role},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// `member` is a hyphen and the later member that the file is about, or nothing.
fn file(event: &DomainEvent, member: &str) -> PathBuf {
    folder().join(format!("{}.v{}{member}.json", event.event_type(), event.schema_version()))
}

/// One event of each type, with every member present and something odd in its texts.
fn examples() -> Vec<DomainEvent> {
    let mut all: Vec<DomainEvent> = Vec::new();
    all.extend(of_workspaces_and_projects());
    all.extend(of_boards());
    all.extend(of_items());
    all.extend(of_comments());
    all
}

fn described(from: &str, to: &str) -> domain::Changes {
    [
        ("name".to_owned(), Change::between(Some(from.into()), to.into())),
        ("description".to_owned(), Change::to_text(Some("line\r\n\"two\"".into()))),
    ]
    .into()
}

fn of_workspaces_and_projects() -> Vec<DomainEvent> {
    let member = || "se-Björn T".to_owned();
    let workspace: [workspace::Event; 6] = [
        workspace::Created { name: "acme".into() }.into(),
        workspace::Renamed { from: "acme".into(), to: "ACME".into() }.into(),
        workspace::Archived {}.into(),
        workspace::MemberAdded { member: member(), role: Role::Admin }.into(),
        workspace::MemberRemoved { member: member() }.into(),
        workspace::MemberRoleChanged { member: member(), from: Role::Member, to: Role::Owner }.into(),
    ];
    let created = project::Created {
        workspace_id: workspace_id(),
        name: "web".into(),
        description: Some("the site".into()),
    };
    let project: [project::Event; 4] = [
        created.into(),
        project::Updated { changes: described("web", "site") }.into(),
        project::Archived {}.into(),
        project::Restored {}.into(),
    ];
    workspace.into_iter().map(DomainEvent::from).chain(project.into_iter().map(DomainEvent::from)).collect()
}

fn of_boards() -> Vec<DomainEvent> {
    let limit = Change::between(Some(json!(3)), json!(null));
    let events: [board::Event; 12] = [
        board_created(),
        board::Updated { changes: described("main", "all") }.into(),
        board::Deleted {}.into(),
        board::ColumnAdded {
            column_id: column("a"),
            name: "Awaiting/User".into(),
            wip_limit: Some(3),
            index: 1,
        }
        .into(),
        board::ColumnChanged { column_id: column("a"), changes: [("wipLimit".to_owned(), limit)].into() }
            .into(),
        board::ColumnMoved { column_id: column("a"), from: 1, to: 0 }.into(),
        board::ColumnRemoved { column_id: column("a"), items_to: column("open") }.into(),
        board::MemberAdded { member: "bob".into(), role: Role::Viewer }.into(),
        board::MemberRemoved { member: "bob".into() }.into(),
        board::MemberRoleChanged { member: "bob".into(), from: Role::Viewer, to: Role::Member }.into(),
        board::FieldDefined { name: "due".into(), kind: board::FieldKind::Date, options: vec![] }.into(),
        board::FieldRemoved { name: "due".into() }.into(),
    ];
    events.into_iter().map(DomainEvent::from).collect()
}

fn of_items() -> Vec<DomainEvent> {
    let item::Event::Created(base) = item_created() else { unreachable!() };
    let people = || vec!["ann".to_owned(), "se-Björn T".to_owned()];
    let attachment_id = AttachmentId::new(uuid::Uuid::from_u128(7));
    let changes = [
        ("title".to_owned(), Change::between(Some("Fix it".into()), "Fix \u{0} it".into())),
        ("description".to_owned(), Change::to_text(None)),
        ("labels".to_owned(), Change::between(Some(json!(["a"])), json!(["a", {"b": 1.5}]))),
    ];
    let (open, done) = (column("open"), column("done"));
    let (old, new) = (rank_at_end(NOW_NS, 1), rank_at_end(NOW_NS + 1, 2));
    let events: [item::Event; 13] = [
        item::Created {
            title: "Fix \u{0} it\u{fffd}".into(),
            description: Some("{html}<p>// TODO</p>\r\n".into()),
            external_key: Some("tidev/WEB-1".into()),
            assignees: people(),
            fields: [("labels".to_owned(), json!(["a", 1, null])), ("level".to_owned(), json!("L2"))].into(),
            ..base
        }
        .into(),
        item::Updated { changes: changes.into() }.into(),
        item::Moved { from_column: open, to_column: done, from_rank: old.clone(), to_rank: new.clone() }
            .into(),
        item::Ranked { from_rank: old, to_rank: new }.into(),
        item::Assigned { assignees: people() }.into(),
        item::Unassigned { assignees: people() }.into(),
        item::Completed { resolution: Some("Fixed".into()) }.into(),
        item::Reopened {}.into(),
        item::Linked { kind: "blocks".into(), item_id: item_id() }.into(),
        item::Unlinked { kind: "blocks".into(), item_id: item_id() }.into(),
        item::AttachmentAdded {
            attachment_id,
            name: "app.js".into(),
            size: 1202,
            mime: Some("application/x-javascript".into()),
        }
        .into(),
        item::AttachmentRemoved { attachment_id }.into(),
        item::Deleted { column_id: open }.into(),
    ];
    events.into_iter().map(DomainEvent::from).collect()
}

fn of_comments() -> Vec<DomainEvent> {
    let events: [comment::Event; 3] = [
        comment::Added {
            workspace_id: workspace_id(),
            board_id: board_id(),
            item_id: item_id(),
            external_key: Some("311188".into()),
            author: None,
            body: "[~egomez]\r\n\r\nwhy \u{1f600}?".into(),
        }
        .into(),
        comment::Edited { item_id: item_id(), body: "because".into() }.into(),
        comment::Deleted { item_id: item_id() }.into(),
    ];
    events.into_iter().map(DomainEvent::from).collect()
}

/// Events with members that came later, with what tells their golden files apart.
fn examples_with_later_members() -> Vec<(&'static str, DomainEvent)> {
    let added = comment::Added {
        workspace_id: workspace_id(),
        board_id: board_id(),
        item_id: item_id(),
        external_key: None,
        author: Some("se-Björn T".into()),
        body: "why?".into(),
    };
    let options = vec!["low".to_owned(), "se-hög".to_owned()];
    let kind = board::FieldKind::Choice;
    let defined = board::FieldDefined { name: "priority".into(), kind, options };
    let item::Event::Created(base) = item_created() else { unreachable!() };
    let created = item::Created { due_date: Some(date("2026-02-28")), ..base };
    let due = Change::between(Some(json!("2026-02-28")), json!("2026-03-01"));
    let updated = item::Updated { changes: [("dueDate".to_owned(), due)].into() };
    // A custom field of a log from before there were due dates.
    let field = Change::between(Some(json!("soon")), json!(["now"]));
    let custom = item::Updated { changes: [("dueDate".to_owned(), field)].into() };
    vec![
        ("-author", comment::Event::from(added).into()),
        ("-options", board::Event::from(defined).into()),
        ("-dueDate", item::Event::from(created).into()),
        ("-dueDate", item::Event::from(updated).into()),
        ("-dueDate-custom", item::Event::from(custom).into()),
    ]
}

#[test]
fn there_is_an_example_of_every_event_type() {
    let named: BTreeSet<&str> = examples().iter().map(DomainEvent::event_type).collect();
    let all: BTreeSet<&str> = DomainEvent::types().map(|(name, _)| name).collect();
    assert_eq!(named, all);
}

#[test]
fn every_golden_file_is_read_and_written_again() {
    let of_all = examples().into_iter().map(|event| ("", event));
    for (member, event) in of_all.chain(examples_with_later_members()) {
        let encoded = codec::encode(&event);
        let path = file(&event, member);
        if !path.exists() && std::env::var_os("SUNDAY_GOLDEN").is_some_and(|mode| mode == "write") {
            fs::write(&path, &encoded.payload).expect("the golden file can be written");
        }
        let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let decoded = codec::decode(encoded.event_type, encoded.schema_version, &golden).expect("readable");
        assert_eq!(decoded, Decoded::Known(event), "{}", path.display());
        assert_eq!(
            String::from_utf8_lossy(&encoded.payload),
            String::from_utf8_lossy(&golden),
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_golden_file_of_any_version_is_still_known() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        // The schemas have a folder of their own.
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (event_type, version) =
            name.strip_suffix(".json").and_then(|name| name.rsplit_once(".v")).expect("type.vN.json");
        // Behind a hyphen stands which of its optional members it has.
        let version = version.split_once('-').map_or(version, |(version, _)| version);
        let payload = fs::read(&path).expect("readable");
        let decoded = codec::decode(event_type, version.parse().expect("a version"), &payload);
        assert!(matches!(decoded, Ok(Decoded::Known(_))), "{name}: {decoded:?}");
        count += 1;
    }
    assert!(count >= DomainEvent::types().count(), "{count}");
}
