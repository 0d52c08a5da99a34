//! What an append promises: expectations and guards are exact, commits are atomic, an id is never carried out twice.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use eventstore::{
    AppendError, CommitBuilder, CommitError, Direction, ExpectedVersion, Guard, Outcome, Position, Version,
};
use support::{command, event, one, open, stream, tag};

#[test]
fn expectations_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = |expected| match store.append(one("a-1", expected, "{}")) {
        Err(AppendError::WrongExpectedVersion { current, .. }) => current,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ExpectedVersion::Exact(Version::ZERO)), None);
    assert_eq!(refused(ExpectedVersion::StreamExists), None);
    let receipt = store.append(one("a-1", ExpectedVersion::NoStream, "{}")).unwrap();
    assert_eq!((receipt.first, receipt.next), (Position::ZERO, Position::new(1)));
    assert_eq!(receipt.versions, [(stream("a-1"), Version::ZERO)]);
    assert_eq!(refused(ExpectedVersion::NoStream), Some(Version::ZERO));
    assert_eq!(refused(ExpectedVersion::Exact(Version::new(1))), Some(Version::ZERO));
    store.append(one("a-1", ExpectedVersion::Exact(Version::ZERO), "{}")).unwrap();
    store.append(one("a-1", ExpectedVersion::StreamExists, "{}")).unwrap();
    store.append(one("a-1", ExpectedVersion::Any, "{}")).unwrap();
    assert_eq!(store.stream_version(&stream("a-1")).unwrap(), Some(Version::new(3)));
}

#[test]
fn one_of_two_conflicting_commits_submitted_together_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Submitted without waiting, so that they may share a group: the second is checked against the pending first.
    let pending: Vec<_> =
        (0..50).map(|_| store.submit(one("a-1", ExpectedVersion::NoStream, "{}")).unwrap()).collect();
    let won = pending.into_iter().map(eventstore::Pending::wait).filter(Result::is_ok).count();
    assert_eq!(won, 1);
    assert_eq!(store.watermark(), Position::new(1));
}

#[test]
fn commits_over_several_streams_are_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(one("b-1", ExpectedVersion::NoStream, "{}")).unwrap();
    let mut commit = CommitBuilder::new();
    commit.event(event("a-1", "1")).event(event("b-1", "2")).event(event("a-1", "3"));
    commit.expect(stream("b-1"), ExpectedVersion::NoStream);
    assert!(store.append(commit.prepare().unwrap()).is_err());
    assert_eq!(store.stream_version(&stream("a-1")).unwrap(), None);

    let mut commit = CommitBuilder::new();
    commit.event(event("a-1", "1")).event(event("b-1", "2")).event(event("a-1", "3"));
    let receipt = store.append(commit.prepare().unwrap()).unwrap();
    assert_eq!(receipt.versions, [(stream("a-1"), Version::new(1)), (stream("b-1"), Version::new(1))]);
    let payloads = |name, direction, from| -> Vec<Vec<u8>> {
        let events = store.read_stream(&stream(name), Version::new(from), direction, 10).unwrap();
        events.iter().map(|event| event.get().unwrap().payload().to_vec()).collect()
    };
    assert_eq!(payloads("a-1", Direction::Forward, 0), [b"1", b"3"]);
    assert_eq!(payloads("a-1", Direction::Forward, 1), [b"3"]);
    assert_eq!(payloads("a-1", Direction::Backward, 1), [b"3", b"1"]);
    assert_eq!(payloads("a-1", Direction::Backward, 0), [b"1"]);
    assert_eq!(payloads("b-1", Direction::Forward, 0), [b"{}".to_vec(), b"2".to_vec()]);
}

#[test]
fn guards_see_what_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let guarded = |name: &str, position: u64| {
        let mut commit = CommitBuilder::new();
        let mut event = event(name, "{}");
        event.tags.push(tag("seat:1"));
        commit.event(event).guard(Guard::NoNewer(tag("seat:1"), Position::new(position)));
        commit.prepare().unwrap()
    };
    // Two guards on one tag at one position, drained together: one wins.
    let first = store.submit(guarded("a-1", 0)).unwrap();
    let second = store.submit(guarded("a-2", 0)).unwrap();
    assert_eq!([first.wait().is_ok(), second.wait().is_ok()], [true, false]);
    assert_eq!(store.newest_with_tag(&tag("seat:1")).unwrap(), Some(Position::ZERO));
    match store.append(guarded("a-3", 0)) {
        Err(AppendError::GuardFailed { current, .. }) => assert_eq!(current, Some(0)),
        other => panic!("{other:?}"),
    }
    store.append(guarded("a-3", 1)).unwrap();

    let at = |version| {
        let mut commit = CommitBuilder::new();
        commit.event(event("b-1", "{}")).guard(Guard::StreamAt(stream("a-1"), version));
        commit.prepare().unwrap()
    };
    assert!(store.append(at(None)).is_err());
    assert!(store.append(at(Some(Version::new(1)))).is_err());
    store.append(at(Some(Version::ZERO))).unwrap();
}

