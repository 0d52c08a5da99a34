//! Promise: the JSON of a request is the command, and a misspelt member is an error instead of being ignored.

use domain::{board, comment, item, project, workspace};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).expect("a body")
}

fn refuse<T: DeserializeOwned>(body: Value) -> String {
    match serde_json::from_value::<T>(body) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

const ID: &str = "5d0b3f4c-8a55-5e1e-9c27-c1f050da7001";

#[test]
fn absent_null_and_given_are_three_things() {
    let update = read::<item::Update>(json!({}));
    assert_eq!((update.title, update.description), (None, None));
    assert_eq!(read::<item::Update>(json!({"description": null})).description, Some(None));
    let given = read::<item::Update>(json!({"description": "d"}));
    assert_eq!(given.description, Some(Some("d".into())));
    assert_eq!(read::<board::ChangeColumn>(json!({"wipLimit": null})).wip_limit, Some(None));
    assert_eq!(read::<board::ChangeColumn>(json!({"wipLimit": 3})).wip_limit, Some(Some(3)));
    assert_eq!(read::<project::Update>(json!({"description": null})).description, Some(None));
}

#[test]
fn field_edits_say_what_they_do() {
    let update = read::<item::Update>(json!({"fields": {
        "level": {"set": "L2"}, "labels": {"add": ["a"]}, "versions": {"remove": ["1"]}
    }}));
    assert_eq!(update.fields["level"], item::FieldEdit::Set(json!("L2")));
    assert_eq!(update.fields["labels"], item::FieldEdit::Add(vec![json!("a")]));
    assert_eq!(update.fields["versions"], item::FieldEdit::Remove(vec![json!("1")]));
    assert!(!refuse::<item::Update>(json!({"fields": {"level": "L2"}})).is_empty());
}

#[test]
fn an_item_needs_its_board_and_little_else() {
    let create = read::<item::Create>(json!({"boardId": ID, "title": "t"}));
    assert_eq!((create.title.as_str(), create.column_id, create.rank), ("t", None, None));
    assert!(refuse::<item::Create>(json!({"title": "t"})).contains("boardId"));
    assert!(!refuse::<item::Create>(json!({"boardId": "7", "title": "t"})).is_empty());
    let whole = read::<item::Create>(json!({
        "id": ID, "boardId": ID, "columnId": ID, "title": "t", "description": "d", "externalKey": "k",
        "assignees": ["a"], "fields": {"f": [1]}, "rank": "i"
    }));
    assert_eq!(whole.fields["f"], json!([1]));
    assert!(!refuse::<item::Create>(json!({"boardId": ID, "title": "t", "rank": "i0"})).is_empty());
}

#[test]
fn misspelt_members_are_named() {
    assert!(refuse::<item::Create>(json!({"boardId": ID, "titel": "t"})).contains("titel"));
    assert!(refuse::<item::Update>(json!({"Title": "t"})).contains("Title"));
    assert!(refuse::<item::Move>(json!({"columnId": ID, "position": 1})).contains("position"));
    assert!(refuse::<workspace::Create>(json!({"name": "n", "x": 1})).contains('x'));
    assert!(refuse::<board::AddColumn>(json!({"name": "n", "limit": 1})).contains("limit"));
    assert!(refuse::<comment::Add>(json!({"text": "t"})).contains("text"));
}

#[test]
fn small_bodies_are_read() {
    assert_eq!(read::<item::Complete>(json!({})).resolution, None);
    assert_eq!(read::<item::Assign>(json!({"assignees": ["a"]})).remove, Vec::<String>::new());
    assert_eq!(read::<comment::Edit>(json!({})).body, None);
    assert_eq!(read::<workspace::AddMember>(json!({"member": "m"})).role, workspace::Role::Member);
    let columns = json!([{"name": "open"}, {"name": "doing", "wipLimit": 3}]);
    let create = read::<board::Create>(json!({"projectId": ID, "name": "b", "columns": columns}));
    assert_eq!(create.columns[1].wip_limit, Some(3));
}
