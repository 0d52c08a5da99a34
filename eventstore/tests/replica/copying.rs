//! The way of a piece from a source to a standby that takes it.

use crate::pair::{
    PIECE, assert_identical, assert_intact, catch_up, feed, group, history, mark, segment, source, source_of,
    standby, turn,
};
use crate::support::{Random, one, stream};
use eventstore::{
    Durability, ExpectedVersion, Kinship, Lineage, Log, LogOffset, OpenError, PieceError, Position, Replica,
    ReplicaError, Store, StoreOptions, Version,
};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_standby_is_its_source_byte_for_byte_over_many_segments() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    let mut replica = standby(right.path());
    assert!(replica.log().is_none() && replica.lineage().is_none());
    // Pieces of every size, one frame at a time among them, while the source goes on.
    for max in [1, 500, PIECE, 4 << 20, 1] {
        history(&mut engine, &mut random, 40);
        catch_up(&engine.log(), &mut replica, max);
        assert_eq!(replica.lineage(), Some(engine.log().lineage()));
    }
    mark(&mut engine);
    catch_up(&engine.log(), &mut replica, PIECE);
    let end = engine.log().durable_end();
    assert!(end.segment() > 4, "it rolled over several segments: {end}");
    assert_eq!(replica.place(), end);
    assert_identical(left.path(), right.path(), end);

    // Local readers tail a standby as they tail a writer.
    let reader = Log::open(right.path()).unwrap();
    assert_eq!(reader.lineage(), engine.log().lineage());
    group(&mut engine, [one("late-1", ExpectedVersion::NoStream, "{}")]);
    catch_up(&engine.log(), &mut replica, PIECE);
    assert!(reader.wait_for(engine.log().watermark(), Duration::from_secs(20)));
    assert_eq!(reader.stream_version(&stream("late-1")).unwrap(), Some(Version::ZERO));
    assert_intact(right.path());
    engine.close();
    replica.close();
    assert_intact(right.path());
}

#[test]
fn a_standby_goes_on_where_it_was_and_feeds_another_one() {
    let mut random = Random::seeded();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut engine = source(dirs[0].path());
    for _ in 0..6 {
        history(&mut engine, &mut random, 15);
        let mut replica = standby(dirs[1].path());
        catch_up(&engine.log(), &mut replica, PIECE);
        // What a standby serves is what another process that tails it serves.
        let middle = Log::open(dirs[1].path()).unwrap();
        assert_eq!(middle.durable_end(), engine.log().durable_end());
        let mut last = standby(dirs[2].path());
        catch_up(&middle, &mut last, PIECE);
    }
    let end = engine.log().durable_end();
    assert_identical(dirs[0].path(), dirs[1].path(), end);
    assert_identical(dirs[0].path(), dirs[2].path(), end);
    assert_intact(dirs[2].path());
}

/// A crash of the source leaves a torn tail, which the next header vouches for: it is copied as well.
#[test]
fn what_a_crash_left_in_the_source_is_copied_too() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut replica = standby(right.path());
    for round in 0..3 {
        let mut engine = source(left.path());
        history(&mut engine, &mut random, 3);
        if round > 0 {
            catch_up(&engine.log(), &mut replica, PIECE);
        }
        engine.close();
        // A torn frame: half of one that is there already, with a gap of zeros in it.
        let end = Log::open_offline(left.path()).unwrap().durable_end();
        let path = segment(left.path(), end.segment());
        let mut bytes = fs::read(&path).unwrap();
        let at = usize::try_from(end.offset()).unwrap();
        let torn = bytes[4096..4096 + 120].to_vec();
        bytes[at..at + 120].copy_from_slice(&torn);
        bytes[at + 300] = 1;
        fs::write(&path, &bytes).unwrap();
    }
    let mut engine = source(left.path());
    history(&mut engine, &mut random, 3);
    let tails = |log: &Log| {
        let end = log.durable_end();
        (0..end.segment())
            .filter(|sequence| {
                let mut offset = 0;
                loop {
                    let piece = log.segment_piece(*sequence, offset, PIECE).unwrap();
                    offset += piece.bytes.len() as u64;
                    if piece.ended {
                        return piece.is_tail;
                    }
                }
            })
            .count()
    };
    assert_eq!(tails(&engine.log()), 3);
    // Once through a standby that is opened anew between the tail and the next header.
    while replica.place().offset() != 0 || replica.place().segment() == 0 {
        feed(&engine.log(), &mut replica, PIECE);
    }
    drop(replica);
    let mut replica = standby(right.path());
    catch_up(&engine.log(), &mut replica, PIECE);
    mark(&mut engine);
    catch_up(&engine.log(), &mut replica, PIECE);
    assert_identical(left.path(), right.path(), engine.log().durable_end());
    drop(replica);
    engine.close();
    assert_intact(left.path());
    assert_intact(right.path());
}