#[test]
fn a_command_is_carried_out_once_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let commit = |content: &str| {
        let mut commit = CommitBuilder::new();
        commit.event(event("a-1", content)).command(command("key", content, Outcome::Applied));
        commit.prepare().unwrap()
    };
    let store = open(dir.path());
    let pending = [store.submit(commit("one")).unwrap(), store.submit(commit("one")).unwrap()];
    let [first, again] = pending.map(|pending| pending.wait().unwrap());
    assert!(!first.duplicate && again.duplicate);
    assert!(matches!(store.append(commit("two")), Err(AppendError::CommandReused { .. })));

    let mut unchanged = CommitBuilder::new();
    unchanged.command(command("nothing", "x", Outcome::Unchanged));
    let receipt = store.append(unchanged.prepare().unwrap()).unwrap();
    assert_eq!((receipt.first, receipt.next), (Position::new(1), Position::new(1)));
    store.close();
    drop(store);

    let store = open(dir.path());
    let later = store.append(commit("one")).unwrap();
    assert_eq!(later, eventstore::Receipt { duplicate: true, ..first });
    assert!(matches!(store.append(commit("two")), Err(AppendError::CommandReused { .. })));
    let found = store.find_command(&command("nothing", "x", Outcome::Unchanged).id).unwrap().unwrap();
    assert_eq!(found.receipt.outcome, Outcome::Unchanged);
    assert_eq!(store.watermark(), Position::new(1));
}

#[test]
fn a_command_of_a_batch_knows_its_own_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = CommitBuilder::new();
    commit.event(event("a-1", "1")).event(event("b-1", "2")).command(command("x", "x", Outcome::Applied));
    commit.command(command("y", "y", Outcome::Unchanged));
    commit.event(event("a-1", "3")).command(command("z", "z", Outcome::Applied));
    store.append(commit.prepare().unwrap()).unwrap();
    let found = |name: &str| {
        let found = store.find_command(&command(name, name, Outcome::Applied).id).unwrap().unwrap();
        let versions: Vec<_> =
            found.versions.iter().map(|(stream, version)| (stream.to_string(), version.get())).collect();
        assert_eq!(found.receipt.versions.len(), 2, "the receipt is the commit's");
        (found.first.get(), found.next.get(), versions)
    };
    assert_eq!(found("x"), (0, 2, vec![("a-1".to_owned(), 0), ("b-1".to_owned(), 0)]));
    assert_eq!(found("y"), (2, 2, vec![]));
    assert_eq!(found("z"), (2, 3, vec![("a-1".to_owned(), 1)]));
}

#[test]
fn an_atomic_batch_repeated_in_part_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batch = |names: &[&str]| {
        let mut commit = CommitBuilder::new();
        for name in names {
            commit.event(event("a-1", name)).command(command(name, name, Outcome::Applied));
        }
        commit.prepare().unwrap()
    };
    let first = store.append(batch(&["x", "y"])).unwrap();
    assert!(store.append(batch(&["x", "y"])).unwrap().duplicate);
    assert_eq!(first.next, Position::new(2));
    assert!(matches!(store.append(batch(&["x", "z"])), Err(AppendError::CommandsSplit { .. })));
    assert!(matches!(store.append(batch(&["z", "x"])), Err(AppendError::CommandsSplit { .. })));
    assert_eq!(store.watermark(), Position::new(2));
}

#[test]
fn limits_are_errors_that_name_themselves() {
    let prepare = |build: &dyn Fn(&mut CommitBuilder)| {
        let mut commit = CommitBuilder::new();
        build(&mut commit);
        commit.prepare().err()
    };
    assert_eq!(prepare(&|_| {}), Some(CommitError::Empty));
    let large = "x".repeat(eventstore::limits::EVENT_BYTES_MAX);
    assert!(matches!(
        prepare(&|commit| {
            commit.event(event("a-1", &large));
        }),
        Some(CommitError::EventTooLarge { index: 0, .. })
    ));
    assert!(matches!(
        prepare(&|commit| {
            let mut event = event("a-1", "{}");
            event.tags = (0..33).map(|number| tag(&format!("t:{number}"))).collect();
            commit.event(event);
        }),
        Some(CommitError::TooMany { what: "tags on one event", .. })
    ));
    assert!(matches!(
        prepare(&|commit| {
            commit.event(event("a-1", "{}")).expect(stream("b-1"), ExpectedVersion::Any);
        }),
        Some(CommitError::ExpectationWithoutEvent { .. })
    ));
    assert!(matches!(
        prepare(&|commit| {
            commit.command(command("a", "a", Outcome::Applied));
        }),
        Some(CommitError::OutcomeMismatch { .. })
    ));
    assert!(matches!(
        prepare(&|commit| {
            let unchanged = command("a", "a", Outcome::Unchanged);
            commit.command(unchanged).command(unchanged);
        }),
        Some(CommitError::CommandTwice { .. })
    ));
    assert!(matches!(
        prepare(&|commit| {
            let event = event("a-1", "{}");
            commit.event(event.clone()).event(event);
        }),
        Some(CommitError::EventTwice { .. })
    ));
    assert!(eventstore::StreamId::new("x".repeat(256)).is_err());
    assert!(eventstore::StreamId::new("a\nb").is_err());

    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let too_large_for_64_kib = one("a-1", ExpectedVersion::Any, &"x".repeat(64 << 10));
    assert!(matches!(store.append(too_large_for_64_kib), Err(AppendError::LargerThanSegment { .. })));
    store.append(one("a-1", ExpectedVersion::NoStream, "{}")).unwrap();
}
