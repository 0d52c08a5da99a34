//! What was signed of a store is kept by whatever has its name; a restore below that is a new store.

use crate::place::{Place, append, assert_intact, events, key, to_position};
use crate::support::{Random, command, event, open};
use eventstore::backup::{BackupError, BackupOptions, RestoreOptions};
use eventstore::storage::Environment;
use eventstore::transparency::journal;
use eventstore::{AppendError, CommitBuilder, Log, Outcome, Position};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A history of which a checkpoint in the middle was signed.
fn signed(random: &mut Random) -> (Place, u64) {
    let place = Place::filled(random, 60);
    let size = place.sign();
    let store = place.store();
    append(&store, random, 60);
    store.close();
    (place, size)
}

#[test]
fn at_or_above_the_newest_checkpoint_it_is_the_same_store() {
    let mut random = Random::seeded();
    let (place, size) = signed(&mut random);
    let taken = place.take().unwrap();
    assert_eq!(taken.checkpoint.map(eventstore::TreeSize::get), Some(size));
    let to = place.fresh();
    let restored = place.restore_to(&to, to_position(size)).unwrap();
    assert_eq!((restored.store, restored.parent, restored.next.get()), (taken.store, None, size));
    let storage = Environment::default().storage;
    let newest = journal::newest(&*storage, &to).unwrap().unwrap();
    assert_eq!(newest.lineage.next.get(), size);
    // A writer holds the log against its journal, and opens.
    open(&to).close();
}

#[test]
fn below_it_is_a_new_store_with_the_same_events_and_a_parent() {
    let mut random = Random::seeded();
    let (place, size) = signed(&mut random);
    let taken = place.take().unwrap();
    let to = place.fresh();
    let restored = place.restore_to(&to, to_position(size - 1)).unwrap();
    let kept = restored.restored_to.get();
    assert!(kept < size);
    assert_eq!(restored.parent, Some(taken.store));
    assert_ne!(restored.store, taken.store);
    assert_eq!(Log::open_offline(&to).unwrap().store_id(), restored.store);
    let (now, before) = (events(&to), events(&place.data()));
    // Ids, positions, versions, times, tags and payloads are those of the parent.
    assert_eq!(now[..kept as usize], before[..kept as usize]);
    let first_own = &now[kept as usize];
    assert_eq!((now.len() as u64, first_own.1.as_str()), (kept + 1, "sys-store"));
    assert_eq!(first_own.5, format!("{} {kept}", taken.store).into_bytes());
    assert_intact(&to);
    // What was signed of the parent is kept, as the parent's.
    assert!(!to.join(journal::JOURNAL_DIR).exists());
    let kept_journal = to.join(format!("tree/ancestors/{}/checkpoints/00000000.notes", taken.store));
    assert_eq!(
        fs::read(kept_journal).unwrap(),
        fs::read(place.data().join("tree/checkpoints/00000000.notes")).unwrap()
    );
    // It goes on, and can be backed up and restored like any other.
    let store = open(&to);
    append(&store, &mut random, 60);
    store.close();
    let again = Place::new();
    fs::rename(&to, again.data()).unwrap();
    again.take().unwrap();
    let (back, _) = again.restored();
    assert_eq!(events(&back), events(&again.data()));
    assert!(back.join("tree/ancestors").join(taken.store.to_string()).exists());
}

#[test]
fn a_command_that_was_carried_out_stays_carried_out_in_the_new_store() {
    let place = Place::new();
    let store = place.store();
    let commit = |content: &str| {
        let mut commit = CommitBuilder::new();
        commit.event(event("thing-1", "{}")).command(command("name", content, Outcome::Applied));
        commit.prepare().unwrap()
    };
    let first = store.append(commit("content")).unwrap();
    store.close();
    place.take().unwrap();
    let to = place.fresh();
    let options = RestoreOptions { as_new_store: true, ..RestoreOptions::default() };
    let restored = place.restore_to(&to, options).unwrap();
    assert!(restored.parent.is_some() && restored.left_out == 0);
    let store = open(&to);
    let again = store.append(commit("content")).unwrap();
    assert_eq!((again.first, again.next), (first.first, first.next));
    assert!(matches!(store.append(commit("other")), Err(AppendError::CommandReused { .. })));
    assert_eq!(store.watermark(), Position::new(2));
}

#[test]
fn a_log_that_contradicts_what_was_signed_is_not_filed() {
    let mut random = Random::seeded();
    let (place, size) = signed(&mut random);
    // The journal of another log of the same store would do: here the log has gone back to before.
    let other = Place::filled(&mut random, 60);
    let journal = place.data().join("tree/checkpoints/00000000.notes");
    let text = fs::read_to_string(&journal).unwrap();
    place.take().unwrap();
    let storage = Environment::default().storage;
    let mut entry = journal::newest(&*storage, &place.data()).unwrap().unwrap();
    entry.lineage = Log::open_offline(&other.data()).unwrap().lineage();
    entry.lineage.chain.0[0] ^= 1;
    let size_of_other = entry.lineage.next.get();
    entry.note = eventstore::transparency::Checkpoint::signed(
        eventstore::transparency::TreeHead {
            size: eventstore::TreeSize::new(size_of_other),
            root: eventstore::transparency::EMPTY_ROOT,
        },
        &key(),
    )
    .unwrap();
    journal::Journal::open(&storage, &other.data()).unwrap().0.append(&entry).unwrap();
    let error = other.take().unwrap_err();
    assert!(matches!(&error, BackupError::Checkpoint { size, .. } if size.get() == size_of_other), "{error}");
    // A journal that does not go on from what was filed is another one.
    fs::write(&journal, text.replacen("checkpoint", "Checkpoint", 1)).unwrap();
    assert!(place.take().is_err());
    assert!(size > 0);
}

#[test]
fn the_secret_key_goes_along_only_when_somebody_says_so() {
    let mut random = Random::seeded();
    let (place, _) = signed(&mut random);
    let keys = place.data().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("audit.key"), "secret").unwrap();
    fs::write(keys.join("audit.pub"), "public").unwrap();
    fs::write(keys.join("development.token"), "token").unwrap();
    assert!(!place.take().unwrap().has_secret_key);
    let (to, restored) = place.restored();
    assert!(!restored.has_secret_key && !to.join("keys/audit.key").exists());
    assert_eq!(fs::read_to_string(to.join("keys/audit.pub")).unwrap(), "public");
    assert!(!to.join("keys/development.token").exists());
    let with = BackupOptions { with_keys: true, ..BackupOptions::default() };
    fs::write(keys.join("audit.pub"), "rotated").unwrap();
    assert!(place.take_with(with).unwrap().has_secret_key);
    let (to, restored) = place.restored();
    assert!(restored.has_secret_key);
    assert_eq!(fs::read_to_string(to.join("keys/audit.pub")).unwrap(), "rotated");
    let secret = to.join("keys/audit.key");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    // A new store does not sign with its parent's key.
    let to = place.fresh();
    let options = RestoreOptions { as_new_store: true, ..RestoreOptions::default() };
    assert!(!place.restore_to(&to, options).unwrap().has_secret_key);
    assert!(!to.join("keys").exists());
    // Taken without it again, it is gone.
    place.take().unwrap();
    let left = fs::read_dir(place.backup().join("keys")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.len() == 2 && left.iter().all(|name| name.starts_with("audit.pub")), "{left:?}");
}
