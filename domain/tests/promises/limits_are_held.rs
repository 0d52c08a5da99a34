//! Promise: no text, list or value grows beyond its limit, and what may be empty is only what history left so.

use crate::given::*;
use domain::{
    DomainError, Kind,
    board::{self, Board},
    comment::{self, Comment},
    item::{self, Command, FieldEdit, Item},
    limits,
    project::{self, Project},
    workspace::{self, Workspace},
};
use serde_json::{Value, json};

fn create(body: item::Create) -> Command {
    creation(body)
}

fn set_field(name: &str, value: Value) -> Command {
    let fields = [(name.to_owned(), FieldEdit::Set(value))].into();
    update_item(item::Update { fields, ..Default::default() })
}

fn retitle(title: &str) -> Command {
    update_item(item::Update { title: Some(title.into()), ..Default::default() })
}

fn comment(body: &str) -> comment::Command {
    comment::Command::Add(comment::Add { id: None, external_key: None, body: body.into() }, item_ref())
}

#[test]
fn a_title_says_something_unless_history_has_none() {
    for blank in ["", " \t\n"] {
        let error = nothing::<Item>().when(create(create_item(blank))).refused("title_empty");
        assert_eq!((error.kind(), error.field()), (Kind::Invalid, Some("title")));
        given::<Item>([item_created()]).when(retitle(blank)).refused("title_empty");
    }
    assert_eq!(nothing::<Item>().imported().when(create(create_item(""))).after().title(), "");
    assert_eq!(given::<Item>([item_created()]).imported().when(retitle("")).after().title(), "");
}

#[test]
fn a_comment_says_something_unless_history_has_none() {
    let error = nothing::<Comment>().when(comment("")).refused("body_empty");
    assert_eq!(error.field(), Some("body"));
    assert_eq!(nothing::<Comment>().imported().when(comment("")).events().len(), 1);
}

#[test]
fn names_say_something_even_in_history() {
    let create_workspace =
        |name: &str| workspace::Command::Create(workspace::Create { id: None, name: name.into() });
    nothing::<Workspace>().imported().when(create_workspace(" ")).refused("name_empty");
    nothing::<Workspace>().when(create_workspace(&"ä".repeat(201))).refused("too_long");
    let longest = nothing::<Workspace>().when(create_workspace(&"ä".repeat(200)));
    assert_eq!(longest.after().name().chars().count(), 200);
    let rename = project::Update { name: Some(String::new()), description: None };
    given::<Project>([project_created()]).when(project::Command::Update(rename)).refused("name_empty");
}

#[test]
fn titles_have_a_thousand_characters() {
    let longest = "ü".repeat(limits::TITLE_CHARS_MAX);
    assert_eq!(nothing::<Item>().when(create(create_item(&longest))).events().len(), 1);
    let error = nothing::<Item>().when(create(create_item(&(longest + "ü")))).refused("too_long");
    assert_eq!(error, DomainError::TooLong { field: "title", actual: 1001, max: 1000, unit: "characters" });
}

#[test]
fn long_texts_have_four_million_bytes() {
    let longest = "x".repeat(limits::TEXT_BYTES_MAX);
    let longer = format!("{longest}x");
    assert_eq!(nothing::<Comment>().when(comment(&longest)).events().len(), 1);
    nothing::<Comment>().when(comment(&longer)).refused("too_long");
    let described = |text: &str| item::Create { description: Some(text.into()), ..create_item("t") };
    assert_eq!(nothing::<Item>().when(create(described(&longest))).events().len(), 1);
    let error = nothing::<Item>().imported().when(create(described(&longer))).refused("too_long");
    assert_eq!(error.field(), Some("description"));
    let update = item::Update { description: Some(Some(longer)), ..Default::default() };
    given::<Item>([item_created()]).when(update_item(update)).refused("too_long");
}

#[test]
fn texts_keep_what_is_odd_in_them() {
    let odd = "nul \0, replacement \u{fffd}, \u{1f600}";
    assert_eq!(nothing::<Item>().when(create(create_item(odd))).after().title(), odd);
}

