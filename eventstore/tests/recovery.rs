//! What a log promises after a bad day: nothing acknowledged is lost in silence, nothing torn is believed.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use eventstore::{ExpectedVersion, Log, OpenError, Position, Store};
use std::fs;
use std::path::{Path, PathBuf};
use support::{one, open, small};

fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

/// A closed store with `count` events, and a copy of its directory that tests may harm.
fn filled(count: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..count {
        store
            .append(one(&format!("s-{}", number % 7), ExpectedVersion::Any, &format!("{{\"n\":{number}}}")))
            .unwrap();
    }
    store.close();
    dir
}

fn payloads(log: &Log) -> Vec<String> {
    log.commits(Position::ZERO)
        .map(Result::unwrap)
        .flat_map(|commit| {
            commit
                .events()
                .map(|event| String::from_utf8(event.payload().to_vec()).unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn expected(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("{{\"n\":{number}}}")).collect()
}

#[test]
fn everything_is_there_after_reopening_over_many_segments() {
    let dir = filled(1000);
    assert!(segment(dir.path(), 3).exists(), "the test must roll over segments");
    let store = open(dir.path());
    assert_eq!(payloads(&store), expected(1000));
    let lineage = store.lineage();
    assert!(store.confirms(&lineage).unwrap());
    store.append(one("s-0", ExpectedVersion::StreamExists, "{}")).unwrap();
    assert!(store.confirms(&lineage).unwrap());
    drop(store);
    assert_eq!(payloads(&Log::open_offline(dir.path()).unwrap()).len(), 1001);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = filled(1);
    let store = open(dir.path());
    match Store::open(dir.path(), &small()) {
        Err(OpenError::Locked { holder, .. }) => assert!(holder.unwrap().contains("process")),
        other => panic!("{other:?}"),
    }
    drop(store);
    open(dir.path());
}

/// Where the frames of the last used segment end.
fn end_of(dir: &Path) -> (PathBuf, usize) {
    let mut sequence = 0;
    while fs::read(segment(dir, sequence + 1)).is_ok_and(|bytes| bytes[..8] != [0; 8]) {
        sequence += 1;
    }
    let path = segment(dir, sequence);
    let bytes = fs::read(&path).unwrap();
    (path, (bytes.iter().rposition(|byte| *byte != 0).unwrap() + 8) & !7)
}

#[test]
fn a_torn_group_is_set_aside_and_the_log_goes_on() {
    let dir = filled(40);
    let (path, end) = end_of(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    // What a crash in the middle of a write leaves: the beginning of a frame, here of one written before.
    let torn = bytes[4096..4096 + 120].to_vec();
    bytes[end..end + 120].copy_from_slice(&torn);
    fs::write(&path, &bytes).unwrap();

    let store = open(dir.path());
    assert_eq!(payloads(&store), expected(40));
    store.append(one("s-9", ExpectedVersion::NoStream, "{\"n\":40}")).unwrap();
    store.close();
    drop(store);
    assert_eq!(fs::read(&path).unwrap(), bytes, "the torn tail stays where it was");
    let store = open(dir.path());
    assert_eq!(payloads(&store), expected(41));
    drop(store);
    let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);

    // The abandoned tail is evidence: changing it is found.
    bytes[end + 5] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(!eventstore::verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

#[test]
fn damage_to_acknowledged_data_refuses_to_open_and_touches_nothing() {
    let dir = filled(40);
    let (path, end) = end_of(dir.path());
    let sound = fs::read(&path).unwrap();
    for (at, without_control_page) in
        [(4096 + 40, false), (4096 + 200, true), (end - 20, false), (end - 400, true)]
    {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let control = dir.path().join("control/log");
        let page = fs::read(&control).unwrap();
        if without_control_page {
            fs::remove_file(&control).unwrap();
        }
        match Store::open(dir.path(), &small()) {
            Err(OpenError::Damaged { segment: 0, offset, .. }) => assert!(offset <= at as u64),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        fs::write(&control, page).unwrap();
    }
    fs::write(&path, &sound).unwrap();
    assert_eq!(payloads(&open(dir.path())), expected(40));
}

#[test]
fn a_lost_or_foreign_segment_is_named() {
    let dir = filled(1000);
    let aside = dir.path().join("aside");
    fs::rename(segment(dir.path(), 1), &aside).unwrap();
    assert!(matches!(Store::open(dir.path(), &small()), Err(OpenError::BadSegment { segment: 1, .. })));
    let other = filled(1000);
    fs::copy(segment(other.path(), 1), segment(dir.path(), 1)).unwrap();
    assert!(matches!(Store::open(dir.path(), &small()), Err(OpenError::BadSegment { segment: 1, .. })));
    fs::rename(&aside, segment(dir.path(), 1)).unwrap();
    open(dir.path());
}

#[test]
fn an_unused_segment_of_any_length_is_no_obstacle() {
    for len in [0, 100, 4096, 70_000] {
        let dir = filled(10);
        fs::write(segment(dir.path(), 1), vec![0; len]).unwrap();
        let store = open(dir.path());
        for number in 10..600 {
            store.append(one("s-1", ExpectedVersion::Any, &format!("{{\"n\":{number}}}"))).unwrap();
        }
        assert_eq!(payloads(&store), expected(600));
    }
}

#[test]
fn every_single_byte_counts() {
    // Exhaustive over a small log: header, frames, seal, free space, the prepared segment.
    let dir = filled(3);
    let mut checked = 0;
    for sequence in 0..2 {
        let path = segment(dir.path(), sequence);
        let sound = fs::read(&path).unwrap();
        // All of what is written, and a share of the zeros.
        let written = sound.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for at in (0..written).chain((written..sound.len()).step_by(997)).chain([sound.len() - 1]) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
            assert!(!report.is_intact(), "segment {sequence} byte {at}");
            assert_eq!(report.findings[0].segment, sequence, "byte {at}: {:?}", report.findings);
            checked += 1;
        }
        fs::write(&path, &sound).unwrap();
    }
    assert!(checked > 4096 + 3 * 96, "{checked}");
    assert!(eventstore::verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

#[test]
fn verify_sees_a_forged_payload_behind_a_good_crc() {
    let dir = filled(3);
    let path = segment(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(7).position(|window| window == b"{\"n\":1}").unwrap();
    bytes[at + 5] = b'7';
    forge_crcs(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
    assert!(report.is_tampered(), "{:?}", report.findings);
    assert_eq!(report.findings[0].position, Position::new(1));
}

/// A small log whose first segment is sealed, with all that a body can hold: several streams, commands, metadata.
fn sealed_and_varied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = eventstore::CommitBuilder::new();
    let mut full = support::event("s-2", "two");
    full.tags = vec![support::tag("a"), support::tag("bc")];
    full.metadata = eventstore::Metadata {
        correlation_id: Some(uuid::Uuid::now_v7()),
        traceparent: Some([7; 25]),
        occurred_at: Some(eventstore::Timestamp::new(5)),
        ..eventstore::Metadata::default()
    };
    let mut bare = support::event("s-1", "");
    (bare.tags, bare.metadata) = (Vec::new(), eventstore::Metadata::default());
    commit.event(support::event("s-1", "one")).event(full);
    commit.command(support::command("first", "x", eventstore::Outcome::Applied));
    commit.command(support::command("idle", "y", eventstore::Outcome::Unchanged));
    commit.event(bare).event(support::event("s-2", "four"));
    commit.command(support::command("second", "z", eventstore::Outcome::Applied));
    store.append(commit.prepare().unwrap()).unwrap();
    store.append(one("s-3", ExpectedVersion::NoStream, "{}")).unwrap();
    let mut commit = eventstore::CommitBuilder::new();
    commit.command(support::command("nothing", "n", eventstore::Outcome::Unchanged));
    store.append(commit.prepare().unwrap()).unwrap();
    // A payload too long for what is left of the segment seals it.
    for _ in 0..2 {
        store.append(one("s-4", ExpectedVersion::Any, &"x".repeat(40 << 10))).unwrap();
    }
    store.close();
    drop(store);
    assert_eq!(&fs::read(segment(dir.path(), 1)).unwrap()[..8], b"SUNDAYLG");
    dir
}

#[test]
fn every_byte_of_a_frame_counts_though_every_crc_is_forged() {
    let dir = sealed_and_varied();
    for sequence in 0..2 {
        let path = segment(dir.path(), sequence);
        let sound = fs::read(&path).unwrap();
        let (mut checked, mut frames) = (0, 0);
        for (start, body, end) in extents(&sound) {
            frames += 1;
            for at in start..end {
                let in_frame = at - start;
                // CRCs are forged again, so changing them changes nothing. Of the last segment's frames, which no
                // digest seals yet, these are only bounded: epoch, durable_upto, durable_end, and when a mark was made
                // or whether it is a seal.
                let is_crc = (4..12).contains(&in_frame);
                let is_mark = sound[start + 16] == 2;
                let is_free = sequence == 1
                    && ((24..28).contains(&in_frame)
                        || (48..64).contains(&in_frame)
                        || is_mark && (in_frame == 16 || (40..48).contains(&in_frame)));
                // The filling of the long payloads is all alike.
                let is_filling = at > body + 2_000 && at + 2_000 < end && at % 1_009 != 0;
                if is_crc || is_free || is_filling {
                    continue;
                }
                for flip in [1 << (at % 8), 0x80 >> (at % 8)] {
                    let mut bytes = sound.clone();
                    bytes[at] ^= flip;
                    forge_crcs(&mut bytes);
                    fs::write(&path, &bytes).unwrap();
                    let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
                    assert!(!report.is_intact(), "segment {sequence}, frame at {start}, byte {in_frame}");
                    checked += 1;
                }
            }
        }
        assert!(frames >= 2 && checked > 2_000, "{frames} frames, {checked} changes");
        fs::write(&path, &sound).unwrap();
    }
    assert!(eventstore::verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

/// Bodies that say the same in other bytes: every digest is right, only the form is not.
#[test]
fn a_body_in_other_words_is_tampering_though_every_digest_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = eventstore::CommitBuilder::new();
    // The length of the last payload leaves room for padding.
    commit.event(support::event("s-1", "one")).event(support::event("s-2", "four"));
    store.append(commit.prepare().unwrap()).unwrap();
    store.close();
    drop(store);
    let path = segment(dir.path(), 0);
    let sound = fs::read(&path).unwrap();
    let body = 4096 + 96 + 2 * 8;
    assert_eq!(&sound[body + 8..body + 16], b"\x03s-1\x03s-2");
    let first = body + 16;
    let second = first + usize::from(sound[first]) + 256 * usize::from(sound[first + 1]);

    // The stream table the other way round, and the indices with it: the base versions are both 0.
    let mut bytes = sound.clone();
    bytes[body + 8..body + 16].copy_from_slice(b"\x03s-2\x03s-1");
    (bytes[first + 24], bytes[second + 24]) = (1, 0);
    assert_tampered(&path, dir.path(), bytes, "order of first touch");
    // Another ordinal: the version would be another one.
    let mut bytes = sound.clone();
    bytes[second + 28] = 1;
    assert_tampered(&path, dir.path(), bytes, "ordinal");
    // An unused byte between the last event and the end of the body.
    let mut bytes = sound.clone();
    bytes[4096 + 12] += 1;
    assert_tampered(&path, dir.path(), bytes, "left over after the events");
    fs::write(&path, &sound).unwrap();
    assert!(eventstore::verify(dir.path(), &mut |_| {}).unwrap().is_intact());
}

fn assert_tampered(path: &Path, dir: &Path, mut bytes: Vec<u8>, why: &str) {
    forge_crcs(&mut bytes);
    fs::write(path, &bytes).unwrap();
    let report = eventstore::verify(dir, &mut |_| {}).unwrap();
    let found = report.findings.iter().any(|finding| finding.message.contains(why));
    assert!(report.is_tampered() && found, "{why}: {:?}", report.findings);
}

#[test]
fn a_log_of_format_1_is_refused_by_name() {
    let dir = filled(3);
    let path = segment(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    (bytes[8], bytes[12]) = (1, 1);
    let crc = crc32fast::hash(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let refusals = [
        Store::open(dir.path(), &small()).unwrap_err(),
        Log::open_offline(dir.path()).unwrap_err(),
        eventstore::verify(dir.path(), &mut |_| {}).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(refusal.to_string().contains("format version 1"), "{refusal}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

/// Once, a position or version at the end of its range behind a good CRC made `verify` panic, or wait for ever for a
/// worker that had.
#[test]
fn verify_survives_hostile_numbers_behind_good_crcs() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut commit = eventstore::CommitBuilder::new();
    commit.event(support::event("s-1", "1")).event(support::event("s-1", "2"));
    store.append(commit.prepare().unwrap()).unwrap();
    store.close();
    drop(store);
    let path = segment(dir.path(), 0);
    let sound = fs::read(&path).unwrap();
    // Of the first frame: first position, recorded-at, durable_upto, durable_end, base version.
    for at in [32, 40, 48, 56, 96] {
        let mut bytes = sound.clone();
        bytes[4096 + at..4096 + at + 8].fill(0xff);
        forge_crcs(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let report = eventstore::verify(dir.path(), &mut |_| {}).unwrap();
        assert!(!report.is_intact(), "field at {at}");
        // Opening checks CRCs and order, not digests: it may refuse or not, but it must come back.
        drop(Store::open(dir.path(), &small()));
    }
}

/// Where each frame begins, where its body does, and where it ends with its padding, as far as there are frames.
fn extents(bytes: &[u8]) -> Vec<(usize, usize, usize)> {
    let mut extents = Vec::new();
    let mut at = 4096;
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    while at + 96 < bytes.len() && &bytes[at..at + 4] == b"SFRM" {
        let body = at + 96 + 8 * number(at + 18, 2);
        let end = (body + number(at + 12, 4) + 7) & !7;
        if end > bytes.len() {
            break;
        }
        extents.push((at, body, end));
        at = end;
    }
    extents
}

/// What somebody who can write files does: makes every CRC right again, as far as there are frames.
fn forge_crcs(bytes: &mut [u8]) {
    let salt: [u8; 16] = bytes[48..64].try_into().unwrap();
    for (at, body, _) in extents(bytes) {
        let body_len = u32::from_le_bytes(bytes[at + 12..at + 16].try_into().unwrap()) as usize;
        let body_crc = crc32fast::hash(&bytes[body..body + body_len]);
        bytes[at + 8..at + 12].copy_from_slice(&body_crc.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&salt);
        hasher.update(&(at as u64).to_le_bytes());
        hasher.update(&bytes[at + 8..body]);
        let crc = hasher.finalize();
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    }
}
