//! A store written once and kept: `golden/` holds its segments, each gzipped, and a listing of what they say. Whatever
//! this crate becomes, it reads them, verifies them and goes on writing behind them.
//!
//! When the format changes on purpose (`FORMAT.md`, Versions), a store of the new one is written by
//! `SUNDAY_GOLDEN=write cargo test -p eventstore --test golden`. Nothing else may change these files: a difference in
//! any other change is a log that somebody cannot read any more.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use eventstore::{
    CommandId, CommitBuilder, ContentType, EventType, ExpectedVersion, Guard, Log, Metadata, NewEvent,
    Outcome, Position, Store, Timestamp, Version, verify,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use support::{command, open, stream, tag};
use uuid::Uuid;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Names of the packed segments in `dir`, in order.
fn packed(dir: &Path) -> Vec<PathBuf> {
    let mut packed: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    packed.sort();
    packed
}

/// The golden store in a directory of its own.
fn unpacked() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    fs::create_dir(&log).unwrap();
    for path in packed(&golden()) {
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
        fs::write(log.join(path.file_stem().unwrap()), bytes).unwrap();
    }
    dir
}

const COMMANDS: [&str; 4] = ["applied", "unchanged", "batch-1", "batch-2"];

/// Everything that a log says, as text.
fn listing(log: &Log) -> String {
    let mut text = String::new();
    let line = &mut text;
    writeln!(line, "store {}", log.store_id()).unwrap();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        writeln!(
            line,
            "commit {} first {} next {} at {} chain {}",
            commit.place(),
            commit.first(),
            commit.next(),
            commit.recorded_at(),
            commit.chain()
        )
        .unwrap();
        for event in commit.events() {
            let metadata = event.metadata().to_owned();
            writeln!(
                line,
                "  event {} {} version {} {} {} schema {} {:?} key {} tags {:?} payload {} {}",
                event.position(),
                event.stream(),
                event.version(),
                event.event_type(),
                event.id(),
                event.schema_version(),
                event.content_type(),
                event.key_id(),
                event.tags().collect::<Vec<_>>(),
                event.payload().len(),
                hex(&Sha256::digest(event.payload())),
            )
            .unwrap();
            if metadata != Metadata::default() {
                writeln!(
                    line,
                    "    correlation {:?} causation {:?} command {:?} trace {:?} occurred {:?} extras {:?}",
                    metadata.correlation_id,
                    metadata.causation_id,
                    metadata.command_id,
                    metadata.traceparent.map(|trace| hex(&trace)),
                    metadata.occurred_at,
                    String::from_utf8_lossy(&metadata.extras),
                )
                .unwrap();
            }
        }
    }
    for name in COMMANDS {
        let id = CommandId::derive(&[name.as_bytes()]);
        let found = log.find_command(&id).unwrap().unwrap();
        let receipt = &found.receipt;
        writeln!(
            line,
            "command {name} {id} says {} {:?}: first {} next {} versions {:?} {:?}",
            found.fingerprint, found.outcome, receipt.first, receipt.next, receipt.versions, receipt.outcome
        )
        .unwrap();
    }
    writeln!(line, "next {} chain {}", log.lineage().next, log.lineage().chain).unwrap();
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn event(number: u128, stream_name: &str, payload: &[u8]) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number),
        stream: stream(stream_name),
        event_type: EventType::new("thing.happened").unwrap(),
        content_type: ContentType::Json,
        schema_version: 1,
        tags: Vec::new(),
        metadata: Metadata::default(),
        payload: payload.to_vec(),
    }
}

fn append(store: &Store, fill: impl FnOnce(&mut CommitBuilder)) {
    let mut commit = CommitBuilder::new();
    fill(&mut commit);
    store.append(commit.prepare().unwrap()).unwrap();
}