/// Without fsync a commit is shown before it is on disk; a copy of it could outlive the original.
#[test]
fn nothing_is_given_away_that_is_not_durable() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source_of(left.path(), Durability::Os);
    let mut replica = standby(right.path());
    catch_up(&engine.log(), &mut replica, PIECE);
    let reader = Log::open(left.path()).unwrap();
    group(&mut engine, [one("a-1", ExpectedVersion::NoStream, "{}")]);
    assert_eq!(engine.log().watermark(), Position::new(1));
    assert!(reader.wait_for(Position::new(1), Duration::from_secs(20)));
    for log in [&engine.log(), &reader] {
        let piece = log.segment_piece(0, 4096, PIECE).unwrap();
        assert!(piece.bytes.is_empty() && !piece.ended, "{piece:?}");
        assert!(matches!(
            log.segment_piece(0, 4104, PIECE),
            Err(PieceError::BeyondEnd { segment: 0, offset: 4104, end: 4096 })
        ));
    }
    let durable = reader.watch_durable();
    assert!(engine.quiet());
    turn(&mut engine);
    assert!(feed(&engine.log(), &mut replica, PIECE));
    assert_eq!(replica.log().unwrap().watermark(), Position::new(1));
    // The other process hears of the sync as well, although no event has come.
    let began = Instant::now();
    while !durable.has_changed().unwrap() {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody hears of it");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(reader.durable_end() > LogOffset::new(0, 4096));
}

#[test]
fn what_is_no_piece_is_said() {
    let mut random = Random::seeded();
    let dir = tempfile::tempdir().unwrap();
    let mut engine = source(dir.path());
    let log = engine.log();
    assert_eq!(log.segment_piece(0, 0, PIECE).unwrap().bytes.len(), 4096, "an empty log has a header");
    history(&mut engine, &mut random, 60);
    assert!(log.durable_end().segment() > 1);
    assert!(matches!(log.segment_piece(99, 0, PIECE), Err(PieceError::UnknownSegment { segment: 99, .. })));
    for offset in [1, 8, 4095, 4097, 4096 + 8, 4096 + 96] {
        let error = log.segment_piece(0, offset, PIECE).unwrap_err();
        assert!(matches!(error, PieceError::NotABoundary { segment: 0, .. }), "{offset}: {error}");
    }
    let error = log.segment_piece(0, 1 << 40, PIECE).unwrap_err();
    assert!(matches!(error, PieceError::BeyondEnd { .. }), "{error}");
    // A frame that has rotted is not given away.
    let second = log.segment_piece(0, 4096, 1).unwrap().bytes.len() as u64 + 4096;
    drop(engine);
    let path = segment(dir.path(), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(second).unwrap() + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let before = log.segment_piece(0, 4096, 1 << 20).unwrap();
    assert_eq!(4096 + before.bytes.len() as u64, second, "what is sound before it is");
    let error = log.segment_piece(0, second, 1 << 20).unwrap_err();
    let PieceError::Read(error) = error else { panic!("{error}") };
    assert!(error.to_string().contains(&second.to_string()), "{error}");
}

#[test]
fn a_place_is_known_beyond_or_of_another_history() {
    let mut random = Random::seeded();
    let (left, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    let empty = engine.log().lineage();
    history(&mut engine, &mut random, 5);
    let log = engine.log();
    let lineage = log.lineage();
    // Commits without events share a position: the next one has an event, so that one chain head is the last there.
    group(&mut engine, [one("late-1", ExpectedVersion::NoStream, "{}")]);
    history(&mut engine, &mut random, 5);
    assert_eq!(log.kinship(&empty).unwrap(), Kinship::Same);
    assert_eq!(log.kinship(&lineage).unwrap(), Kinship::Same);
    let mut forged = lineage;
    forged.chain.0[0] ^= 1;
    // Commits without events share a position, so it may name another chain head that stands there.
    assert!(matches!(log.kinship(&forged).unwrap(), Kinship::Diverged(_)));
    let beyond = Lineage { next: Position::new(1 << 40), ..lineage };
    assert_eq!(log.kinship(&beyond).unwrap(), Kinship::Beyond);
    assert_eq!(source(other.path()).log().kinship(&lineage).unwrap(), Kinship::OtherStore);
}

#[test]
fn writers_and_standbys_keep_to_their_own_directories() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = source(left.path());
    group(&mut engine, [one("a-1", ExpectedVersion::NoStream, "{}")]);
    let mut replica = standby(right.path());
    let refused = |error: OpenError| match error {
        OpenError::Standby { follows, .. } => follows == "the source of a test",
        other => panic!("{other}"),
    };
    let options = StoreOptions::default();
    // While it has nothing, while somebody follows, and when nobody does.
    assert!(refused(Store::open(right.path(), &options).unwrap_err()));
    catch_up(&engine.log(), &mut replica, PIECE);
    assert!(refused(Store::open(right.path(), &options).unwrap_err()));
    let again = Replica::open(&Default::default(), right.path(), "x").unwrap_err();
    assert!(matches!(again, ReplicaError::Open(OpenError::Locked { .. })), "{again}");
    drop(replica);
    let error = Store::open(right.path(), &options).unwrap_err();
    assert!(error.to_string().contains("sunday promote"), "{error}");
    assert!(refused(error));
    engine.close();
    let error = Replica::open(&Default::default(), left.path(), "x").unwrap_err();
    assert!(matches!(error, ReplicaError::NotAStandby { .. }), "{error}");
    assert_eq!(
        Store::open(left.path(), &options).unwrap().watermark(),
        Position::new(1),
        "nothing was changed"
    );
}
