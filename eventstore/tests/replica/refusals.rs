//! What a standby does not take, with the reason; nothing of it is written.

use crate::pair::{
    PIECE, assert_identical, assert_intact, catch_up, feed, fixed, group, history, mark, segment, source,
    standby, twin_world,
};
use crate::support::{Random, small};
use eventstore::{Engine, Log, Replica, ReplicaError, SegmentPiece};
use std::fs;
use std::path::Path;

/// Everything in the log's directory.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn next_piece(log: &Log, replica: &Replica, max: usize) -> SegmentPiece {
    let place = replica.place();
    log.segment_piece(place.segment(), place.offset(), max).unwrap()
}

/// Changes every byte, one at a time, and cuts the piece everywhere but between frames.
fn check_every_flip(piece: &SegmentPiece, replica: &mut Replica, dir: &Path) {
    let before = files(dir);
    let place = replica.place();
    for at in 0..piece.bytes.len() {
        let mut flipped = piece.clone();
        flipped.bytes[at] ^= 1 << (at % 8);
        let error = replica.take(&flipped).expect_err(&format!("byte {at} of {}", piece.bytes.len()));
        assert!(matches!(error, ReplicaError::Damaged { .. }), "byte {at}: {error}");
        assert_eq!(replica.place(), place);
    }
    for len in (1..piece.bytes.len()).filter(|len| len % 8 != 0) {
        let cut = SegmentPiece { bytes: piece.bytes[..len].to_vec(), ..piece.clone() };
        assert!(replica.take(&cut).is_err(), "cut to {len}");
    }
    assert!(files(dir) == before, "nothing was written");
}

#[test]
fn every_changed_byte_is_refused_and_nothing_is_written() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    history(&mut engine, &mut random, 3);
    mark(&mut engine);
    let mut replica = standby(right.path());
    let log = engine.log();
    // The first piece has a header; the second has frames only.
    for _ in 0..2 {
        let piece = next_piece(&log, &replica, 6_000);
        check_every_flip(&piece, &mut replica, right.path());
        replica.take(&piece).unwrap();
    }
    // And one with the header of a later segment.
    history(&mut engine, &mut random, 40);
    while replica.place().segment() == 0 || replica.place().offset() != 0 {
        feed(&log, &mut replica, PIECE);
    }
    let piece = next_piece(&log, &replica, 6_000);
    check_every_flip(&piece, &mut replica, right.path());
    replica.take(&piece).unwrap();
    catch_up(&log, &mut replica, PIECE);
    assert_identical(left.path(), right.path(), log.durable_end());
}

/// What a crash left has no CRC of its own: it is held until the next header vouches for it, and fetched again when
/// that does not.
#[test]
fn a_changed_tail_is_refused_by_the_next_header() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    history(&mut engine, &mut random, 2);
    engine.close();
    let end = Log::open_offline(left.path()).unwrap().durable_end();
    let path = segment(left.path(), end.segment());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(end.offset()).unwrap()..][..40].copy_from_slice(&[9; 40]);
    fs::write(&path, bytes).unwrap();
    let mut engine = source(left.path());
    history(&mut engine, &mut random, 2);

    let mut replica = standby(right.path());
    let log = engine.log();
    loop {
        let piece = next_piece(&log, &replica, PIECE);
        if piece.is_tail {
            break;
        }
        replica.take(&piece).unwrap();
    }
    let tail = next_piece(&log, &replica, PIECE);
    let before = files(right.path());
    for at in 0..tail.bytes.len() {
        let mut flipped = tail.clone();
        flipped.bytes[at] ^= 0x10;
        replica.take(&flipped).unwrap();
        let header = next_piece(&log, &replica, PIECE);
        let error = replica.take(&header).unwrap_err();
        assert!(matches!(error, ReplicaError::Damaged { .. }), "{error}");
        assert_eq!(replica.place(), end, "the tail is fetched again");
    }
    assert!(files(right.path()) == before, "nothing was written");
    catch_up(&log, &mut replica, PIECE);
    assert_identical(left.path(), right.path(), log.durable_end());
    engine.close();
    drop(replica);
    assert_intact(right.path());
}

