//! The transparency log over HTTP: what somebody finds who knows the paths of C2SP and the log's key, and nothing else of ours.

use crate::fixture::{Answer, Fixture};
use crate::history::{NOW, World};
use crate::tenants::{ask_as, reader};
use axum::body::Body;
use axum::http::Request;
use eventstore::transparency::{
    Checkpoint, EMPTY_ROOT, Edge, Leaf, SignedNote, TreeHead, VerifierKey, bundle_leaves, hash_from_base64,
    leaf_hash, verify_consistency, verify_inclusion,
};
use eventstore::{
    CommitBuilder, ContentType, Digest, EventType, Metadata, NewEvent, Position, StreamId, TreeSize,
};
use serde_json::Value;
use std::fs;
use uuid::{Builder, Uuid};

/// Appends so many events that are nobody's, in commits of a hundred.
fn append(fixture: &Fixture, events: u64) {
    append_with(fixture, events, Uuid::now_v7);
}

fn append_with(fixture: &Fixture, events: u64, id: impl Fn() -> Uuid) {
    for first in (0..events).step_by(100) {
        let mut commit = CommitBuilder::new();
        for _ in first..(first + 100).min(events) {
            commit.event(NewEvent {
                id: id(),
                stream: StreamId::new("thing-1").unwrap(),
                event_type: EventType::new("thing.happened").unwrap(),
                content_type: ContentType::Json,
                schema_version: 1,
                tags: Vec::new(),
                metadata: Metadata::default(),
                payload: b"{}".to_vec(),
            });
        }
        tokio::task::block_in_place(|| fixture.store.append(commit.prepare().unwrap()).unwrap());
    }
}

/// Asks for something of the tree as it is over the whole log.
async fn ask(fixture: &Fixture, path: &str) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    fixture.ask(&format!("{path}{separator}minPosition={}", fixture.store.watermark())).await
}

async fn checkpoint(fixture: &Fixture) -> (SignedNote, TreeHead) {
    let answer = ask(fixture, "/checkpoint").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (200, &"text/plain; charset=utf-8".parse().unwrap())
    );
    // The next one is at the same path.
    assert_eq!(answer.headers["cache-control"], "no-cache");
    let note = SignedNote::parse(&answer.bytes).unwrap();
    let keys = ask(fixture, "/api/v1/audit/keys").await.json();
    let key: VerifierKey = keys["key"].as_str().unwrap().parse().unwrap();
    note.verify(&[&key]).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!(checkpoint.origin, keys["origin"]);
    assert_eq!(answer.position(), checkpoint.head.size.get());
    (note, checkpoint.head)
}

fn hash(value: &Value) -> Digest {
    hash_from_base64(value.as_str().unwrap()).unwrap()
}

fn hashes(value: &Value) -> Vec<Digest> {
    value.as_array().unwrap().iter().map(hash).collect()
}

