//! Things as they were: every answer that was ever given is given again when its moment is asked for.

use crate::fixture::{Answer, Fixture};
use crate::history::{Deed, NOW, World, append, append_many, append_raw};
use crate::live::Dice;
use crate::tenants::{ask_as, reader};
use domain::system::projections::{
    ControlEvent, DeadLetterAdded, DeadLettersRetried, SCHEMA_VERSION, stream_of,
};
use domain::{
    AttachmentId, BoardId, Change, Changes, ColumnId, CommentId, DomainEvent, ItemId, Rank, Role,
    WorkspaceId, board, comment, item, project,
};
use eventstore::{
    CommitBuilder, ContentType, EventType, Metadata, NewEvent, Position, RecordedEvent, Store, StreamId,
};
use query_api::rfc3339::Rfc3339;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An answer as it is compared: status, and body or code.
type Said = (u16, String);

fn said(answer: &Answer) -> Said {
    match answer.status.as_u16() {
        200 => (200, answer.body.clone()),
        status => (status, answer.problem().1),
    }
}

/// The number of events, when the answer covers exactly those.
async fn ask_at(fixture: &Fixture, path: &str, as_of: &str, position: u64) -> Said {
    let separator = if path.contains('?') { '&' } else { '?' };
    let end = fixture.store.watermark();
    let answer = fixture.ask(&format!("{path}{separator}asOf={as_of}&minPosition={end}")).await;
    assert_eq!(answer.position(), position, "{path} as of {as_of}: {}", answer.body);
    if answer.status == 200 {
        let tag = answer.headers["etag"].to_str().unwrap();
        assert!(tag.starts_with("W/"), "no version of the past is a condition: {tag}");
    }
    said(&answer)
}

fn change(field: &str, to: Value) -> Changes {
    Changes::from([(field.to_owned(), Change { from: None, to })])
}

/// Things that happen at random, to the items of two boards of one project.
struct Life {
    dice: Dice,
    worlds: [World; 2],
    items: Vec<(usize, ItemId)>,
    comments: Vec<(ItemId, CommentId)>,
    columns: Vec<ColumnId>,
    count: usize,
}

impl Life {
    fn begin(store: &Store) -> Self {
        let first = World::create(store, "acme");
        let board = BoardId::derive(first.project, "Other board");
        let columns = ["Open", "Done"].map(|name| ColumnId::derive(board, name));
        let second = World { board, open: columns[0], done: columns[1], ..first };
        let column =
            |column_id, name: &str| board::CreatedColumn { column_id, name: name.into(), wip_limit: None };
        let created = board::Created {
            workspace_id: first.workspace,
            project_id: first.project,
            name: "Other board".to_owned(),
            description: Some("first words".to_owned()),
            columns: vec![column(columns[0], "Open"), column(columns[1], "Done")],
        };
        let created = board::Event::from(created);
        append(store, &board.stream_id(), &second.scope(None), NOW, vec![created.into()]);
        let columns = vec![first.open, first.done, columns[0], columns[1]];
        let worlds = [first, second];
        Self { dice: Dice::new(), worlds, items: Vec::new(), comments: Vec::new(), columns, count: 0 }
    }

    fn paths(&self) -> Vec<String> {
        let boards = self.worlds.iter().flat_map(|world| {
            let board = format!("/api/v1/boards/{}", world.board);
            [format!("{board}/view?limit=3"), board]
        });
        let items = (0..8).map(|key| format!("/api/v1/items/{}", self.worlds[0].item_id(&key.to_string())));
        let said =
            (0..8).map(|key| format!("/api/v1/items/{}/comments", self.worlds[0].item_id(&key.to_string())));
        let [world, _] = &self.worlds;
        let last = [
            format!("/api/v1/workspaces/{}", world.workspace),
            format!("/api/v1/projects/{}", world.project),
        ];
        boards.chain(items).chain(said).chain(last).collect()
    }

