//! Promise: the schema of an event takes every payload that was ever written and no other shape, and never
//! changes unnoticed; the schema of a command takes exactly what the command's decision takes.

use domain::{board, comment, item, limits, project, schema, workspace};
use jsonschema::Validator;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("a schema")
}

#[test]
fn every_event_type_has_a_schema_of_its_own() {
    let all: Vec<_> = schema::all().collect();
    assert_eq!(all.len(), domain::DomainEvent::types().count());
    for (name, version, schema) in &all {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert_eq!(schema["title"], format!("{name} v{version}"));
        assert_eq!(schema["type"], "object", "{name}");
        assert!(!schema.to_string().contains("$ref"), "{name} stands alone");
        assert_eq!(schema::of(name).as_ref(), Some(schema));
    }
    assert_eq!(schema::of("item.exploded"), None);
}

#[test]
fn every_golden_event_of_any_age_has_the_shape_of_its_schema() {
    for entry in fs::read_dir(golden()).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some((event_type, version)) = name.strip_suffix(".json").and_then(|name| name.rsplit_once(".v"))
        else {
            continue;
        };
        let current = schema::all().find(|(known, _, _)| *known == event_type).expect("a known type");
        // Older versions have had schemas of their own.
        if version.split('-').next() == Some(current.1.to_string().as_str()) {
            let payload = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
            if let Err(error) = validator(&current.2).validate(&payload) {
                panic!("{name}: {error}");
            }
        }
    }
}

#[test]
fn no_other_shape_is_the_shape_of_an_event() {
    for (name, version, schema) in schema::all() {
        let payload = fs::read(golden().join(format!("{name}.v{version}.json"))).expect("a golden file");
        let payload: Value = serde_json::from_slice(&payload).expect("JSON");
        let validator = validator(&schema);
        if let Err(error) = validator.validate(&payload) {
            panic!("{name} v{version}: {error}");
        }
        // Whatever stands there has to be what it is: any member that becomes a list is noticed.
        for member in payload.as_object().expect("an object").keys() {
            let mut wrong = payload.clone();
            wrong[member] = json!([[[]]]);
            assert!(!validator.is_valid(&wrong), "{name}: {member} may be anything");
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            let mut less = payload.clone();
            less.as_object_mut().expect("an object").remove(required.as_str().expect("a name"));
            assert!(!validator.is_valid(&less), "{name} without {required}");
        }
    }
}

/// `SUNDAY_GOLDEN=write` writes the files that are missing and leaves those that are there: whoever means to
/// change one deletes it first.
#[test]
fn no_schema_changes_unnoticed() {
    let folder = golden().join("schemas");
    let mut known = Vec::new();
    for (name, version, schema) in schema::all() {
        let file = format!("{name}.v{version}.json");
        let path = folder.join(&file);
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        if !path.exists() && std::env::var_os("SUNDAY_GOLDEN").is_some_and(|mode| mode == "write") {
            fs::write(&path, &text).expect("the file can be written");
        }
        let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(golden, text, "{file}");
        known.push(file);
    }
    for entry in fs::read_dir(&folder).expect("the folder is there") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(known.contains(&file), "{file} is the schema of nothing");
    }
}

/// Bodies that the schema takes and the parser reads, and bodies that neither does.
fn check<T: JsonSchema + DeserializeOwned>(good: &[Value], bad: &[Value]) {
    let schema = schemars::schema_for!(T).to_value();
    let validator = validator(&schema);
    for body in good {
        if let Err(error) = validator.validate(body) {
            panic!("{body}: {error}\n{schema:#}");
        }
        serde_json::from_value::<T>(body.clone()).expect("a body");
    }
    for body in bad {
        assert!(!validator.is_valid(body), "{body}\n{schema:#}");
    }
}

const ID: &str = "5d0b3f4c-8a55-5e1e-9c27-c1f050da7001";

