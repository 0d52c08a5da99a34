//! How answers are given: not again to whoever has them, coded for whoever can read that, and never wrongly so.

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World, append, append_raw};
use axum::body::Body;
use axum::http::Request;
use domain::{Change, Changes, board, comment, item, project};
use eventstore::ContentType;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use serde_json::json;
use std::io::Read;

/// Asks for something as fresh as the log is now, with further headers.
async fn ask(fixture: &Fixture, path: &str, headers: &[(&str, &str)]) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut request = Request::get(format!("{path}{separator}minPosition={}", fixture.store.watermark()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    fixture.send(request.body(Body::empty()).unwrap()).await
}

fn tag(answer: &Answer) -> &str {
    answer.headers["etag"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_an_answer_does_not_get_it_again() {
    let fixture = Fixture::projected();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "x", NOW);
    let comment = world.comment(&fixture.store, item, "c1", "text", NOW);
    for path in [
        format!("items/{item}"),
        "items?externalKey=A-1".to_owned(),
        format!("items/{item}/comments"),
        format!("comments/{comment}"),
        format!("boards/{}", world.board),
        format!("boards/{}/view", world.board),
        "boards".to_owned(),
        format!("projects/{}", world.project),
        format!("projects/{}/statistics", world.project),
        format!("workspaces/{}", world.workspace),
        "workspaces".to_owned(),
        "search?q=x".to_owned(),
        "events?limit=2".to_owned(),
        format!("streams/item-{item}/events"),
    ] {
        let path = format!("/api/v1/{path}");
        let first = fixture.get(&path).await;
        // Something elsewhere, which none of them tells of.
        append_raw(&fixture.store, "raw-1", ContentType::Json, b"", b"{}");
        let known = format!("\"other\", {}", tag(&first));
        for known in [tag(&first), &known, "*"] {
            let again = ask(&fixture, &path, &[("if-none-match", known)]).await;
            assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""), "{path} {known}");
            assert_eq!(tag(&again), tag(&first), "{path}");
            assert_eq!(again.position(), fixture.store.watermark().get(), "it says how fresh it is: {path}");
        }
        for known in ["\"other\"", "\"0\"", "nonsense"] {
            let again = ask(&fixture, &path, &[("if-none-match", known)]).await;
            assert_eq!((again.status.as_u16(), &again.body), (200, &first.body), "{path} {known}");
        }
    }
    let document = ask(&fixture, "/openapi.json", &[]).await;
    let again = ask(&fixture, "/openapi.json", &[("if-none-match", tag(&document))]).await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    let gone = ask(&fixture, &format!("/api/v1/items/{comment}"), &[("if-none-match", "*")]).await;
    assert_eq!(gone.problem(), (404, "not_found".into()), "a problem is never what one has");
}

