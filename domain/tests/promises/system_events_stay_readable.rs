//! Promise: what the system once said to itself can be read for ever, and means the same to whoever folds it. Each file
//! in `golden/system/` is a payload byte for byte as it was stored; none of them may ever be changed.
//!
//! `SUNDAY_GOLDEN=write cargo test --workspace --test promises system_events` writes those that are missing.

use domain::WorkspaceId;
use domain::system::archive::{ArchivedSegment, Recorded, SEGMENTS_ARCHIVED, SegmentsArchived};
use domain::system::consumers::{self, ConsumerName};
use domain::system::projections::{
    Built, ControlEvent, DEAD_LETTERS_MAX, DIFFERENCES_MAX, DeadLetterAdded, DeadLettersRetried, Difference,
    PROJECTIONS, ProjectionState, RebuildCancelled, RebuildFinished, RebuildOutcome, RebuildRequested,
    RebuildSwapBegun, Refused, RepairRequested, SCHEMA_VERSION, projection_of, stream_of,
};
use domain::system::store::{RESTORED, StoreRestored};
use domain::system::{self, archive, store};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/system")
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn added(position: u64, version: u64) -> ControlEvent {
    ControlEvent::DeadLetterAdded(DeadLetterAdded {
        position,
        event_id: id(u128::from(position)),
        stream_id: format!("item-{}", id(7)),
        version,
        reason: "the payload is no item.created of version 1: \"title\" is missing".to_owned(),
    })
}

fn requested(number: u128, shadow: bool) -> ControlEvent {
    ControlEvent::RebuildRequested(RebuildRequested { rebuild_id: id(number), shadow })
}

fn swap_begun(number: u128) -> ControlEvent {
    ControlEvent::RebuildSwapBegun(RebuildSwapBegun { rebuild_id: id(number) })
}

fn finished(number: u128) -> RebuildFinished {
    let built = |digit: &str| Built { digest: digit.repeat(64), count: 3 };
    RebuildFinished {
        rebuild_id: id(number),
        outcome: RebuildOutcome::Compared,
        position: 40,
        old: Some(built("a")),
        new: Some(built("b")),
        differing: 2,
        differences: vec![
            Difference { entity: "item:one".into(), old: Some("c".repeat(64)), new: Some("d".repeat(64)) },
            Difference { entity: "item:Bjö\"rn".into(), old: None, new: Some("e".repeat(64)) },
        ],
        reason: None,
    }
}

fn retried(positions: Option<&[u64]>) -> ControlEvent {
    ControlEvent::DeadLettersRetried(DeadLettersRetried { positions: positions.map(<[u64]>::to_vec) })
}

/// By the name of the file.
fn examples() -> Vec<(&'static str, ControlEvent)> {
    vec![
        ("sys.rebuild_requested.v1", requested(1, true)),
        ("sys.rebuild_cancelled.v1", ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id: id(1) })),
        ("sys.rebuild_finished.v1", ControlEvent::RebuildFinished(finished(1))),
        (
            "sys.rebuild_finished.v1-failed",
            ControlEvent::RebuildFinished(RebuildFinished::failed(id(2), 41, "no space left on device")),
        ),
        ("sys.rebuild_swap_begun.v1", swap_begun(1)),
        ("sys.dead_letter_added.v1", added(17, 3)),
        ("sys.dead_letters_retried.v1", retried(Some(&[17, 19]))),
        ("sys.dead_letters_retried.v1-all", retried(None)),
        (
            "sys.repair_requested.v1",
            ControlEvent::RepairRequested(RepairRequested {
                repair_id: id(3),
                entity: format!("item:{}", id(7)),
            }),
        ),
    ]
}

#[test]
fn every_event_is_written_and_read_as_it_once_was() {
    let mut types = BTreeSet::new();
    for (name, event) in examples() {
        let path = folder().join(format!("{name}.json"));
        if std::env::var("SUNDAY_GOLDEN").is_ok_and(|what| what == "write") && !path.exists() {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, event.payload().unwrap()).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(event.payload().unwrap(), golden, "{name}");
        let read = ControlEvent::decode(event.event_type(), SCHEMA_VERSION, &golden).unwrap();
        assert_eq!(read.as_ref(), Some(&event), "{name}");
        types.insert(event.event_type());
    }
    assert_eq!(types, ControlEvent::TYPES.into_iter().collect(), "each type has an example");
}