#[test]
fn a_hundred_people_are_enough() {
    let people = |count: usize| (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>();
    let assign = |count| Command::Assign(item::Assign { assignees: people(count), remove: vec![] });
    given::<Item>([item_created()]).when(assign(101)).refused("too_many");
    let full = given::<Item>([item_created()]).when(assign(100)).after();
    assert_eq!(full.assignees().len(), 100);
    let full = || given::<Item>([item_created(), item::Assigned { assignees: people(100) }.into()]);
    let one_more = item::Assign { assignees: vec!["q".into()], remove: vec![] };
    full().when(Command::Assign(one_more)).refused("too_many");
    let instead = item::Assign { assignees: vec!["q".into()], remove: vec!["p0".into()] };
    assert_eq!(full().when(Command::Assign(instead)).after().assignees().len(), 100);
    let named = |name: &str| item::Assign { assignees: vec![name.into()], remove: vec![] };
    given::<Item>([item_created()]).when(Command::Assign(named(&"n".repeat(201)))).refused("too_long");
    given::<Item>([item_created()]).when(Command::Assign(named(""))).refused("empty");
    let create_with = item::Create { assignees: people(101), ..create_item("t") };
    nothing::<Item>().when(create(create_with)).refused("too_many");
}

#[test]
fn fields_are_two_hundred_with_names_of_a_hundred_characters() {
    let fields = |count: usize| (0..count).map(|n| (format!("f{n}"), json!(n))).collect();
    let with = |count| item::Create { fields: fields(count), ..create_item("t") };
    nothing::<Item>().when(create(with(201))).refused("too_many");
    let [full] = &nothing::<Item>().when(create(with(200))).events()[..] else { unreachable!() };
    given::<Item>([full.clone()]).when(set_field("one more", json!(1))).refused("too_many");
    assert_eq!(given::<Item>([full.clone()]).when(set_field("f0", json!(null))).events().len(), 1);

    given::<Item>([item_created()]).when(set_field(&"n".repeat(101), json!(1))).refused("too_long");
    given::<Item>([item_created()]).when(set_field(" ", json!(1))).refused("empty");
}

#[test]
fn a_swap_of_fields_may_pass_through_the_limit() {
    let fields = (0..200).map(|n| (format!("f{n}"), json!(n))).collect();
    let [full] = &nothing::<Item>().when(create(item::Create { fields, ..create_item("t") })).events()[..]
    else {
        unreachable!()
    };
    let edits = [("a".to_owned(), FieldEdit::Set(json!(1))), ("f0".to_owned(), FieldEdit::Set(json!(null)))];
    let swap = item::Update { fields: edits.into(), ..Default::default() };
    assert_eq!(given::<Item>([full.clone()]).when(update_item(swap)).events().len(), 1);
}

#[test]
fn values_are_neither_huge_nor_bottomless() {
    let huge = json!("x".repeat(limits::FIELD_VALUE_BYTES_MAX));
    given::<Item>([item_created()]).when(set_field("f", huge)).refused("too_long");
    let nested = |levels: usize| (0..levels).fold(json!(1), |value, _| json!([value]));
    given::<Item>([item_created()])
        .when(set_field("f", nested(limits::FIELD_VALUE_DEPTH_MAX + 1)))
        .refused("too_deep");
    // What is accepted can be read back, however deep it stands in its event.
    let events =
        given::<Item>([item_created()]).when(set_field("f", nested(limits::FIELD_VALUE_DEPTH_MAX))).events();
    let encoded = domain::codec::encode(&events[0].clone().into());
    assert!(domain::codec::decode(encoded.event_type, encoded.schema_version, &encoded.payload).is_ok());
}

#[test]
fn a_board_has_five_hundred_columns() {
    let columns = |count: usize| {
        (0..count).map(|n| board::NewColumn { id: None, name: format!("c{n}"), wip_limit: None }).collect()
    };
    let create = |count| {
        board::Command::Create(
            board::Create {
                id: None,
                project_id: project_id(),
                name: "b".into(),
                description: None,
                columns: columns(count),
            },
            project_ref(),
        )
    };
    nothing::<Board>().when(create(501)).refused("too_many");
    let events = nothing::<Board>().when(create(500)).events();
    let one_more = board::AddColumn { id: Some(column("c")), name: "c".into(), wip_limit: None, index: None };
    given::<Board>(events).when(board::Command::AddColumn(one_more)).refused("too_many");
}

#[test]
fn external_keys_are_short_and_say_something() {
    let keyed = |key: String| item::Create { external_key: Some(key), ..create_item("t") };
    nothing::<Item>().when(create(keyed(String::new()))).refused("empty");
    let error = nothing::<Item>().when(create(keyed("k".repeat(501)))).refused("too_long");
    assert_eq!(error.field(), Some("externalKey"));
}
