//! Promise: who sets a field that the board defines sets what the board says; history, present values and other
//! fields are left alone.

use crate::given::*;
use domain::{
    BoardId, Change, DomainError, Kind,
    board::{self, Board, FieldKind, FieldTypes},
    item::{self, Command, FieldEdit, Item, due_date_change},
};
use serde_json::{Value, json};

fn defined(kind: FieldKind, options: &[&str]) -> FieldTypes {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    field_types([board::FieldDefined { name: "f".into(), kind, options }])
}

fn edited(edit: FieldEdit, types: FieldTypes) -> Command {
    Command::Update(item::Update { fields: [("f".to_owned(), edit)].into(), ..Default::default() }, types)
}

fn set(value: &Value, types: FieldTypes) -> Command {
    edited(FieldEdit::Set(value.clone()), types)
}

fn created(value: &Value, types: FieldTypes) -> Command {
    let body = item::Create { fields: [("f".to_owned(), value.clone())].into(), ..create_item("t") };
    Command::Create(body, placement("open"), types)
}

fn item() -> Given<Item> {
    given([item_created()])
}

fn item_with(value: Value) -> Given<Item> {
    let change = Change::between(None, value);
    given([item_created(), item::Updated { changes: [("f".to_owned(), change)].into() }.into()])
}

#[test]
fn every_kind_takes_its_own_values_only() {
    let long = format!("https://example.org/{}", "x".repeat(4_000));
    #[allow(clippy::type_complexity, reason = "a table is read where it stands")]
    let table: [(FieldKind, &[&str], Vec<Value>, Vec<Value>); 9] = [
        (FieldKind::Text, &[], vec![json!(""), json!("x")], vec![json!(1), json!(["x"]), json!({})]),
        (FieldKind::Number, &[], vec![json!(0), json!(-1.5), json!(1e300)], vec![json!("1"), json!(true)]),
        (
            FieldKind::Date,
            &[],
            vec![json!("2024-02-29"), json!("2026-01-01T00:00:00Z")],
            vec![json!("2026-02-29"), json!("soon"), json!(20_260_101), json!("2026-01-01T00:00:00")],
        ),
        (FieldKind::Flag, &[], vec![json!(true), json!(false)], vec![json!("true"), json!(0)]),
        (FieldKind::List, &[], vec![json!([]), json!([1, "a", null])], vec![json!("a"), json!({"0": "a"})]),
        (
            FieldKind::List,
            &["a", "b"],
            vec![json!([]), json!(["b", "a"])],
            vec![json!(["c"]), json!(["a", 1]), json!("a")],
        ),
        (
            FieldKind::Choice,
            &["a", "b"],
            vec![json!("b")],
            vec![json!("c"), json!("A"), json!(["a"]), json!(1)],
        ),
        (
            FieldKind::Person,
            &[],
            vec![json!("ann"), json!("ä".repeat(200))],
            vec![json!(" "), json!("ä".repeat(201)), json!(["ann"])],
        ),
        (
            FieldKind::Url,
            &[],
            vec![json!("https://example.org"), json!("http://[::1]:80/a?b#c")],
            vec![
                json!("javascript:alert(1)"),
                json!("example.org"),
                json!("https://"),
                json!("https:///path"),
                json!("https://a b"),
                json!(long),
            ],
        ),
    ];
    for (kind, options, good, bad) in table {
        for value in good.iter().chain([&Value::Null]) {
            let is_new = !value.is_null();
            let events = item().when(set(value, defined(kind, options))).events();
            assert_eq!(events.len(), usize::from(is_new), "{kind:?} {value}");
            nothing::<Item>().when(created(value, defined(kind, options))).events();
        }
        for value in bad {
            let error = item().when(set(&value, defined(kind, options))).refused("field_type");
            assert_eq!((error.kind(), error.field()), (Kind::Refused, Some("fields.f")), "{kind:?} {value}");
            nothing::<Item>().when(created(&value, defined(kind, options))).refused("field_type");
            // History is taken as it is.
            item().imported().when(set(&value, defined(kind, options))).events();
            nothing::<Item>().imported().when(created(&value, defined(kind, options))).events();
        }
    }
}