#[test]
fn where_a_store_comes_from_is_written_and_read_as_it_once_was() {
    let event = StoreRestored {
        parent_store: id(9),
        parent_position: 41,
        parent_chain: "f".repeat(64),
        parent_checkpoint: Some(64),
    };
    let path = folder().join(format!("{RESTORED}.v1.json"));
    let written = serde_json::to_vec(&event).unwrap();
    if std::env::var("SUNDAY_GOLDEN").is_ok_and(|what| what == "write") && !path.exists() {
        fs::write(&path, &written).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(written, golden);
    assert_eq!(serde_json::from_slice::<StoreRestored>(&golden).unwrap(), event);
}

#[test]
fn what_a_newer_build_writes_is_passed_over_and_not_misread() {
    let event = requested(1, false);
    let payload = event.payload().unwrap();
    let decode = |event_type, version, payload: &[u8]| ControlEvent::decode(event_type, version, payload);
    assert_eq!(decode("sys.something_else", 1, &payload).unwrap(), None);
    assert_eq!(decode(event.event_type(), SCHEMA_VERSION + 1, &payload).unwrap(), None);
    assert!(decode(event.event_type(), 1, b"{}").is_err());
    let with_more = [&payload[..payload.len() - 1], b",\"further\":1}"].concat();
    assert_eq!(decode(event.event_type(), 1, &with_more).unwrap(), Some(event));
}

#[test]
fn streams_of_the_system_are_told_by_their_beginning() {
    let consumer = "orders".parse::<ConsumerName>().unwrap();
    let mut streams = vec![archive::STREAM.to_owned(), store::STREAM.to_owned()];
    streams
        .extend([None, Some(WorkspaceId::derive("acme"))].map(|owner| consumers::stream(owner, &consumer)));
    streams.extend(PROJECTIONS.iter().map(|name| stream_of(name).to_owned()));
    for stream in streams {
        assert!(stream.starts_with(system::STREAM_PREFIX), "{stream}");
        assert_eq!(stream.split('-').next(), Some(system::CATEGORY), "{stream}");
    }
    for event_type in
        ControlEvent::TYPES.into_iter().chain([SEGMENTS_ARCHIVED, RESTORED, consumers::ACKNOWLEDGED])
    {
        assert_eq!(event_type.split('.').next(), Some(system::CATEGORY), "{event_type}");
    }
    assert_eq!(system::STREAM_PREFIX.strip_prefix(system::CATEGORY), Some("-"));
}

#[test]
fn a_stream_is_one_projections() {
    for name in PROJECTIONS {
        assert_eq!(projection_of(&stream_of(name)), Some(name));
    }
    assert_eq!(projection_of("sys-projection-other"), None);
    assert_eq!(projection_of("sys-schemas"), None);
}

#[test]
fn one_rebuild_at_a_time_and_each_has_one_end() {
    let mut state = ProjectionState::default();
    let cancel = |number| ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id: id(number) });
    let finish = |number| ControlEvent::RebuildFinished(finished(number));
    assert_eq!(state.admit(&cancel(1)), Err(Refused::NoRebuild));
    state.admit(&requested(1, true)).unwrap();
    state.apply(&requested(1, true), 10);
    assert_eq!(state.admit(&requested(2, false)), Err(Refused::RebuildUnderWay(id(1))));
    state.apply(&requested(2, false), 11);
    assert_eq!(
        state.rebuild.as_ref().map(|open| (open.id, open.shadow, open.position)),
        Some((id(1), true, 10))
    );
    assert_eq!(state.admit(&finish(2)), Err(Refused::AnotherRebuild(id(1))));
    state.apply(&finish(2), 12);
    assert!(state.rebuild.is_some(), "another one's end is none of its own");
    state.apply(&cancel(1), 13);
    assert!(state.rebuild.is_none());
    assert_eq!(state.admit(&finish(1)), Err(Refused::NoRebuild));
    state.apply(&requested(3, false), 14);
    state.apply(&finish(3), 15);
    assert!(state.rebuild.is_none());
    assert_eq!(
        state.finished.as_ref().map(|(position, finished)| (*position, finished.is_equal())),
        Some((15, Some(false)))
    );
}