    fn one<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.dice.pick(among.len())]
    }

    /// One more commit.
    fn goes_on(&mut self, store: &Store) {
        self.count += 1;
        let text = format!("text {}", self.count);
        let rank =
            Rank::new(format!("i{}", char::from(b'a' + u8::try_from(self.dice.roll(20)).unwrap()))).unwrap();
        let occurred_at = [None, Some(i64::try_from(self.dice.roll(1_000_000)).unwrap() * 1_000_000_000)];
        let deed = Deed {
            actor: self.one(&["ada", "bob"]),
            on_behalf_of: self.one(&[None, Some("cyd")]),
            occurred_at: self.one(&occurred_at),
        };
        if self.items.len() < 8 && (self.items.is_empty() || self.dice.roll(4) == 0) {
            let on = self.dice.pick(2);
            let key = self.items.len().to_string();
            let description = self.one(&[None, Some("what it is about")]);
            let fields = BTreeMap::from([("size".to_owned(), json!(self.count))]);
            let id = self.worlds[on].item_with(
                store,
                &key,
                rank.as_str(),
                &text,
                description,
                &["ada"],
                fields,
                deed,
            );
            return self.items.push((on, id));
        }
        let known = self.items.clone();
        let (on, id) = self.one(&known);
        let columns = self.columns.clone();
        let (from_column, to_column) = (self.one(&columns), self.one(&columns));
        let from_rank = rank.clone();
        let world = &self.worlds[on];
        let of_item = |event: item::Event| -> DomainEvent { event.into() };
        let event = match self.dice.roll(24) {
            0 | 1 => of_item(item::Updated { changes: change("title", json!(text)) }.into()),
            2 => of_item(item::Updated { changes: change("description", json!(text)) }.into()),
            3 => of_item(item::Updated { changes: change("description", Value::Null) }.into()),
            4 => of_item(item::Updated { changes: change("long", json!(text.repeat(100))) }.into()),
            5..=8 => of_item(item::Moved { from_column, to_column, from_rank, to_rank: rank }.into()),
            9 => of_item(item::Ranked { from_rank, to_rank: rank }.into()),
            10 => of_item(item::Assigned { assignees: vec![text, "bob".into()] }.into()),
            11 => of_item(item::Completed { resolution: Some(text) }.into()),
            12 => of_item(item::Reopened {}.into()),
            13 => of_item(item::Linked { kind: text, item_id: id }.into()),
            14 if self.count > 20 => of_item(item::Deleted { column_id: to_column }.into()),
            15..=17 => {
                let comment = world.comment(store, id, &text, &text, deed);
                return self.comments.push((id, comment));
            }
            18 if !self.comments.is_empty() => {
                let (item, comment) = self.comments[self.dice.pick(self.comments.len())];
                let deleted = comment::Event::from(comment::Deleted { item_id: item });
                // Whose board it is on, its tags say.
                let on = self.items.iter().find(|(_, id)| *id == item).unwrap().0;
                self.worlds[on].comment_happens(store, item, comment, deleted);
                return;
            }
            19 => {
                let event = match self.dice.roll(3) {
                    0 => project::Event::from(project::Updated { changes: change("name", json!(text)) }),
                    1 => project::Updated { changes: change("description", json!(text)) }.into(),
                    _ => project::Archived {}.into(),
                };
                append(
                    store,
                    &world.project.stream_id(),
                    &domain::Scope { board: None, ..world.scope(None) },
                    deed,
                    vec![event.into()],
                );
                return;
            }
            20 => {
                let attachment_id = AttachmentId::new(Uuid::now_v7());
                of_item(item::AttachmentAdded { attachment_id, name: text, size: 1, mime: None }.into())
            }
            _ => {
                let event = match self.dice.roll(7) {
                    0 => board::Event::from(board::ColumnChanged {
                        column_id: to_column,
                        changes: change("name", json!(text)),
                    }),
                    1 => {
                        let column_id = ColumnId::derive(world.board, &text);
                        self.columns.push(column_id);
                        board::ColumnAdded { column_id, name: text, wip_limit: Some(3), index: 0 }.into()
                    }
                    2 => board::ColumnRemoved { column_id: from_column, items_to: to_column }.into(),
                    3 => board::ColumnMoved { column_id: to_column, from: 0, to: 1 }.into(),
                    4 => board::Updated { changes: change("description", json!(text)) }.into(),
                    5 => board::MemberAdded { member: text, role: Role::Member }.into(),
                    _ => board::Updated { changes: change("name", json!(text)) }.into(),
                };
                append(store, &world.board.stream_id(), &world.scope(None), deed, vec![event.into()]);
                return;
            }
        };
        append(store, &id.stream_id(), &world.scope(Some(id)), deed, vec![event]);
    }
}