#[test]
fn the_refusal_says_what_is_expected() {
    let error = item().when(set(&json!("c"), defined(FieldKind::Choice, &["a", "b"]))).refused("field_type");
    assert_eq!(error.to_string(), r#"fields.f takes one of: "a", "b", not this text"#);
    let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = item().when(set(&json!(1), defined(FieldKind::Choice, &many))).refused("field_type");
    assert!(error.to_string().ends_with(r#""9", 2 more, not a number"#), "{error}");
}

#[test]
fn elements_are_added_as_the_board_says_and_removed_whatever_they_are() {
    let types = || defined(FieldKind::List, &["a", "b"]);
    let add = |values: &[&str]| FieldEdit::Add(values.iter().map(|value| json!(value)).collect());
    item().when(edited(add(&["a"]), types())).events();
    item().when(edited(add(&["a", "c"]), types())).refused("field_type");
    item().when(edited(add(&["a"]), defined(FieldKind::Text, &[]))).refused("field_type");
    item_with(json!("x")).when(edited(add(&["a"]), types())).refused("not_a_list");
    // The list is older than the options.
    let old = || item_with(json!(["old", "older"]));
    old().when(edited(add(&["a"]), types())).events();
    old().when(edited(FieldEdit::Remove(vec![json!("old")]), types())).events();
}

#[test]
fn what_is_there_may_stay() {
    item_with(json!(7)).when(set(&json!(7), defined(FieldKind::Text, &[]))).unchanged();
    item_with(json!(7)).when(set(&json!(8), defined(FieldKind::Text, &[]))).refused("field_type");
    let only_title = item::Update { title: Some("other".into()), ..Default::default() };
    item_with(json!(7)).when(Command::Update(only_title, defined(FieldKind::Text, &[]))).events();
}

#[test]
fn the_proof_is_of_the_items_own_board_and_of_what_was_asked() {
    let board = || given::<Board>([board_created()]).state();
    let elsewhere = board().field_types(BoardId::derive(project_id(), "other"), []).expect("a proof");
    item().when(Command::Update(item::Update::default(), elsewhere.clone())).refused("other_board");
    nothing::<Item>()
        .when(Command::Create(create_item("t"), placement("open"), elsewhere))
        .refused("other_board");
    assert_eq!(
        Board::default().field_types(board_id(), []),
        Err(DomainError::NotFound { thing: domain::Thing::Board })
    );
    // A deleted board's items are still there, and so is what it says of them.
    let deleted = given::<Board>([board_created(), board::Deleted {}.into()]).state();
    assert!(deleted.field_types(board_id(), []).is_ok());
}

#[test]
fn options_are_for_what_is_chosen() {
    let define = |kind, options: &[&str]| {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        board::Command::DefineField(board::DefineField { name: "f".into(), kind, options })
    };
    let board = || given::<Board>([board_created()]);
    board().when(define(FieldKind::Choice, &[])).refused("empty");
    board().when(define(FieldKind::Choice, &["a", " "])).refused("empty");
    board().when(define(FieldKind::Text, &["a"])).refused("too_many");
    let many: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    board().when(define(FieldKind::Choice, &many)).refused("too_many");
    let state = board().when(define(FieldKind::Choice, &["b", "a", "b"])).then([board::FieldDefined {
        name: "f".into(),
        kind: FieldKind::Choice,
        options: vec!["b".into(), "a".into()],
    }]);
    assert_eq!(state.field("f"), Some(FieldKind::Choice));
    let defined = || {
        let options = vec!["a".to_owned()];
        let event = board::FieldDefined { name: "f".into(), kind: FieldKind::Choice, options };
        given::<Board>([board_created(), event.into()])
    };
    defined().when(define(FieldKind::Choice, &["a"])).unchanged();
    assert_eq!(defined().when(define(FieldKind::Choice, &["a", "b"])).events().len(), 1);
    assert_eq!(defined().when(define(FieldKind::List, &["a"])).events().len(), 1);
}

#[test]
fn due_dates_come_and_go() {
    let due =
        |day: Option<&str>| update_item(item::Update { due_date: Some(day.map(date)), ..Default::default() });
    let updated = |from: Option<Value>, to: Value| item::Updated {
        changes: [("dueDate".to_owned(), Change::between(from, to))].into(),
    };
    let body = item::Create { due_date: Some(date("2026-03-01")), ..create_item("t") };
    let created = nothing::<Item>().when(creation(body)).events();
    let with_due = || given::<Item>(created.clone());
    assert_eq!(with_due().state().due_date(), Some(date("2026-03-01")));
    with_due().when(due(Some("2026-03-01"))).unchanged();
    item().when(due(None)).unchanged();
    let state = with_due()
        .when(due(Some("2026-03-02")))
        .then([updated(Some(json!("2026-03-01")), json!("2026-03-02"))]);
    assert_eq!(state.due_date(), Some(date("2026-03-02")));
    let state = with_due().when(due(None)).then([updated(Some(json!("2026-03-01")), json!(null))]);
    assert_eq!(state.due_date(), None);
}

#[test]
fn a_custom_field_of_an_older_log_that_was_called_due_date_is_no_due_date() {
    let change = |from: Option<Value>, to: Value| Change::between(from, to);
    assert_eq!(due_date_change(&change(None, json!("2026-01-01"))), Some(Some(date("2026-01-01"))));
    assert_eq!(due_date_change(&change(Some(json!("2026-01-01")), json!(null))), Some(None));
    for (from, to) in [
        (None, json!("next week")),
        (None, json!(7)),
        (Some(json!("next week")), json!(null)),
        (Some(json!([1])), json!("2026-01-01")),
    ] {
        assert_eq!(due_date_change(&change(from.clone(), to.clone())), None, "{from:?} {to}");
    }
    let updated =
        item::Updated { changes: [("dueDate".to_owned(), change(None, json!("next week")))].into() };
    let state = given::<Item>([item_created(), updated.into()]).state();
    assert_eq!(state.due_date(), None);
    let stored = serde_json::to_value(&state).expect("JSON");
    assert_eq!(stored["fields"]["dueDate"], r#""next week""#);
}