#[test]
fn what_is_put_into_use_cannot_be_cancelled_any_more() {
    let mut state = ProjectionState::default();
    let cancel = |number| ControlEvent::RebuildCancelled(RebuildCancelled { rebuild_id: id(number) });
    assert_eq!(state.admit(&swap_begun(1)), Err(Refused::NoRebuild));
    state.apply(&requested(1, false), 10);
    assert_eq!(state.admit(&swap_begun(2)), Err(Refused::AnotherRebuild(id(1))));
    state.apply(&swap_begun(2), 11);
    state.admit(&cancel(1)).unwrap();
    state.admit(&swap_begun(1)).unwrap();
    assert!(state.changes(&swap_begun(1)));
    state.apply(&swap_begun(1), 12);
    assert!(state.is_swapping(id(1)) && !state.changes(&swap_begun(1)));
    assert_eq!(state.admit(&cancel(1)), Err(Refused::RebuildSwapping(id(1))));
    // A rebuild that is only compared, and one that fails, do not make what is in use another one.
    let swapped = RebuildFinished { outcome: RebuildOutcome::Swapped, ..finished(1) };
    state.apply(&ControlEvent::RebuildFinished(swapped), 13);
    assert_eq!((state.swapped, state.is_swapping(id(1))), (Some(id(1)), false));
    state.apply(&requested(2, true), 14);
    assert!(!state.is_swapping(id(2)));
    state.apply(&ControlEvent::RebuildFinished(finished(2)), 15);
    assert_eq!(state.swapped, Some(id(1)));
}

#[test]
fn dead_letters_are_counted_through_retries() {
    let mut state = ProjectionState::default();
    assert_eq!(state.admit(&retried(None)), Err(Refused::NoDeadLetters));
    for (position, at) in [(17, 20), (19, 21)] {
        assert!(state.changes(&added(position, 3)));
        state.apply(&added(position, 3), at);
        assert!(!state.changes(&added(position, 3)), "it need not be said twice");
    }
    state.apply(&added(17, 3), 22);
    assert_eq!(state.dead_letters[&17].attempts, 1, "said twice is not failed twice");
    assert_eq!(state.admit(&retried(Some(&[17, 18]))), Err(Refused::NoSuchDeadLetter(18)));
    state.apply(&retried(Some(&[17])), 23);
    assert_eq!(state.dead_letters.keys().copied().collect::<Vec<_>>(), [19]);
    state.apply(&added(17, 3), 24);
    assert_eq!((state.dead_letters[&17].attempts, state.dead_letters[&17].decided_at), (2, 24));
    state.apply(&retried(None), 25);
    assert!(state.dead_letters.is_empty());
    state.apply(&added(17, 3), 26);
    assert_eq!(state.dead_letters[&17].attempts, 3);
}

#[test]
fn there_is_a_bound_to_everything() {
    let mut state = ProjectionState::default();
    for position in 0..DEAD_LETTERS_MAX as u64 {
        state.apply(&added(position, 0), position);
    }
    assert_eq!(state.admit(&added(1 << 40, 0)), Err(Refused::TooManyDeadLetters));
    state.admit(&added(5, 0)).unwrap();
    let mut long = finished(1);
    long.differences = vec![long.differences[0].clone(); DIFFERENCES_MAX + 1];
    state.apply(&requested(1, false), 1 << 41);
    assert!(matches!(state.admit(&ControlEvent::RebuildFinished(long)), Err(Refused::Invalid { .. })));
    let many: Vec<u64> = (0..1_001).collect();
    assert!(matches!(state.admit(&retried(Some(&many))), Err(Refused::Invalid { .. })));
    assert!(matches!(state.admit(&retried(Some(&[]))), Err(Refused::Invalid { .. })));
    let reason = RebuildFinished::failed(id(1), 1, &"ö".repeat(1_000)).reason.unwrap();
    assert_eq!(reason.len(), 1_024);
}

#[test]
fn what_was_archived_is_written_and_read_as_it_once_was() {
    let segment = |segment| ArchivedSegment {
        segment,
        first: 0,
        next: 90_000,
        bytes: 134_000_000,
        sha256: "a1".repeat(32),
    };
    let event = SegmentsArchived { url: "file:///srv/archive".into(), segments: vec![segment(0)] };
    let path = folder().join(format!("{SEGMENTS_ARCHIVED}.v1.json"));
    let payload = serde_json::to_vec(&event).unwrap();
    if std::env::var("SUNDAY_GOLDEN").is_ok_and(|what| what == "write") && !path.exists() {
        fs::write(&path, &payload).unwrap();
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(payload, golden);
    assert_eq!(serde_json::from_slice::<SegmentsArchived>(&golden).unwrap(), event);
    let mut recorded = Recorded::default();
    recorded.apply(&event);
    assert!(recorded.holds(&segment(0)) && !recorded.holds(&segment(1)));
    assert!(!recorded.holds(&ArchivedSegment { sha256: "b2".repeat(32), ..segment(0) }), "another object");
}