/// How many events were recorded at or before the moment at which the event before `position` was, counted one by one; and
/// that moment.
fn recorded_with(store: &Store, position: u64) -> (u64, Rfc3339) {
    let at = |position: u64| {
        let event = store.log().event(Position::new(position)).unwrap();
        event.as_ref().and_then(RecordedEvent::get).map(|event| event.recorded_at())
    };
    let moment = at(position - 1);
    let same = (position..).take_while(|next| at(*next) == moment).count();
    (position + u64::try_from(same).unwrap(), Rfc3339(moment.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_once_is_answered_again() {
    let fixture = Fixture::new();
    let mut life = Life::begin(&fixture.store);
    let paths = life.paths();
    let mut told: BTreeMap<u64, Vec<Said>> = BTreeMap::new();
    for round in 0..100 {
        match round {
            40 => drop(World::create(&fixture.store, "rival").item(&fixture.store, "0", "i", "theirs", NOW)),
            70 => drop(append_raw(&fixture.store, "orders-1", ContentType::Json, b"", b"{}")),
            90 => {
                let world = &life.worlds[1];
                let deleted = board::Event::from(board::Deleted {});
                append(
                    &fixture.store,
                    &world.board.stream_id(),
                    &world.scope(None),
                    NOW,
                    vec![deleted.into()],
                );
            }
            _ => life.goes_on(&fixture.store),
        }
        let position = fixture.store.watermark().get();
        let mut answers = Vec::new();
        for path in &paths {
            let separator = if path.contains('?') { '&' } else { '?' };
            let answer = fixture.ask(&format!("{path}{separator}minPosition={position}")).await;
            assert_eq!(answer.position(), position, "{path}");
            answers.push(said(&answer));
        }
        told.insert(position, answers);
    }
    let mut kinds: BTreeMap<u16, usize> = BTreeMap::new();
    for (position, answers) in &told {
        let (recorded_by, moment) = recorded_with(&fixture.store, *position);
        for (path, then) in paths.iter().zip(answers) {
            let now = ask_at(&fixture, path, &position.to_string(), *position).await;
            assert_eq!(&now, then, "{path} as of {position}");
            *kinds.entry(now.0).or_default() += 1;
            if recorded_by == *position {
                let now = ask_at(&fixture, path, &moment.to_string(), *position).await;
                assert_eq!(&now, then, "{path} as of {moment}");
            }
        }
    }
    assert!(kinds[&200] > 500 && kinds[&404] > 10 && kinds[&410] > 10, "{kinds:?}");
    // A nanosecond before the first event nothing was there; and nothing has happened since, whatever the time.
    let world = &life.worlds[0];
    let project = format!("/api/v1/projects/{}", world.project);
    assert_eq!(ask_at(&fixture, &project, "1970-01-01T00:00:00Z", 0).await, (404, "not_found".into()));
    let end = fixture.store.watermark().get();
    let now = ask_at(&fixture, &project, "9999-12-31T23:59:59%2B01:00", end).await;
    assert_eq!(Some(&now), told[&end].last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_may_be_within_a_commit() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let retitled = |to: &str| -> DomainEvent {
        item::Event::from(item::Updated { changes: change("title", json!(to)) }).into()
    };
    let events = vec![retitled("Second"), retitled("Third")];
    append(&fixture.store, &item.stream_id(), &world.scope(Some(item)), NOW, events);
    let path = format!("/api/v1/items/{item}");
    for (position, title) in [(4, "First"), (5, "Second"), (6, "Third")] {
        let (status, body) = ask_at(&fixture, &path, &position.to_string(), position).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["title"]), (200, &json!(title)), "{position}");
    }
    assert_eq!(ask_at(&fixture, &path, "3", 3).await, (404, "not_found".into()));
}

/// More than is read of a source at a time.
#[tokio::test(flavor = "multi_thread")]
async fn long_histories_are_read_page_by_page() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let begin = fixture.store.watermark().get();
    for number in 0..600 {
        world.comment(&fixture.store, item, &number.to_string(), "again", NOW);
    }
    for count in [0, 1, 255, 256, 257, 300, 512, 599, 600] {
        let position = begin + count;
        for thing in [format!("items/{item}"), format!("boards/{}/view", world.board)] {
            let (_, body) =
                ask_at(&fixture, &format!("/api/v1/{thing}"), &position.to_string(), position).await;
            assert!(body.contains(&format!("\"commentCount\":{count},")), "{thing} {count}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_says_what_is_different() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", Deed { occurred_at: Some(0), ..NOW });
    let created = fixture.store.watermark().get();
    let later = Deed { occurred_at: Some(1_000_000_000), ..NOW };
    let changes = Changes::from([
        ("title".to_owned(), Change { from: None, to: json!("Second") }),
        ("description".to_owned(), Change { from: None, to: json!("longer") }),
    ]);
    world.happens(&fixture.store, item, item::Updated { changes }.into(), later);
    world.comment(&fixture.store, item, "c1", "so it is", later);
    let end = fixture.store.watermark().get();
    let (_, moment) = recorded_with(&fixture.store, created);
    let path = format!("/api/v1/items/{item}/diff");
    let expected = json!([
        {"field": "commentCount", "from": 0, "to": 1},
        {"field": "description", "from": null, "to": "longer"},
        {"field": "title", "from": "First", "to": "Second"},
        {"field": "updatedAt", "from": "1970-01-01T00:00:00.000000000Z", "to": "1970-01-01T00:00:01.000000000Z"},
        {"field": "version", "from": 0, "to": 1},
    ]);
    let expected = json!({"id": item, "from": created, "to": end, "changes": expected});
    assert_eq!(fixture.json(&format!("{path}?from={created}")).await, expected);
    assert_eq!(fixture.json(&format!("{path}?from={created}&to={end}")).await, expected);
    assert_eq!(fixture.json(&format!("{path}?from={moment}")).await, expected, "{moment}");

    // Backward, both sides change places.
    let mut backward = expected.clone();
    (backward["from"], backward["to"]) = (json!(end), json!(created));
    for change in backward["changes"].as_array_mut().unwrap() {
        let from = change["from"].take();
        let to = std::mem::replace(&mut change["to"], from);
        change["from"] = to;
    }
    assert_eq!(fixture.json(&format!("{path}?from={end}&to={created}")).await, backward);
    assert_eq!(fixture.json(&format!("{path}?from={end}")).await["changes"], json!([]));

    // Before its creation and after its deletion nothing is there; all members differ but those that are null anyway.
    let present = fixture.json(&format!("/api/v1/items/{item}")).await;
    let members = present.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let members: Vec<_> =
        members.map(|(field, to)| json!({"field": field, "from": null, "to": to})).collect();
    assert_eq!(fixture.json(&format!("{path}?from=0")).await["changes"], json!(members));
    world.happens(&fixture.store, item, item::Deleted { column_id: world.open }.into(), NOW);
    let gone = fixture.json(&format!("{path}?from={end}")).await;
    assert_eq!(gone["changes"].as_array().unwrap().len(), members.len());
    assert!(gone["changes"].as_array().unwrap().iter().all(|change| change["to"].is_null()));
    assert_eq!(fixture.refused(&format!("{path}?from=0")).await, (410, "gone".into()));
    assert_eq!(fixture.refused(&format!("{path}?from=0&to=1")).await, (404, "not_found".into()));

    // The same for what is made of many things.
    let board = fixture.json(&format!("/api/v1/boards/{}/diff?from={end}", world.board)).await;
    let fields = |diff: &Value| -> Vec<String> {
        let changes = diff["changes"].as_array().unwrap().iter();
        changes.map(|change| change["field"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(fields(&board), ["columns", "itemCount"]);
    let project = fixture.json(&format!("/api/v1/projects/{}/diff?from={end}", world.project)).await;
    assert_eq!(fields(&project), ["statistics"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_moment_is_refused() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let end = fixture.store.watermark().get();
    let World { project, board, .. } = &world;
    let things = [
        format!("items/{item}"),
        format!("boards/{board}"),
        format!("boards/{board}/view"),
        format!("projects/{project}"),
    ];
    for bad in [
        "",
        "-1",
        "x",
        "1.0",
        "2026-11-21",
        "2026-11-21T08:30:00",
        "2026-11-21T08:30:00+01:00",
        "18446744073709551616",
    ] {
        for thing in &things {
            let answer = fixture.ask(&format!("/api/v1/{thing}?asOf={bad}")).await;
            assert_eq!(answer.problem(), (400, "invalid_parameter".into()), "{thing} {bad}");
            assert_eq!(answer.json()["field"], "asOf", "{thing} {bad}");
        }
        for (query, field) in [(format!("from={bad}"), "from"), (format!("from=0&to={bad}"), "to")] {
            let answer = fixture.ask(&format!("/api/v1/items/{item}/diff?{query}")).await;
            assert_eq!((answer.problem().0, &answer.json()["field"]), (400, &json!(field)), "{query}");
        }
    }
    let missing = fixture.ask(&format!("/api/v1/items/{item}/diff?to=1")).await;
    assert_eq!((missing.problem().0, &missing.json()["field"]), (400, &json!("from")));
    // Behind the end there is nothing yet, and it is told where that is.
    let beyond = end + 1;
    for (query, field) in [
        (format!("items/{item}?asOf={beyond}"), "asOf"),
        (format!("items/{item}/diff?from={beyond}"), "from"),
        (format!("items/{item}/diff?from=0&to={beyond}"), "to"),
    ] {
        let answer = fixture.ask(&format!("/api/v1/{query}")).await;
        assert_eq!(answer.problem(), (400, "invalid_parameter".into()), "{query}");
        assert_eq!(answer.json()["field"], field, "{query}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(&format!("position {end}")),
            "{}",
            answer.body
        );
    }
    let late =
        fixture.ask(&format!("/api/v1/items/{item}?asOf={beyond}&minPosition={beyond}&timeoutMs=1")).await;
    assert_eq!(late.problem(), (504, "not_caught_up".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_have_happened_can_be_waited_for() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let next = fixture.store.watermark().get() + 1;
    let item = world.item_id("A-1");
    let path = format!("/api/v1/items/{item}?asOf={next}&minPosition={next}&timeoutMs=30000");
    let asked = fixture.ask(&path);
    let created = async {
        tokio::task::yield_now().await;
        world.item(&fixture.store, "A-1", "i", "First", NOW)
    };
    let (answer, _) = tokio::join!(asked, created);
    assert_eq!((answer.status.as_u16(), answer.position()), (200, next), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_endless_histories_read() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "First", NOW);
    let path = format!("/api/v1/items/{item}");
    let early = fixture.store.watermark().get();
    // Nothing that the models would know, so they have little to do.
    for _ in 0..20 {
        append_many(&fixture.store, &item.stream_id(), 10_000);
    }
    let end = fixture.store.watermark().get();
    let problem = fixture.refused(&format!("{path}?asOf={end}")).await;
    assert_eq!(problem, (422, "too_much_history".into()));
    let problem = fixture.refused(&format!("{path}/diff?from=1")).await;
    assert_eq!(problem, (422, "too_much_history".into()));
    assert_eq!(ask_at(&fixture, &path, &early.to_string(), early).await.0, 200);
    // Whose it is not, learns nothing of that.
    let stranger = reader(&[WorkspaceId::derive("rival")]);
    for query in [format!("asOf={end}"), format!("asOf={early}")] {
        let answer = ask_as(&fixture, &stranger, &format!("/items/{item}?{query}")).await;
        assert_eq!(answer.problem(), (404, "not_found".into()), "{query}");
    }
}

/// Appends an event of a projection's stream.
fn control(store: &Store, event: &ControlEvent) {
    let mut commit = CommitBuilder::new();
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new(stream_of("models")).unwrap(),
        event_type: EventType::new(event.event_type()).unwrap(),
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: event.payload().unwrap(),
    });
    tokio::task::block_in_place(|| store.append(commit.prepare().unwrap()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_models_pass_over_was_not_there_in_the_past_either() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let world = World::create(store, "acme");
    let [one, other] = ["1", "2"].map(|key| world.item(store, key, "i", "as it began", NOW));
    let titled = |id: ItemId, title: &str| {
        let changes = change("title", json!(title));
        world.happens(store, id, item::Updated { changes }.into(), NOW)
    };
    let before = store.watermark();
    let poison = titled(one, "never taken in");
    titled(other, "taken in");
    titled(one, "held back");
    let end = store.watermark();
    let event = store.event(poison.first).unwrap().unwrap();
    let view = event.get().unwrap();
    control(
        store,
        &ControlEvent::DeadLetterAdded(DeadLetterAdded {
            position: poison.first.get(),
            event_id: view.id(),
            stream_id: view.stream().to_owned(),
            version: view.version().get(),
            reason: "an older build could not read it".to_owned(),
        }),
    );
    let title = async |path: &str| fixture.json(path).await["title"].as_str().unwrap().to_owned();
    let became = async |id: ItemId, expected: &str| {
        let path = format!("/api/v1/items/{id}");
        let began = std::time::Instant::now();
        while title(&path).await != expected {
            assert!(began.elapsed().as_secs() < 30, "never {expected}: {}", title(&path).await);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    became(one, "as it began").await;
    became(other, "taken in").await;
    // Wherever the decision stands, it is about the event: the past is what the models would have had then.
    for path in [
        format!("/api/v1/items/{one}"),
        format!("/api/v1/items/{other}"),
        format!("/api/v1/boards/{}/view", world.board),
    ] {
        let today = said(&fixture.get(&path).await);
        assert_eq!(ask_at(&fixture, &path, &end.to_string(), end.get()).await, today, "{path}");
    }
    let path = format!("/api/v1/items/{one}");
    let untouched = ask_at(&fixture, &path, &before.to_string(), before.get()).await;
    assert_eq!(ask_at(&fixture, &path, &end.to_string(), end.get()).await, untouched);
    let diff = fixture.ask(&format!("{path}/diff?from={before}&to={end}")).await.json();
    assert!(
        !diff.to_string().contains("held back") && !diff.to_string().contains("never taken in"),
        "{diff}"
    );

    control(store, &ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: None }));
    became(one, "held back").await;
    let after_poison = poison.next;
    for (at, expected) in [(before, "as it began"), (after_poison, "never taken in"), (end, "held back")] {
        let (_, body) = ask_at(&fixture, &path, &at.to_string(), at.get()).await;
        assert!(body.contains(&format!("\"title\":\"{expected}\"")), "{at}: {body}");
    }
}
