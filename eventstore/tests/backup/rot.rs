//! One wrong byte, in the log or in the backup: it is named, and nothing is filed or restored.

use crate::place::{Place, append, end, events, segment};
use crate::support::Random;
use eventstore::backup::{BackupError, RestoreOptions};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// A place in the frames or headers of a log: segment and offset.
fn somewhere(random: &mut Random, dir: &Path) -> (u32, u64) {
    let end = end(dir);
    let sequence = random.below(u64::from(end.segment()) + 1) as u32;
    let bytes = fs::read(segment(dir, sequence)).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    (sequence, random.below(used + 1))
}

#[test]
fn a_wrong_byte_in_the_log_is_named_and_not_filed() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 200);
    for round in 0..40 {
        let (sequence, offset) = somewhere(&mut random, &place.data());
        let path = segment(&place.data(), sequence);
        flip(&path, offset);
        let error = place.take().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("segment {sequence}")), "segment {sequence} offset {offset}: {text}");
        assert!(!place.backup().join("MANIFEST").exists(), "round {round}");
        flip(&path, offset);
    }
    // What stood there before stays, too.
    place.take().unwrap();
    let before = events(&place.data());
    let store = place.store();
    append(&store, &mut random, 60);
    store.close();
    let last = end(&place.data());
    let path = segment(&place.data(), last.segment());
    flip(&path, 4_096 + 70);
    assert!(matches!(place.take(), Err(BackupError::Unsound { .. } | BackupError::Open(_))));
    let (to, _) = place.restored();
    assert_eq!(events(&to), before);
    flip(&path, 4_096 + 70);
    place.take().unwrap();
    let (to, _) = place.restored();
    assert_eq!(events(&to), events(&place.data()));
}

#[test]
fn a_wrong_byte_in_the_backup_is_named_and_not_restored() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 200);
    place.sign();
    place.take().unwrap();
    for _ in 0..40 {
        let (sequence, offset) = somewhere(&mut random, &place.backup());
        let path = segment(&place.backup(), sequence);
        flip(&path, offset);
        let to = place.fresh();
        let error = place.restore_to(&to, RestoreOptions::default()).unwrap_err();
        let text = error.to_string();
        let named =
            text.contains(&format!("segment {sequence}")) || text.contains(&format!("{sequence:010}.seg"));
        assert!(named, "segment {sequence} offset {offset}: {text}");
        assert!(!to.join("log").exists());
        flip(&path, offset);
    }
    let journal = place.backup().join("tree/checkpoints/00000000.notes");
    for _ in 0..10 {
        let offset = random.below(fs::metadata(&journal).unwrap().len());
        flip(&journal, offset);
        let error = place.restore_to(&place.fresh(), RestoreOptions::default()).unwrap_err();
        assert!(matches!(&error, BackupError::Damaged { path, .. } if *path == journal), "{error}");
        flip(&journal, offset);
    }
    place.restored();
}

#[test]
fn rot_in_the_part_that_a_backup_goes_on_from_is_found_by_the_next_one() {
    let mut random = Random::seeded();
    let place = Place::filled(&mut random, 20);
    place.take().unwrap();
    let last = end(&place.data());
    let path = segment(&place.backup(), last.segment());
    let offset = random.below(last.offset());
    flip(&path, offset);
    let error = place.take().unwrap_err();
    assert!(
        matches!(&error, BackupError::Damaged { path: at, offset: found, .. } if *at == path && *found == offset),
        "{error}"
    );
    // As it says: without the file the segment is copied again.
    fs::remove_file(&path).unwrap();
    place.take().unwrap();
    let (to, _) = place.restored();
    assert_eq!(events(&to), events(&place.data()));
}

#[test]
fn a_manifest_that_was_changed_is_none() {
    let place = Place::filled(&mut Random::seeded(), 20);
    place.take().unwrap();
    let path = place.backup().join("MANIFEST");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("sunday-backup 1", "sunday-backup 9")).unwrap();
    let error = place.restore_to(&place.fresh(), RestoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("sunday-backup 9"), "{error}");
    fs::write(&path, &text[..text.len() - 30]).unwrap();
    assert!(matches!(place.take(), Err(BackupError::Manifest { .. })));
}