/// A life in three sessions that leaves one of everything behind.
fn live(dir: &Path) {
    // Several streams, tags, all metadata, commands that did something, nothing, and came together.
    let store = open(dir);
    append(&store, |commit| {
        commit.expect(stream("a-1"), ExpectedVersion::NoStream).event(event(1, "a-1", b"{}"));
    });
    append(&store, |commit| {
        let metadata = Metadata {
            correlation_id: Some(Uuid::from_u128(11)),
            causation_id: Some(Uuid::from_u128(12)),
            command_id: Some(CommandId::from_bytes([13; 16])),
            traceparent: Some([14; 25]),
            occurred_at: Some(Timestamp::new(-1)),
            extras: br#"{"actor":"somebody"}"#.to_vec(),
        };
        let some = Metadata { occurred_at: metadata.occurred_at, ..Metadata::default() };
        let tags = vec![tag("of:everything"), tag("größe:ü")];
        commit
            .expect(stream("a-1"), ExpectedVersion::Exact(Version::ZERO))
            .event(NewEvent { tags, metadata, ..event(2, "a-1", b"{\"two\":2}") })
            .event(NewEvent { metadata: some, ..event(3, "straße-1", b"[]") })
            .event(NewEvent {
                content_type: ContentType::Bytes,
                schema_version: 7,
                ..event(4, "a-1", &[0, 255, 128, 0])
            })
            .event(event(5, "c", b""));
    });
    append(&store, |commit| {
        commit.event(event(6, "a-1", b"{}")).command(command("applied", "x", Outcome::Applied));
    });
    append(&store, |commit| {
        commit.command(command("unchanged", "y", Outcome::Unchanged));
    });
    append(&store, |commit| {
        commit.guard(Guard::NoNewer(tag("of:everything"), Position::new(2)));
        commit.event(event(7, "b-1", b"{}")).command(command("batch-1", "x", Outcome::Applied));
        commit.command(command("batch-2", "z", Outcome::Unchanged));
    });
    store.close();
    drop(store);

    // Two sealed segments, by events that are long and easily packed.
    let store = open(dir);
    for number in 10..15 {
        append(&store, |commit| {
            commit.event(event(number, "long-1", &vec![b'x'; 25_000]));
        });
    }
    drop(store);

    // A crash in the middle of a group: the start of a frame that nobody was told of.
    let last = last_used(dir);
    let mut bytes = fs::read(&last).unwrap();
    let end = (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 8) & !7;
    let frame = bytes[4096..4096 + 200].to_vec();
    bytes[end..end + 200].copy_from_slice(&frame);
    fs::write(&last, bytes).unwrap();
    let store = open(dir);
    append(&store, |commit| {
        commit.event(event(20, "a-1", b"{\"after\":\"the crash\"}"));
    });
    drop(store);
}

fn last_used(dir: &Path) -> PathBuf {
    (0..)
        .map(|sequence| dir.join(format!("log/{sequence:010}.seg")))
        .take_while(|path| fs::read(path).is_ok_and(|bytes| bytes[..8] != [0; 8]))
        .last()
        .unwrap()
}

fn write() {
    let dir = tempfile::tempdir().unwrap();
    live(dir.path());
    let golden = golden();
    fs::create_dir_all(&golden).unwrap();
    packed(&golden).iter().for_each(|old| fs::remove_file(old).unwrap());
    for entry in fs::read_dir(dir.path().join("log")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        let mut packed = GzEncoder::new(File::create(golden.join(name)).unwrap(), Compression::best());
        packed.write_all(&fs::read(path).unwrap()).unwrap();
        packed.finish().unwrap();
    }
    let log = Log::open_offline(dir.path()).unwrap();
    fs::write(golden.join("listing.txt"), listing(&log)).unwrap();
}

#[test]
fn a_store_of_old_is_read_verified_and_continued() {
    if std::env::var_os("SUNDAY_GOLDEN").is_some_and(|mode| mode == "write") {
        write();
    }
    let bytes: u64 = packed(&golden()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(
        bytes > 0 && bytes < 100 << 10,
        "the kept files are small, so that they stay in the repository: {bytes}"
    );
    let expected = fs::read_to_string(golden().join("listing.txt")).unwrap();
    let dir = unpacked();
    let log = Log::open_offline(dir.path()).unwrap();
    assert_eq!(listing(&log), expected);

    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!((report.next, report.chain), (log.lineage().next, log.lineage().chain));
    assert_eq!(report.segments, 4, "two sealed, one abandoned, one after it");

    // A writer goes on where it ended, and still remembers every command.
    let store = open(dir.path());
    assert_eq!(listing(&store), expected);
    let lineage = store.lineage();
    let mut again = CommitBuilder::new();
    again.event(event(6, "a-1", b"{}")).command(command("applied", "x", Outcome::Applied));
    let receipt = store.append(again.prepare().unwrap()).unwrap();
    assert!(receipt.duplicate && receipt.first == Position::new(5), "{receipt:?}");
    for number in 100..200 {
        append(&store, |commit| {
            commit.event(event(number, "a-1", &[b'y'; 2_000]));
        });
    }
    assert!(store.confirms(&lineage).unwrap());
    drop(store);
    let report = verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!(report.next, lineage.next.plus(100));
    // What was there before is there byte for byte; only the last segment grew.
    let before = unpacked();
    for sequence in 0..3 {
        let name = format!("log/{sequence:010}.seg");
        assert!(fs::read(before.path().join(&name)).unwrap() == fs::read(dir.path().join(&name)).unwrap());
    }
}
