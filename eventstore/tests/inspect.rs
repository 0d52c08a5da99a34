//! Promise: what is shown of a log is what is there: every byte of a frame has one name, segments are what they are, and nothing
//! is changed by looking.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod support;

use eventstore::inspect::{SegmentState, frame, outlook, segments};
use eventstore::storage::Environment;
use eventstore::{CommitBuilder, ExpectedVersion, Log, LogOffset, OpenError, Outcome, Position};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Random, command, event, one, open};
use tempfile::TempDir;

fn filled(commits: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..commits {
        let mut commit = CommitBuilder::new();
        let mut first = event("thing-1", &"é".repeat(number as usize % 900));
        first.metadata.traceparent = Some([1; 25]);
        first.metadata.correlation_id = Some(uuid::Uuid::from_u128(5));
        commit.event(first).event(event("thing-2", "{}"));
        commit.command(command(&format!("{number}"), "content", Outcome::Applied));
        store.append(commit.prepare().unwrap()).unwrap();
    }
    store.close();
    dir
}

fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

#[test]
fn every_byte_of_every_frame_has_one_name() {
    let dir = filled(100);
    let log = Log::open_offline(dir.path()).unwrap();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        let facts = frame(&Environment::default(), dir.path(), commit.place()).unwrap();
        assert_eq!(facts.problem, None);
        let bytes = fs::read(segment(dir.path(), facts.segment)).unwrap();
        let mut at = facts.offset;
        for field in &facts.fields {
            assert_eq!(field.offset, at, "{}", field.name);
            assert!(!field.name.contains("rest"), "everything of a sound frame is known: {}", field.name);
            at += field.bytes.len() as u64;
        }
        let (from, to) = (facts.offset as usize, at as usize);
        assert_eq!(at, facts.offset + facts.length);
        assert_eq!(
            facts.fields.iter().flat_map(|field| field.bytes.clone()).collect::<Vec<_>>(),
            bytes[from..to]
        );
        let value = |name: &str| facts.fields.iter().find(|field| field.name == name).unwrap().value.clone();
        assert_eq!(value("first position"), commit.first().to_string());
        assert_eq!(value("chain"), commit.chain().to_string());
        let view = commit.event(commit.first()).unwrap();
        let first = commit.first();
        assert_eq!(value(&format!("event {first}: id")), view.get().unwrap().id().to_string());
        assert_eq!(value("stream 1: name"), "\"thing-2\"");
        assert_eq!(value(&format!("event {first}: correlation id")), uuid::Uuid::from_u128(5).to_string());
    }
}

#[test]
fn no_bytes_are_too_strange_to_be_shown() {
    let mut random = Random::seeded();
    let dir = filled(20);
    let path = segment(dir.path(), 0);
    let whole = fs::read(&path).unwrap();
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(6) {
            let at = 4096 + random.below(2_000) as usize;
            bytes[at] = random.below(256) as u8;
        }
        fs::write(&path, &bytes).unwrap();
        for offset in [4096, 4096 + 8 * random.below(300)] {
            let facts = frame(&Environment::default(), dir.path(), LogOffset::new(0, offset)).unwrap();
            let shown: usize = facts.fields.iter().map(|field| field.bytes.len()).sum();
            assert!(shown as u64 <= facts.length, "offset {offset}");
        }
    }
    fs::write(&path, &whole).unwrap();
    let at = LogOffset::new(0, 4096 + 8);
    assert!(
        frame(&Environment::default(), dir.path(), at).unwrap().problem.is_some(),
        "not where a frame begins"
    );
    for at in [LogOffset::new(0, 8), LogOffset::new(0, 64 << 20), LogOffset::new(77, 4096)] {
        assert!(frame(&Environment::default(), dir.path(), at).is_err());
    }
}

#[test]
fn segments_are_what_they_are() {
    let dir = filled(300);
    let all = segments(&Environment::default(), dir.path()).unwrap();
    let used: Vec<_> = all.iter().filter(|segment| segment.state != SegmentState::Prepared).collect();
    let (last, ended) = used.split_last().unwrap();
    assert!(ended.len() > 2 && ended.iter().all(|segment| segment.state == SegmentState::Sealed));
    assert_eq!(last.state, SegmentState::Open);
    assert_eq!(last.next.get(), 600);
    assert_eq!(used.iter().map(|segment| segment.commits).sum::<u64>(), 300);
    assert!(used.windows(2).all(|pair| pair[0].next == pair[1].first));
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096 + 200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let damaged = &segments(&Environment::default(), dir.path()).unwrap()[1];
    assert_eq!((damaged.state, damaged.bytes), (SegmentState::Damaged, 4096));
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(segments(&Environment::default(), dir.path()).unwrap()[1].state, SegmentState::Unusable);
}

#[test]
fn the_outlook_is_what_a_writer_finds_and_changes_nothing() {
    let mut random = Random::seeded();
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for number in 0..20 {
            store.append(one("thing-1", ExpectedVersion::Any, &format!("{number}"))).unwrap();
        }
        store.close();
        drop(store);
        // Something happens to the last segment, or nothing.
        let path = segment(dir.path(), 0);
        let mut bytes = fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        match random.below(4) {
            0 => {}
            1 => bytes[used + 8 + random.below(200) as usize] = 7,
            2 => bytes[random.below(used as u64) as usize] ^= 4,
            _ => bytes[used - random.below(3_000) as usize..].fill(0),
        }
        if random.below(2) == 0 {
            fs::remove_dir_all(dir.path().join("control")).unwrap();
        }
        fs::write(&path, &bytes).unwrap();
        let seen = outlook(&Environment::default(), dir.path());
        assert!(fs::read(&path).unwrap() == bytes, "nothing was changed");
        let opened = eventstore::Store::open(dir.path(), &support::small());
        match (seen, opened) {
            (Ok(Some(outlook)), Ok(store)) => assert_eq!(outlook.lineage, store.lineage()),
            (Err(seen), Err(found)) => assert_eq!(seen.to_string(), found.to_string()),
            (seen, opened) => panic!("{seen:?}, but {opened:?}"),
        }
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(outlook(&Environment::default(), empty.path()).unwrap(), None);
    assert!(matches!(segments(&Environment::default(), empty.path()), Err(OpenError::NoLog { .. })));
}
