//! A crash loses nothing that was signed: what is derived is made again, and comes to the same.

use crate::site::{append, check_all, entries, open, signed, start};
use eventstore::Durability;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Does something to a data directory.
type Damage = fn(&Path);

fn generation(dir: &Path) -> PathBuf {
    let tree = dir.join("tree");
    tree.join(fs::read_to_string(tree.join("CURRENT")).unwrap().trim())
}

fn cut(path: &Path, by: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().saturating_sub(by)).unwrap();
}

#[test]
fn whatever_a_crash_leaves_of_the_tree_it_grows_into_the_same_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let mut size = 0;
    let damages: [(&str, Damage); 9] = [
        ("nothing", |_| {}),
        ("garbage behind the hashes", |dir| {
            let path = generation(dir).join("0.hashes");
            OpenOptions::new().append(true).open(path).unwrap().write_all(&[7; 1_000]).unwrap();
        }),
        ("garbage behind the leaves", |dir| {
            let path = generation(dir).join("entries");
            OpenOptions::new().append(true).open(path).unwrap().write_all(&[7; 100]).unwrap();
        }),
        ("hashes cut off", |dir| cut(&generation(dir).join("0.hashes"), 33)),
        ("upper hashes cut off", |dir| cut(&generation(dir).join("1.hashes"), 1)),
        ("leaves cut off", |dir| cut(&generation(dir).join("entries"), 1)),
        ("a hash changed", |dir| {
            let path = generation(dir).join("0.hashes");
            let mut bytes = fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("the generation gone", |dir| fs::remove_dir_all(generation(dir)).unwrap()),
        ("half a generation and a published file of long ago", |dir| {
            fs::create_dir(dir.join("tree/00000099")).unwrap();
            fs::remove_file(dir.join("tree/checkpoint")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        println!("{what}");
        let before = entries(dir.path()).len();
        let projector = start(dir.path(), &store);
        append(&store, 300);
        size += 300;
        signed(&projector, size);
        drop(projector);
        check_all(dir.path(), &store);
        assert!(entries(dir.path()).len() > before);
        damage(dir.path());
    }
    let projector = start(dir.path(), &store);
    append(&store, 1);
    signed(&projector, size + 1);
    check_all(dir.path(), &store);
}

#[test]
fn a_torn_entry_of_the_journal_was_never_shown_and_is_signed_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Fsync);
    let projector = start(dir.path(), &store);
    append(&store, 5);
    signed(&projector, 5);
    drop(projector);
    let path = dir.path().join("tree/checkpoints/00000000.notes");
    let whole = fs::read(&path).unwrap();
    // The next record, as far as the crash let it.
    let mut torn = whole.clone();
    torn.extend_from_slice(&whole[..whole.len().min(200)]);
    fs::write(&path, torn).unwrap();
    append(&store, 5);
    let projector = start(dir.path(), &store);
    signed(&projector, 10);
    check_all(dir.path(), &store);
}