/// Tiles and bundles of a tree of this size, by the rule of the specification; slashes as documents write them.
async fn download(fixture: &Fixture, size: u64) -> (Vec<Vec<u8>>, Vec<Leaf>) {
    let (mut levels, mut leaves) = (Vec::new(), Vec::new());
    for level in 0.. {
        let count = size >> (8 * level);
        if count == 0 {
            break;
        }
        let mut bytes = Vec::new();
        for index in 0..count.div_ceil(256) {
            let width = (count - index * 256).min(256);
            let partial = if width < 256 { format!(".p%2F{width}") } else { String::new() };
            let answer = ask(fixture, &format!("/tile/{level}/{index:03}{partial}")).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.headers["cache-control"], "private, max-age=31536000, immutable");
            assert_eq!(answer.bytes.len() as u64, 32 * width);
            bytes.extend_from_slice(&answer.bytes);
            if level == 0 {
                let answer = ask(fixture, &format!("/tile/entries/{index:03}{partial}")).await;
                leaves.extend(bundle_leaves(&answer.bytes).unwrap());
            }
        }
        levels.push(bytes);
    }
    (levels, leaves)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tree_can_be_downloaded_and_has_the_signed_root() {
    let fixture = Fixture::projected();
    append(&fixture, 613);
    let (_, head) = checkpoint(&fixture).await;
    assert_eq!(head.size, TreeSize::new(613));
    let (levels, leaves) = download(&fixture, 613).await;
    assert_eq!(levels.iter().map(|level| level.len() / 32).collect::<Vec<_>>(), [613, 2]);
    let mut edge = Edge::default();
    let mut built = vec![Vec::new(); 2];
    for (position, leaf) in (0..).zip(&leaves) {
        assert_eq!(leaf.position, Position::new(position));
        let event = fixture.store.event(leaf.position).unwrap().unwrap();
        assert_eq!(Leaf::of(&event.get().unwrap()), *leaf);
        edge.append(leaf_hash(&leaf.to_bytes()), |level, hash| built[usize::from(level)].extend(hash.0));
    }
    assert_eq!(edge.head(), head);
    assert_eq!(built, levels);

    // The paths as clients of C2SP write them, which no document can say.
    let router = crate::fixture::router(fixture.service.clone());
    for (path, status) in [
        ("/tile/0/000", 200),
        ("/tile/0/002.p/101", 200),
        ("/tile/entries/002.p/100", 200),
        ("/tile/0/x001/000", 404),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_proven_to_be_in_the_tree_and_every_tree_to_continue_the_one_before() {
    let fixture = Fixture::projected();
    append(&fixture, 100);
    let (_, before) = checkpoint(&fixture).await;
    append(&fixture, 200);
    let (note, head) = checkpoint(&fixture).await;
    for position in [0, 7, 99, 255, 256, 299] {
        let event = fixture.store.event(Position::new(position)).unwrap().unwrap();
        let id = event.get().unwrap().id();
        let by_id = ask(&fixture, &format!("/api/v1/audit/proof/inclusion?eventId={id}")).await.json();
        let by_position =
            ask(&fixture, &format!("/api/v1/audit/proof/inclusion?position={position}")).await.json();
        assert_eq!(by_id, by_position);
        assert_eq!((&by_id["position"], &by_id["eventId"]), (&position.into(), &id.to_string().into()));
        assert_eq!(by_id["checkpoint"], note.to_string());
        let leaf = hash(&by_id["leafHash"]);
        assert_eq!(leaf, leaf_hash(&Leaf::of(&event.get().unwrap()).to_bytes()));
        verify_inclusion(&leaf, Position::new(position), &head, &hashes(&by_id["proof"])).unwrap();
    }
    let older = ask(&fixture, "/api/v1/audit/proof/inclusion?position=7&size=100").await.json();
    verify_inclusion(&hash(&older["leafHash"]), Position::new(7), &before, &hashes(&older["proof"])).unwrap();
    assert_eq!(older["checkpoint"], Value::Null);

    let proof = ask(&fixture, "/api/v1/audit/proof/consistency?from=100").await.json();
    assert_eq!((hash(&proof["fromRoot"]), hash(&proof["toRoot"])), (before.root, head.root));
    verify_consistency(&before, &head, &hashes(&proof["proof"])).unwrap();
    assert_eq!(proof["checkpoint"], note.to_string());
    let proof = ask(&fixture, "/api/v1/audit/proof/consistency?from=0&to=0").await.json();
    assert_eq!(hash(&proof["toRoot"]), EMPTY_ROOT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_found_though_its_maker_has_another_clock() {
    let fixture = Fixture::projected();
    // By the clocks of their makers: an hour behind the log's, half a second before it, and far before it.
    let late_by = |late: i64| {
        move || {
            let (seconds, nanoseconds) = Uuid::now_v7().get_timestamp().unwrap().to_unix();
            let ms = seconds * 1_000 + u64::from(nanoseconds) / 1_000_000;
            let random = Uuid::new_v4();
            let made = Builder::from_unix_timestamp_millis(
                ms.checked_add_signed(-late).unwrap(),
                random.as_bytes().last_chunk().unwrap(),
            );
            made.into_uuid()
        }
    };
    for (ms, status) in [(3_600_000, 200), (0, 200), (-500, 200), (-3_600_000, 404)] {
        append_with(&fixture, 10, late_by(ms));
        let position = fixture.store.watermark().get() - 3;
        let event = fixture.store.event(Position::new(position)).unwrap().unwrap();
        let id = event.get().unwrap().id();
        let answer = ask(&fixture, &format!("/api/v1/audit/proof/inclusion?eventId={id}")).await;
        assert_eq!(answer.status.as_u16(), status, "{ms} ms");
        if status == 200 {
            assert_eq!(answer.json()["position"], position, "{ms} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_tree_is_refused() {
    let fixture = Fixture::projected();
    append(&fixture, 10);
    checkpoint(&fixture).await;
    let id = Uuid::now_v7();
    for (path, refusal) in [
        ("/tile/0/000", (404, "no_such_tile")),
        ("/tile/0/000.p%2F11", (404, "no_such_tile")),
        ("/tile/0/001.p%2F1", (404, "no_such_tile")),
        ("/tile/1/000.p%2F1", (404, "no_such_tile")),
        ("/tile/63/000.p%2F1", (404, "no_such_tile")),
        ("/tile/entries/000", (404, "no_such_tile")),
        ("/tile/64/000", (400, "invalid_parameter")),
        ("/tile/00/000", (400, "invalid_parameter")),
        ("/tile/0/0", (400, "invalid_parameter")),
        ("/tile/0/000.p%2F256", (400, "invalid_parameter")),
        ("/api/v1/audit/proof/inclusion", (400, "invalid_parameter")),
        ("/api/v1/audit/proof/inclusion?position=10", (404, "not_found")),
        ("/api/v1/audit/proof/inclusion?position=9&size=9", (416, "beyond_end")),
        ("/api/v1/audit/proof/inclusion?position=1&size=11", (416, "beyond_end")),
        (&format!("/api/v1/audit/proof/inclusion?eventId={id}"), (404, "not_found")),
        (&format!("/api/v1/audit/proof/inclusion?eventId={id}&position=1"), (400, "invalid_parameter")),
        ("/api/v1/audit/proof/inclusion?eventId=00000000-0000-0000-0000-000000000000", (404, "not_found")),
        ("/api/v1/audit/proof/consistency", (400, "invalid_parameter")),
        ("/api/v1/audit/proof/consistency?from=5&to=4", (416, "beyond_end")),
        ("/api/v1/audit/proof/consistency?from=5&to=11", (416, "beyond_end")),
    ] {
        let (status, code) = ask(&fixture, path).await.problem();
        assert_eq!((status, code.as_str()), refusal, "{path}");
    }
    let nothing = Fixture::new();
    assert_eq!(nothing.ask("/checkpoint").await.problem(), (404, "no_checkpoint".to_owned()));
    assert_eq!(nothing.ask("/tile/0/000").await.problem(), (404, "no_checkpoint".to_owned()));
    assert_eq!(
        nothing.ask("/checkpoint?minPosition=1&timeoutMs=1").await.problem(),
        (504, "not_caught_up".to_owned())
    );
    assert!(nothing.ask("/checkpoint").await.body.contains("yet"));
    // Where nothing will be signed until somebody has looked, nobody is told to wait.
    let tree = nothing.data_dir().join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("REFUSED"), "the key is not there\n").unwrap();
    let answer = nothing.ask("/checkpoint").await;
    assert!(answer.body.contains("/readyz") && !answer.body.contains("key"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_are_for_all_and_proofs_for_who_may_read_the_event() {
    let fixture = Fixture::projected();
    let (ours, theirs) = (World::create(&fixture.store, "acme"), World::create(&fixture.store, "other"));
    let item = theirs.item(&fixture.store, "A-1", "i", "x", NOW);
    let stream = StreamId::new(format!("item-{item}")).unwrap();
    let created = fixture
        .store
        .read_stream(&stream, eventstore::Version::ZERO, eventstore::Direction::Forward, 1)
        .unwrap();
    let (id, position) = created[0].get().map(|event| (event.id(), event.position())).unwrap();
    checkpoint(&fixture).await;
    let absent = Uuid::now_v7();
    let [us, them] = [&ours, &theirs].map(|world| reader(&[world.workspace]));
    let path = format!("/audit/proof/inclusion?eventId={id}");
    assert_eq!(ask_as(&fixture, &them, &path).await.status, 200);
    let foreign = ask_as(&fixture, &us, &path).await;
    let none = ask_as(&fixture, &us, &format!("/audit/proof/inclusion?eventId={absent}")).await;
    assert_eq!((foreign.status.as_u16(), foreign.body), (404, none.body));
    let by_position = ask_as(&fixture, &us, &format!("/audit/proof/inclusion?position={position}")).await;
    assert_eq!(by_position.status, 404);
    // Hashes say nothing of anybody; leaves say when, and which belong together.
    assert_eq!(ask_as(&fixture, &us, "/audit/proof/consistency?from=1").await.status, 200);
    let as_us = async |path: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(us.clone());
        fixture.send(request).await.status.as_u16()
    };
    assert_eq!(as_us("/checkpoint").await, 200);
    assert_eq!(as_us("/tile/0/000.p%2F1").await, 200);
    assert_eq!(as_us("/tile/entries/000.p%2F1").await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_has_rotted_gives_no_proof_and_a_refusal_shows() {
    let fixture = Fixture::projected();
    append(&fixture, 300);
    checkpoint(&fixture).await;
    assert_eq!(fixture.ask("/readyz").await.status, 200);
    let tree = fixture.data_dir().join("tree");
    let hashes = tree.join(fs::read_to_string(tree.join("CURRENT")).unwrap().trim()).join("0.hashes");
    let mut bytes = fs::read(&hashes).unwrap();
    bytes[40] ^= 1;
    fs::write(&hashes, bytes).unwrap();
    let inclusion = ask(&fixture, "/api/v1/audit/proof/inclusion?position=0").await;
    assert_eq!(inclusion.problem(), (500, "tree_unreadable".to_owned()));
    fs::write(tree.join("REFUSED"), "the log ends too early\n").unwrap();
    let ready = fixture.ask("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("no checkpoint is signed: the log ends too early"), "{}", ready.body);
    let metrics = fixture.ask("/metrics").await;
    assert!(metrics.body.contains("sunday_checkpoint_position 300"), "{}", metrics.body);
}