#[test]
fn bodies_about_items_have_their_schema() {
    let title = |title: Value| json!({"boardId": ID, "title": title});
    let fields = |count: usize| (0..count).map(|n| (format!("f{n}"), json!(n))).collect::<Value>();
    check::<item::Create>(
        &[
            title(json!("t")),
            title(json!("ä".repeat(limits::TITLE_CHARS_MAX))),
            title(json!("\u{200b}")),
            json!({"boardId": ID, "title": "t", "columnId": null, "rank": "0i", "assignees": ["a"]}),
            json!({"boardId": ID, "title": "t", "fields": fields(limits::FIELDS_MAX)}),
        ],
        &[
            json!({"boardId": ID}),
            title(json!("")),
            title(json!(" \t\u{85}\u{3000}")),
            title(json!(null)),
            title(json!("a".repeat(limits::TITLE_CHARS_MAX + 1))),
            json!({"boardId": "7", "title": "t"}),
            json!({"boardId": ID, "title": "t", "rank": "i0"}),
            json!({"boardId": ID, "title": "t", "titel": "t"}),
            json!({"boardId": ID, "title": "t", "assignees": [" "]}),
            json!({"boardId": ID, "title": "t", "fields": {"title": 1}}),
            json!({"boardId": ID, "title": "t", "fields": {" ": 1}}),
            json!({"boardId": ID, "title": "t", "fields": fields(limits::FIELDS_MAX + 1)}),
        ],
    );
    check::<item::Update>(
        &[
            json!({}),
            json!({"description": null, "dueDate": null}),
            json!({"dueDate": "2024-02-29"}),
            json!({"fields": {"a": {"set": null}, "b": {"add": [1]}}}),
        ],
        &[
            json!({"description": 1}),
            json!({"dueDate": "2026-02-29"}),
            json!({"dueDate": "2026-02-28T00:00:00Z"}),
            json!({"fields": {"a": 1}}),
            json!({"fields": {"a": {"set": 1, "add": []}}}),
            json!({"fields": {"description": {"set": 1}}}),
        ],
    );
    check::<item::Move>(&[json!({"columnId": ID, "after": "i"})], &[json!({}), json!({"columnId": null})]);
    check::<item::SetRank>(&[json!({}), json!({"rank": null})], &[json!({"rank": "A"}), json!({"rank": ""})]);
    check::<item::Assign>(&[json!({"assignees": ["a"]})], &[json!({"assignees": vec!["a"; 101]})]);
    check::<item::Unassign>(&[json!({"assignees": []})], &[json!({})]);
    check::<item::Complete>(&[json!({})], &[json!({"resolution": "r".repeat(1_001)})]);
    check::<item::AddAttachment>(
        &[json!({"name": "a", "size": u64::MAX})],
        &[json!({"name": "a", "size": -1}), json!({"name": "a", "size": 1e20}), json!({"name": ""})],
    );
    check::<item::Link>(&[json!({"kind": "k", "itemId": ID})], &[json!({"kind": "\n", "itemId": ID})]);
}

#[test]
fn the_other_bodies_have_their_schema() {
    check::<workspace::Create>(&[json!({"name": "n"})], &[json!({"name": "n".repeat(201)}), json!({})]);
    check::<workspace::Rename>(&[json!({"name": "n"})], &[json!({"name": ""})]);
    check::<workspace::AddMember>(
        &[json!({"member": "m"}), json!({"member": "m", "role": "viewer"})],
        &[json!({"member": "m", "role": "king"}), json!({"member": " "})],
    );
    check::<workspace::RemoveMember>(&[json!({"member": "m"})], &[json!({"member": 1})]);
    check::<project::Create>(&[json!({"workspaceId": ID, "name": "n"})], &[json!({"name": "n"})]);
    check::<project::Update>(&[json!({"description": null})], &[json!({"name": ""})]);
    let columns = |count: usize| (0..count).map(|_| json!({"name": "c"})).collect::<Value>();
    check::<board::Create>(
        &[json!({"projectId": ID, "name": "n", "columns": columns(limits::COLUMNS_MAX)})],
        &[json!({"projectId": ID, "name": "n", "columns": columns(limits::COLUMNS_MAX + 1)})],
    );
    check::<board::AddColumn>(
        &[json!({"name": "n", "wipLimit": 1, "index": u32::MAX})],
        &[
            json!({"name": "n", "wipLimit": 0}),
            json!({"name": "n", "wipLimit": u64::from(u32::MAX) + 1}),
            json!({"name": "n", "index": -1}),
        ],
    );
    check::<board::ChangeColumn>(&[json!({"wipLimit": null})], &[json!({"wipLimit": 0})]);
    check::<board::MoveColumn>(&[json!({"index": 0})], &[json!({"index": u64::MAX})]);
    check::<board::RemoveColumn>(&[json!({"itemsTo": ID})], &[json!({})]);
    check::<workspace::ChangeMemberRole>(
        &[json!({"member": "m", "role": "admin"})],
        &[json!({"member": "m"})],
    );
    check::<board::DefineField>(
        &[
            json!({"name": "f", "kind": "text"}),
            json!({"name": "f", "kind": "text", "options": []}),
            json!({"name": "f", "kind": "list"}),
            json!({"name": "f", "kind": "list", "options": ["a"]}),
            json!({"name": "f", "kind": "choice", "options": ["a", "a"]}),
        ],
        &[
            json!({"name": "f", "kind": "x"}),
            json!({"name": "f", "kind": "text", "options": ["a"]}),
            json!({"name": "f", "kind": "choice"}),
            json!({"name": "f", "kind": "choice", "options": []}),
            json!({"name": "f", "kind": "choice", "options": [" "]}),
        ],
    );
    check::<comment::Add>(&[json!({"body": "b"})], &[json!({}), json!({"body": " "})]);
    check::<comment::Edit>(&[json!({}), json!({"body": null})], &[json!({"body": ""})]);
}
