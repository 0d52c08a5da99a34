//! The journal of checkpoints: nothing that was signed is forgotten, and only what a crash tore is cut off.

use crate::support::Random;
use eventstore::storage::Environment;
use eventstore::transparency::journal::{self, Entry, JOURNAL_DIR, Journal, JournalError};
use eventstore::transparency::{Checkpoint, EMPTY_ROOT, KeyName, SignatureKind, SigningKey, TreeHead};
use eventstore::{Digest, Lineage, Position, Timestamp, TreeSize};
use std::fs;
use uuid::Uuid;

fn entry(key: &SigningKey, size: u64) -> Entry {
    let head = TreeHead { size: TreeSize::new(size), root: EMPTY_ROOT };
    let note = Checkpoint::signed(head, key).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    let lineage =
        Lineage { store: Uuid::from_u128(7), next: Position::new(size), chain: Digest([size as u8; 32]) };
    Entry { made_at: Timestamp::new(1_000 + i64::try_from(size).unwrap()), lineage, note, checkpoint }
}

fn key() -> SigningKey {
    SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap()
}

#[test]
fn what_was_appended_is_there_after_every_kind_of_torn_end() {
    let key = key();
    let storage = Environment::default().storage;
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(journal::newest(&*storage, dir.path()).unwrap(), None);
    let (mut journal, newest) = Journal::open(&storage, dir.path()).unwrap();
    assert_eq!(newest, None);
    let entries: Vec<_> = (0..5).map(|size| entry(&key, size)).collect();
    let path = dir.path().join(JOURNAL_DIR).join("00000000.notes");
    let mut ends = Vec::new();
    for entry in &entries {
        journal.append(entry).unwrap();
        ends.push(fs::metadata(&path).unwrap().len() as usize);
        assert_eq!(journal::newest(&*storage, dir.path()).unwrap().as_ref(), Some(entry));
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        for zeros in [0, 40] {
            let mut torn = whole[..len].to_vec();
            torn.extend(std::iter::repeat_n(0, zeros));
            fs::write(&path, &torn).unwrap();
            let count = ends.iter().filter(|end| **end <= len).count();
            let expected = entries[..count].last();
            assert_eq!(journal::newest(&*storage, dir.path()).unwrap().as_ref(), expected);
            if len % 37 == 0 {
                let (mut journal, newest) = Journal::open(&storage, dir.path()).unwrap();
                assert_eq!(newest.as_ref(), expected);
                journal.append(&entries[4]).unwrap();
                let mut all = Vec::new();
                journal::entries(&*storage, dir.path(), |entry| all.push(entry)).unwrap();
                assert_eq!(all.len(), count + 1);
            }
        }
    }
}

#[test]
fn damage_before_the_end_is_damage() {
    let mut random = Random::seeded();
    let key = key();
    let storage = Environment::default().storage;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&storage, dir.path()).unwrap();
    (0..4).for_each(|size| journal.append(&entry(&key, size)).unwrap());
    let path = dir.path().join(JOURNAL_DIR).join("00000000.notes");
    let whole = fs::read(&path).unwrap();
    for _ in 0..300 {
        let mut rotten = whole.clone();
        let at = random.below(whole.len() as u64 * 3 / 4 - 10) as usize;
        rotten[at] ^= 1 << random.below(8);
        fs::write(&path, &rotten).unwrap();
        let found = journal::newest(&*storage, dir.path());
        assert!(matches!(found, Err(JournalError::Damaged { .. })), "byte {at}: {found:?}");
        assert!(Journal::open(&storage, dir.path()).is_err());
        assert_eq!(fs::read(&path).unwrap(), rotten, "damage is left as it is");
    }
}

#[test]
fn a_long_journal_goes_on_in_the_next_file() {
    let key = key();
    let storage = Environment::default().storage;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&storage, dir.path()).unwrap();
    journal.append(&entry(&key, 1)).unwrap();
    drop(journal);
    let path = dir.path().join(JOURNAL_DIR).join("00000000.notes");
    let record = fs::read(&path).unwrap();
    fs::write(&path, record.repeat((16 << 20) / record.len() + 1)).unwrap();
    let (mut journal, newest) = Journal::open(&storage, dir.path()).unwrap();
    assert_eq!(newest, Some(entry(&key, 1)));
    journal.append(&entry(&key, 2)).unwrap();
    assert!(dir.path().join(JOURNAL_DIR).join("00000001.notes").exists());
    assert_eq!(journal::newest(&*storage, dir.path()).unwrap(), Some(entry(&key, 2)));
    // Begun and nothing written yet: the newest is in the file before.
    fs::write(dir.path().join(JOURNAL_DIR).join("00000001.notes"), b"").unwrap();
    assert_eq!(journal::newest(&*storage, dir.path()).unwrap(), Some(entry(&key, 1)));
}
