//! Restoring to a position and to a time: whole commits, and nothing after.

use crate::place::{Place, boundaries, events, to_position};
use crate::support::Random;
use eventstore::Timestamp;
use eventstore::backup::{BackupError, RestoreOptions, Target};
use std::fs;

#[test]
fn any_position_is_restored_to_the_commit_that_ends_at_or_before_it() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 120);
    place.take().unwrap();
    let (all, ends) = (events(&place.data()), boundaries(&place.data()));
    let positions: Vec<u64> =
        (0..20).map(|_| random.below(all.len() as u64 + 1)).chain([0, all.len() as u64]).collect();
    for position in positions {
        let to = place.fresh();
        let restored = place.restore_to(&to, to_position(position)).unwrap();
        let expected = *ends.iter().rev().find(|end| **end <= position).unwrap();
        assert_eq!(restored.restored_to.get(), expected, "to {position}");
        assert_eq!(restored.left_out, all.len() as u64 - expected);
        assert_eq!(events(&to), all[..expected as usize]);
        // Nothing was signed: the same store, as an older backup of it would be.
        assert_eq!(restored.parent, None);
        fs::remove_dir_all(to).unwrap();
    }
    let error = place.restore_to(&place.fresh(), to_position(all.len() as u64 + 1)).unwrap_err();
    assert!(matches!(error, BackupError::BeyondEnd { .. }), "{error}");
}

#[test]
fn any_time_is_restored_to_what_was_recorded_until_then() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 120);
    place.take().unwrap();
    let all = events(&place.data());
    let until = |time: i64| RestoreOptions {
        target: Target::Time(Timestamp::new(time)),
        ..RestoreOptions::default()
    };
    for _ in 0..20 {
        let at = all[random.below(all.len() as u64) as usize].3;
        for time in [at - 1, at, at + 1] {
            let expected: Vec<_> = all.iter().filter(|event| event.3 <= time).cloned().collect();
            let to = place.fresh();
            let restored = place.restore_to(&to, until(time));
            if expected.is_empty() {
                assert!(matches!(restored, Err(BackupError::BeforeBeginning { .. })), "{restored:?}");
                let _ = fs::remove_dir_all(to);
                continue;
            }
            restored.unwrap();
            assert_eq!(events(&to), expected);
            fs::remove_dir_all(to).unwrap();
        }
    }
}
