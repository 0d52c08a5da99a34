//! A standby becomes the log that is written, and the old leader is refused from then on.

use crate::pair::{
    PIECE, assert_identical, assert_intact, catch_up, fixed, group, history, mark, source, standby,
};
use crate::support::{Random, one, small, stream};
use eventstore::storage::Environment;
use eventstore::{
    ExpectedVersion, Kinship, Log, OpenError, Replica, ReplicaError, Store, Version, promote, promoted_at,
};

fn world() -> Environment {
    Environment::default()
}

#[test]
fn a_promoted_standby_takes_commits_and_feeds_standbys() {
    let mut random = Random::seeded();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut old = source(dirs[0].path());
    history(&mut old, &mut random, 40);
    mark(&mut old);
    let mut replica = standby(dirs[1].path());
    catch_up(&old.log(), &mut replica, PIECE);
    let lineage = replica.lineage().unwrap();
    let locked = promote(&world(), dirs[1].path()).unwrap_err();
    assert!(matches!(locked, ReplicaError::Open(OpenError::Locked { .. })), "{locked}");
    let place = replica.place();
    drop(replica);

    let promoted = promote(&world(), dirs[1].path()).unwrap();
    assert_eq!(promoted.lineage, lineage, "nothing is added to its history");
    assert_eq!(promoted_at(&world(), dirs[1].path()).unwrap(), Some(lineage.next));
    assert_eq!(promoted_at(&world(), dirs[0].path()).unwrap(), None);
    assert!(promoted.end > place && promoted.epoch > 1, "{promoted:?}");
    assert_intact(dirs[1].path());
    let again = promote(&world(), dirs[1].path()).unwrap_err();
    assert!(matches!(again, ReplicaError::NotAStandby { .. }), "{again}");
    let follow = Replica::open(&world(), dirs[1].path(), "x").unwrap_err();
    assert!(matches!(follow, ReplicaError::NotAStandby { .. }), "{follow}");

    let store = Store::open(dirs[1].path(), &small()).unwrap();
    store.append(one("new-1", ExpectedVersion::NoStream, "{}")).unwrap();
    assert_eq!(store.stream_version(&stream("new-1")).unwrap(), Some(Version::ZERO));
    let mut replica = standby(dirs[2].path());
    catch_up(&store.log(), &mut replica, PIECE);
    store.close();
    catch_up(&store.log(), &mut replica, PIECE);
    assert_identical(dirs[1].path(), dirs[2].path(), store.durable_end());
    drop(replica);
    assert_intact(dirs[2].path());
}

#[test]
fn when_both_have_gone_on_the_old_leader_is_another_history() {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut old = source(dirs[0].path());
    group(&mut old, [fixed("a-1", "one")]);
    let mut replica = standby(dirs[1].path());
    let mut third = standby(dirs[2].path());
    catch_up(&old.log(), &mut replica, PIECE);
    catch_up(&old.log(), &mut third, PIECE);
    drop(replica);
    promote(&world(), dirs[1].path()).unwrap();
    let mut new = source(dirs[1].path());

    // The promoted log has a mark of its epoch; the old leader, which knows nothing, writes one of its own there.
    catch_up(&new.log(), &mut third, PIECE);
    mark(&mut old);
    let place = third.place();
    assert_eq!(place, old.log().durable_end(), "both end at the same place");
    group(&mut old, [fixed("a-1", "two")]);
    let piece = old.log().segment_piece(place.segment(), place.offset(), PIECE).unwrap();
    let error = third.take(&piece).unwrap_err();
    assert!(matches!(error, ReplicaError::OlderEpoch { epoch: 1, .. }), "{error}");

    group(&mut new, [fixed("a-1", "owt")]);
    catch_up(&new.log(), &mut third, PIECE);
    // Asked before anything is fetched, and told with the chain of the other side.
    let known = old.log().kinship(&third.lineage().unwrap()).unwrap();
    assert_eq!(known, Kinship::Diverged(old.log().lineage().chain));
    let place = third.place();
    group(&mut old, [fixed("a-1", "six"), fixed("a-1", "ten")]);
    let piece = old.log().segment_piece(place.segment(), place.offset(), PIECE).unwrap();
    assert!(third.take(&piece).is_err());
    assert_eq!(third.log().unwrap().lineage(), new.log().lineage());
    // The old leader does not become a standby by itself either: it has what nobody else has.
    old.close();
    let error = Replica::open(&world(), dirs[0].path(), "the new one").unwrap_err();
    assert!(matches!(error, ReplicaError::NotAStandby { .. }), "{error}");
}

#[test]
fn a_standby_that_ended_with_its_segment_is_promoted_too() {
    let mut random = Random::seeded();
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut old = source(left.path());
    history(&mut old, &mut random, 40);
    let mut replica = standby(right.path());
    // Up to the seal, without the next header.
    while replica.place().offset() != 0 || replica.place().segment() == 0 {
        crate::pair::feed(&old.log(), &mut replica, PIECE);
    }
    drop(replica);
    let before = Log::open_offline(right.path()).unwrap().durable_end();
    let promoted = promote(&world(), right.path()).unwrap();
    assert_eq!(promoted.end.segment(), before.segment() + 1);
    let header = std::fs::read(crate::pair::segment(right.path(), promoted.end.segment())).unwrap();
    assert_eq!(u32::from_le_bytes(header[64..68].try_into().unwrap()), promoted.epoch);
    let store = Store::open(right.path(), &small()).unwrap();
    store.append(one("new-1", ExpectedVersion::NoStream, "{}")).unwrap();
    drop(store);
    assert_intact(right.path());
}

#[test]
fn what_is_no_standby_or_has_nothing_is_not_promoted() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nothing = promote(&world(), left.path()).unwrap_err();
    assert!(matches!(nothing, ReplicaError::Open(OpenError::NoLog { .. })), "{nothing}");
    drop(standby(right.path()));
    let nothing = promote(&world(), right.path()).unwrap_err();
    assert!(matches!(nothing, ReplicaError::Open(OpenError::NoLog { .. })), "{nothing}");
    // It is still one.
    assert!(matches!(Store::open(right.path(), &small()), Err(OpenError::Standby { .. })));
    source(left.path()).close();
    let writer = promote(&world(), left.path()).unwrap_err();
    assert!(matches!(writer, ReplicaError::NotAStandby { .. }), "{writer}");
}
