//! What is sound at the beginning of a log that cannot be opened, as a backup.

use crate::place::{Place, assert_intact, end, events, segment};
use crate::support::{Random, small};
use eventstore::backup::{BackupOptions, backup_sound, sound_end};
use eventstore::storage::Environment;
use eventstore::{OpenError, Store};
use std::fs;

#[test]
fn all_before_the_damage_is_there_and_the_damage_is_named() {
    let mut random = Random::seeded();
    for round in 0..12 {
        let place = Place::filled(&mut random, 150);
        let before = events(&place.data());
        let signed = (round % 2 == 0).then(|| place.sign());
        let last = end(&place.data());
        let sequence = random.below(u64::from(last.segment()) + 1) as u32;
        let path = segment(&place.data(), sequence);
        let mut bytes = fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        let at = random.below(used) as usize;
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        if sequence == last.segment() {
            let opened = Store::open(&place.data(), &small());
            assert!(
                matches!(opened, Err(OpenError::Damaged { .. } | OpenError::BadSegment { .. })),
                "{opened:?}"
            );
        }
        let environment = Environment::default();
        let Ok((next, damage)) = sound_end(&environment, &place.data()) else {
            assert_eq!((sequence, at < 4096), (0, true), "only without its first header is there nothing");
            continue;
        };
        let damage = damage.unwrap();
        assert_eq!(damage.position, next);
        assert!(damage.segment == sequence, "segment {sequence} byte {at}: {damage}");
        assert!(damage.offset <= at as u64, "byte {at}: {damage}");
        let options = BackupOptions::default();
        let taken = backup_sound(&environment, &place.data(), &place.backup(), options, &mut |_| {});
        let (taken, told) = taken.unwrap();
        assert_eq!((taken.next, told), (next, Some(damage)));
        let (to, restored) = place.restored();
        assert_intact(&to);
        let kept = next.get() as usize;
        assert_eq!(events(&to)[..kept], before[..kept]);
        // What was signed and is lost cannot be of this store any more.
        assert_eq!(restored.parent.is_some(), signed.is_some_and(|signed| signed > next.get()));
        assert!(Store::open(&to, &small()).is_ok());
    }
}

#[test]
fn a_sound_log_is_sound_to_its_end() {
    let place = Place::filled(&mut Random::seeded(), 100);
    let (next, damage) = sound_end(&Environment::default(), &place.data()).unwrap();
    assert_eq!((next.get(), damage), (events(&place.data()).len() as u64, None));
}