/// An answer about one thing depends on others; none of their changes may be taken for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_is_never_304() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let (store, board_scope) = (&fixture.store, world.scope(None));
    let item = world.item(store, "A-1", "i", "x", NOW);
    let paths = [
        format!("/api/v1/items/{item}"),
        format!("/api/v1/boards/{}", world.board),
        format!("/api/v1/boards/{}/view", world.board),
        format!("/api/v1/projects/{}", world.project),
        format!("/api/v1/projects/{}/statistics", world.project),
        format!("/api/v1/workspaces/{}", world.workspace),
    ];
    let comment = std::cell::OnceCell::new();
    let steps: [(&str, &dyn Fn()); 7] = [
        ("a comment", &|| comment.set(world.comment(store, item, "c1", "text", NOW)).unwrap()),
        ("an edited comment", &|| {
            let edited = comment::Edited { item_id: item, body: "other".to_owned() };
            world.comment_happens(store, item, comment.get().copied().unwrap(), edited.into());
        }),
        ("a column's name", &|| {
            let changes = Changes::from([("name".to_owned(), Change { from: None, to: json!("To do") })]);
            let changed = board::ColumnChanged { column_id: world.open, changes };
            let event = board::Event::from(changed);
            append(store, &world.board.stream_id(), &board_scope, NOW, vec![event.into()]);
        }),
        ("another item", &|| {
            world.item(store, "A-2", "j", "y", NOW);
        }),
        ("a title", &|| {
            let changes = Changes::from([("title".to_owned(), Change { from: None, to: json!("z") })]);
            world.happens(store, item, item::Updated { changes }.into(), NOW);
        }),
        ("a move", &|| {
            world.move_to_done(store, item, "i", "k");
        }),
        ("an archived project", &|| {
            let event = project::Event::from(project::Archived {});
            append(store, &world.project.stream_id(), &board_scope, NOW, vec![event.into()]);
        }),
    ];
    for (what, step) in steps {
        let mut before = Vec::new();
        for path in &paths {
            before.push(fixture.get(path).await);
        }
        step();
        let mut changed = 0;
        for (path, before) in paths.iter().zip(&before) {
            let (now, again) =
                (fixture.get(path).await, ask(&fixture, path, &[("if-none-match", tag(before))]).await);
            let is_other = now.body != before.body;
            assert_eq!(again.status, if is_other { 200 } else { 304 }, "{what}: {path}");
            changed += u32::from(is_other);
        }
        assert!(changed > 0, "{what} changes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_json_is_coded_and_nothing_else_is() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let text = "a description ".repeat(500);
    let item = world.item_with(
        &fixture.store,
        "A-1",
        "i",
        "x",
        Some(&text),
        &[],
        std::collections::BTreeMap::new(),
        NOW,
    );
    let path = format!("/api/v1/items/{item}");
    let plain = fixture.get(&path).await;
    assert_eq!(plain.headers["vary"], "accept-encoding");
    let coded = ask(&fixture, &path, &[("accept-encoding", "gzip")]).await;
    assert_eq!((coded.headers["content-encoding"].to_str().unwrap(), coded.version_in_tag()), ("gzip", 0));
    assert_eq!(tag(&coded), format!("{}-gzip\"", tag(&plain).trim_end_matches('"')));
    assert!(coded.bytes.len() < plain.bytes.len() / 10);
    assert_eq!(
        coded.headers.get("content-length").map(|length| length.to_str().unwrap()),
        Some(coded.bytes.len().to_string().as_str())
    );
    let mut decoded = String::new();
    GzDecoder::new(&coded.bytes[..]).read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, plain.body);
    let coded = ask(&fixture, &path, &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
    assert_eq!((coded.headers["content-encoding"].to_str().unwrap(), coded.version_in_tag()), ("zstd", 0));
    // Whoever has it in one coding has it in all of them.
    for known in [tag(&plain), tag(&coded)] {
        for coding in ["identity", "gzip", "zstd"] {
            let again = ask(&fixture, &path, &[("if-none-match", known), ("accept-encoding", coding)]).await;
            assert_eq!(again.status, 304, "{known} {coding}");
        }
    }
    for path in ["/api/v1/log/segments/0", "/api/v1/log", "/api/v1/workspaces?limit=1"] {
        let answer = ask(&fixture, path, &[("accept-encoding", "gzip, zstd")]).await;
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
    }
    let live = Request::get("/api/v1/events/live?from=0").header("accept-encoding", "gzip, zstd");
    let mut live = fixture.open(live.body(Body::empty()).unwrap()).await;
    assert!(!live.headers().contains_key("content-encoding"));
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("item.created") {
        seen.extend_from_slice(&live.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_as_lines_and_say_what_is_left() {
    let fixture = Fixture::new();
    let world = World::create(&fixture.store, "acme");
    let item = world.item(&fixture.store, "A-1", "i", "x", NOW);
    for number in 0..5 {
        world.comment(&fixture.store, item, &number.to_string(), "one\ntwo", NOW);
    }
    let end = fixture.store.watermark();
    let lists = [
        (format!("/api/v1/items/{item}/comments"), "comments"),
        ("/api/v1/items?externalKey=A-1".to_owned(), "items"),
        ("/api/v1/workspaces".to_owned(), "workspaces"),
        ("/api/v1/boards".to_owned(), "boards"),
    ];
    for (path, name) in lists {
        let separator = if path.contains('?') { '&' } else { '?' };
        for limit in [2, 500] {
            let path = format!("{path}{separator}limit={limit}");
            let json = fixture.json(&path).await;
            let request = Request::get(format!("{path}&minPosition={end}"))
                .header("accept", "text/html, application/x-ndjson;q=0.9");
            let answer = fixture.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.headers["content-type"], "application/x-ndjson", "{path}");
            let lines: Vec<serde_json::Value> =
                answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(serde_json::Value::from(lines), json[name], "{path}");
            assert_eq!(answer.headers["sunday-total"].to_str().unwrap(), json["total"].to_string());
            let next = answer.headers.get("sunday-next").map(|next| next.to_str().unwrap().to_owned());
            assert_eq!(next, json["next"].as_u64().map(|next| next.to_string()), "{path}");
            assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "accept"));
            let plain = fixture.get(&path).await;
            assert_ne!(plain.headers["etag"], answer.headers["etag"], "another form has another tag");
        }
    }
    let foreign = Request::get(format!("/api/v1/items/{}/comments", uuid::Uuid::nil()));
    let refused =
        fixture.send(foreign.header("accept", "application/x-ndjson").body(Body::empty()).unwrap()).await;
    assert_eq!(refused.problem(), (404, "not_found".into()));
}
