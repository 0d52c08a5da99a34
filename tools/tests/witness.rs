//! Witnesses over HTTP: a log is published once enough of them have cosigned it, and none cosigns what it should not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use axum::http::{Request, StatusCode};
use eventstore::transparency::{
    AddCheckpoint, Checkpoint, EMPTY_ROOT, Edge, KeyName, Policy, SignatureKind, SignedNote, SigningKey,
    TreeHead, VerifierKey, leaf_hash, origin_hash,
};
use eventstore::{
    CommitBuilder, ContentType, EventType, Metadata, NewEvent, Store, StoreOptions, StreamId, TreeSize,
};
use http_body_util::BodyExt;
use projector::Projector;
use projector::notary::{NotaryOptions, PublicKeys, TreeReader};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tools::witness::{State, StateError, router};
use tower::ServiceExt;
use uuid::Uuid;

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn log_key() -> SigningKey {
    SigningKey::generate(name("example.com/log"), SignatureKind::Note).unwrap()
}

async fn post(state: &Arc<State>, body: String) -> (StatusCode, String, String) {
    let request = Request::post("/add-checkpoint").body(Body::from(body)).unwrap();
    let response = router(Arc::clone(state)).oneshot(request).await.unwrap();
    let (status, kind) = (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, kind, String::from_utf8(body.to_vec()).unwrap())
}

fn head(leaves: u64) -> TreeHead {
    let mut edge = Edge::default();
    (0..leaves).for_each(|leaf| edge.append(leaf_hash(&leaf.to_le_bytes()), |_, _| {}));
    edge.head()
}

fn first(log: &SigningKey, leaves: u64) -> String {
    let note = Checkpoint::signed(head(leaves), log).unwrap();
    AddCheckpoint { old: TreeSize::ZERO, proof: Vec::new(), note }.to_string()
}

#[tokio::test]
async fn a_witness_remembers_what_it_has_cosigned_whatever_happens_to_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_key();
    let open = || State::open(dir.path(), Some(&name("witness.example/w1")), vec![log.verifier().clone()]);
    let state = Arc::new(open().unwrap());
    assert!(matches!(open(), Err(StateError::Locked(_))), "one witness at a time");
    let key = state.key().clone();
    let (status, _, line) = post(&state, first(&log, 5)).await;
    assert_eq!(status, 200);
    let mut note = Checkpoint::signed(head(5), &log).unwrap();
    note.add(eventstore::transparency::NoteSignature::parse(line.trim_end()).unwrap());
    let verified = note.verify(&[&key]).unwrap();
    assert!(verified[0].cosigned_at.is_some_and(|at| at > 1_700_000_000));
    drop(state);

    let state = Arc::new(open().unwrap());
    assert_eq!(*state.key(), key);
    let (status, kind, size) = post(&state, first(&log, 9)).await;
    assert_eq!((status.as_u16(), kind.as_str(), size.as_str()), (409, "text/x.tlog.size", "5\n"));
    // Another tree of the same size.
    let forged = Checkpoint::signed(TreeHead { root: EMPTY_ROOT, ..head(5) }, &log).unwrap();
    let forged = AddCheckpoint { old: TreeSize::new(5), proof: Vec::new(), note: forged };
    assert_eq!(post(&state, forged.to_string()).await.0, 422);
    let stranger = SigningKey::generate(name("example.com/stranger"), SignatureKind::Note).unwrap();
    assert_eq!(post(&state, first(&stranger, 1)).await.0, 404);
    assert_eq!(post(&state, first(&log_key(), 1)).await.0, 403);
    assert_eq!(post(&state, "nonsense".to_owned()).await.0, 400);
    assert_eq!(post(&state, "x".repeat(100_000)).await.0, 413);
    let shown =
        Request::get(format!("/{}/checkpoint", origin_hash("example.com/log"))).body(Body::empty()).unwrap();
    let shown = router(Arc::clone(&state)).oneshot(shown).await.unwrap();
    let shown = shown.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(SignedNote::parse(&shown).unwrap().verify(&[&key, log.verifier()]).unwrap().len(), 2);
}

fn append(store: &Store) {
    let mut commit = CommitBuilder::new();
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream: StreamId::new("thing-1").unwrap(),
        event_type: EventType::new("thing.happened").unwrap(),
        content_type: ContentType::Json,
        schema_version: 1,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: b"{}".to_vec(),
    });
    store.append(commit.prepare().unwrap()).unwrap();
}