#[test]
fn gaps_repetitions_and_other_stores_are_refused() {
    let mut random = Random::seeded();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut engine = source(dirs[0].path());
    let mut foreign = source(dirs[1].path());
    history(&mut engine, &mut random, 60);
    history(&mut foreign, &mut random, 60);
    let log = engine.log();
    let mut replica = standby(dirs[2].path());
    let frames_first = log.segment_piece(0, 4096, PIECE).unwrap();
    assert!(matches!(replica.take(&frames_first), Err(ReplicaError::Gap { .. })));
    assert!(matches!(replica.append_frames(&frames_first.bytes), Err(ReplicaError::Gap { .. })));
    let first = log.segment_piece(0, 0, PIECE).unwrap();
    replica.take(&first).unwrap();

    let before = files(dirs[2].path());
    assert!(matches!(replica.take(&first), Err(ReplicaError::Gap { .. })), "what it has already");
    let after = replica.place().offset() + next_piece(&log, &replica, 1).bytes.len() as u64;
    let later = log.segment_piece(0, after, PIECE).unwrap();
    assert!(matches!(replica.take(&later), Err(ReplicaError::Gap { .. })), "a piece too far");
    // Called by its bytes only, the offset in the CRC says the same.
    assert!(matches!(replica.append_frames(&later.bytes), Err(ReplicaError::Damaged { .. })));
    let next_segment = log.segment_piece(1, 0, 4096).unwrap();
    assert!(matches!(replica.take(&next_segment), Err(ReplicaError::Gap { what: "segment", .. })));
    assert!(replica.begin_segment(&next_segment.bytes[..4096]).is_err(), "this segment is not over");
    let two_on = log.segment_piece(2, 0, 4096).unwrap();
    assert!(matches!(
        replica.begin_segment(&two_on.bytes[..4096]),
        Err(ReplicaError::Gap { what: "segment", expected: 1, found: 2, .. })
    ));

    let place = replica.place();
    let mut piece = foreign.log().segment_piece(0, 0, PIECE).unwrap();
    assert!(matches!(replica.take(&piece), Err(ReplicaError::OtherStore { .. })));
    // Even when it pretends.
    piece.store = first.store;
    piece.offset = place.offset();
    assert!(replica.take(&piece).is_err());
    let foreign_header = foreign.log().segment_piece(1, 0, 4096).unwrap();
    assert!(matches!(
        replica.begin_segment(&foreign_header.bytes[..4096]),
        Err(ReplicaError::OtherStore { .. })
    ));
    assert!(files(dirs[2].path()) == before, "nothing was written");
    catch_up(&log, &mut replica, PIECE);
    assert_identical(dirs[0].path(), dirs[2].path(), log.durable_end());
}

/// Two logs that cannot be told apart by anything but their commits.
fn twins(left: &Path, right: &Path) -> [Engine; 2] {
    [left, right].map(|dir| Engine::open(&twin_world(), dir, &small()).unwrap())
}

#[test]
fn another_history_is_named_with_both_chains() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [mut ours, mut theirs] = twins(dirs[0].path(), dirs[1].path());
    group(&mut ours, [fixed("a-1", "one"), fixed("a-1", "two")]);
    group(&mut theirs, [fixed("a-1", "eno"), fixed("b-2", "two")]);
    group(&mut theirs, [fixed("c-3", "six")]);
    assert_eq!(ours.log().store_id(), theirs.log().store_id());
    let mut replica = standby(dirs[2].path());
    catch_up(&ours.log(), &mut replica, PIECE);
    let before = files(dirs[2].path());
    let error = replica.take(&next_piece(&theirs.log(), &replica, PIECE)).unwrap_err();
    let ReplicaError::Diverged { position, ours: expected, theirs: found } = error else { panic!("{error}") };
    assert_eq!(position.get(), 2);
    assert_eq!(found, theirs.log().lineage().chain);
    assert_ne!(expected, found);
    assert!(files(dirs[2].path()) == before, "nothing was written");
}

#[test]
fn a_frame_that_skips_a_position_or_a_version_is_refused() {
    let dirs = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [mut ours, mut theirs] = twins(dirs[0].path(), dirs[1].path());
    group(&mut ours, [fixed("a-1", &"x".repeat(400))]);
    // Two events in the room of one.
    let mut padding = 0;
    let wanted = ours.log().durable_end();
    loop {
        let mut two = eventstore::CommitBuilder::new();
        two.event(crate::support::event("a-1", "1"));
        two.event(crate::support::event("a-1", &"x".repeat(padding)));
        let dir = tempfile::tempdir().unwrap();
        let [mut probe, _] = twins(dir.path(), dirs[3].path());
        group(&mut probe, [two.prepare().unwrap()]);
        if probe.log().durable_end() == wanted {
            break;
        }
        padding += 1;
    }
    let mut two = eventstore::CommitBuilder::new();
    two.event(crate::support::event("a-1", "1"));
    two.event(crate::support::event("a-1", &"x".repeat(padding)));
    group(&mut theirs, [two.prepare().unwrap()]);
    group(&mut theirs, [fixed("a-1", "late")]);
    let mut replica = standby(dirs[2].path());
    catch_up(&ours.log(), &mut replica, PIECE);
    let error = replica.take(&next_piece(&theirs.log(), &replica, PIECE)).unwrap_err();
    assert!(matches!(error, ReplicaError::Gap { what: "position", expected: 1, found: 2, .. }), "{error}");

    // The same positions, but the stream has got on elsewhere.
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [mut ours, mut theirs] = twins(dirs[0].path(), dirs[1].path());
    group(&mut ours, [fixed("a-1", "one")]);
    group(&mut theirs, [fixed("b-1", "one")]);
    group(&mut theirs, [fixed("b-1", "two")]);
    let mut replica = standby(dirs[2].path());
    catch_up(&ours.log(), &mut replica, PIECE);
    let error = replica.take(&next_piece(&theirs.log(), &replica, PIECE)).unwrap_err();
    assert!(matches!(error, ReplicaError::Unsound { .. }) && error.to_string().contains("b-1"), "{error}");
}

#[test]
fn a_newer_format_is_named() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = source(left.path());
    let mut header = engine.log().segment_piece(0, 0, PIECE).unwrap().bytes;
    header[12] = 200;
    let crc = crc32fast::hash(&header[..4092]);
    header[4092..].copy_from_slice(&crc.to_le_bytes());
    let error = standby(right.path()).begin_segment(&header).unwrap_err();
    assert!(matches!(error, ReplicaError::UnsupportedFormat { segment: 0, version: 200 }), "{error}");
}