/// A witness on a port of its own; the sender ends it.
async fn serve(
    dir: &Path,
    witness: &str,
    log: &VerifierKey,
) -> (VerifierKey, String, tokio::task::JoinHandle<()>) {
    let state = Arc::new(State::open(dir, Some(&name(witness)), vec![log.clone()]).unwrap());
    let key = state.key().clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move { axum::serve(listener, router(state)).await.unwrap() });
    (key, url, served)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_published_once_two_of_three_witnesses_have_cosigned() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let data = tempfile::tempdir().unwrap();
    let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
    let store = Store::open(data.path(), &options).unwrap();
    // The key is made by the first start, and has to be known to the witnesses.
    let first = Projector::start(data.path(), store.log()).unwrap();
    until("a key is made", || PublicKeys::read(data.path()).is_ok()).await;
    drop(first);
    let log = PublicKeys::read(data.path()).unwrap().current;
    let (w1, url1, _served1) = serve(dirs[0].path(), "witness.example/w1", &log).await;
    let (w2, url2, served2) = serve(dirs[1].path(), "witness.example/w2", &log).await;
    // The third is never there.
    let w3 = SigningKey::generate(name("witness.example/w3"), SignatureKind::Cosignature).unwrap();
    let policy = format!(
        "witness w1 {w1} {url1}\nwitness w2 {w2} {url2}\nwitness w3 {} http://127.0.0.1:1\ngroup g 2 w1 w2 w3\nquorum g\n",
        w3.verifier()
    );
    let policy: Policy = policy.parse().unwrap();
    let notary = NotaryOptions {
        interval: Duration::from_millis(5),
        policy: Arc::new(policy.clone()),
        ..NotaryOptions::default()
    };
    let projector = Projector::start_with(
        data.path(),
        store.log(),
        projector::Connections { notary, ..Default::default() },
    )
    .unwrap();
    let reader = TreeReader::new(data.path());
    for size in 1..=3_u64 {
        append(&store);
        let covers = || reader.published().unwrap().is_some_and(|it| it.checkpoint.head.size.get() >= size);
        until("it is published", covers).await;
        let published = reader.published().unwrap().unwrap();
        published.note.verify(&[&log]).unwrap();
        assert!(policy.is_met(|key| published.note.verify(&[key]).is_ok()), "{}", published.note);
    }
    assert!(projector.notary().witnesses[2].failure.is_some());

    // One that is left is not enough: the log is signed, and not shown.
    served2.abort();
    let _ = served2.await;
    append(&store);
    until("it is signed", || projector.notary().signed.get() == 4).await;
    until("the other has been asked", || projector.notary().witnesses[1].failure.is_some()).await;
    assert_eq!(reader.published().unwrap().unwrap().checkpoint.head.size.get(), 3);
}

#[tokio::test]
async fn a_witness_cosigns_what_continues_the_tree_that_it_knows_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = log_key();
    let open = || State::open(dir.path(), Some(&name("witness.example/w1")), vec![log.verifier().clone()]);
    let ask = |old: u64, head: TreeHead, proof: Vec<eventstore::Digest>| {
        let note = Checkpoint::signed(head, &log).unwrap();
        AddCheckpoint { old: TreeSize::new(old), proof, note }.to_string()
    };
    let state = Arc::new(open().unwrap());
    assert_eq!(post(&state, first(&log, 4)).await.0, 200);
    // Of trees of four and eight leaves, the proof is the root of the four that came.
    let of = |leaves: [u64; 4]| {
        let mut edge = Edge::default();
        leaves.iter().for_each(|leaf| edge.append(leaf_hash(&leaf.to_le_bytes()), |_, _| {}));
        edge.head().root
    };
    let proof = vec![of([4, 5, 6, 7])];
    // Signed by the log, larger, and of another past; or of another future than the proof tells.
    let mut rewritten = Edge::default();
    (0..8_u64).for_each(|leaf| {
        let leaf = if leaf == 1 { 99 } else { leaf };
        rewritten.append(leaf_hash(&leaf.to_le_bytes()), |_, _| {});
    });
    for (head, proof) in [
        (rewritten.head(), proof.clone()),
        (rewritten.head(), Vec::new()),
        (head(8), vec![of([4, 5, 6, 8])]),
        (head(8), Vec::new()),
    ] {
        assert_eq!(post(&state, ask(4, head, proof)).await.0, 422);
    }
    assert_eq!(post(&state, ask(4, head(8), proof.clone())).await.0, 200);
    // It never goes back, whatever it is told of what it knows, nor after it was started again.
    drop(state);
    let state = Arc::new(open().unwrap());
    for old in [0, 4, 5] {
        let (status, _, size) = post(&state, ask(old, head(5), Vec::new())).await;
        assert_eq!((status.as_u16(), size.as_str()), (409, "8\n"), "{old}");
    }
    assert_eq!(post(&state, ask(8, head(5), Vec::new())).await.0, 400);
    assert_eq!(post(&state, ask(4, head(8), proof)).await.0, 409);
    assert_eq!(post(&state, ask(8, head(8), Vec::new())).await.0, 200, "the same once more");
}
