//! What a log does when the world around it fails: full, failing and read-only disks, foreign, missing and half-made
//! files, a second writer, no permission. The disks are real ones (ext4 on a loop device); see `child` for where they cannot
//! be had.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

#[path = "../support/mod.rs"]
mod support;

mod child;
mod disk;
mod eviction;
mod full;
mod processes;
mod segments;
mod unreadable;

use eventstore::{AppendError, ExpectedVersion, Log, Position, Store, verify};
use std::path::{Path, PathBuf};
use support::{one, open};

const MIB: u64 = 1 << 20;

fn segment(dir: &Path, sequence: u32) -> PathBuf {
    dir.join("log").join(format!("{sequence:010}.seg"))
}

fn is_used(dir: &Path, sequence: u32) -> bool {
    std::fs::read(segment(dir, sequence)).is_ok_and(|bytes| bytes[..8] != [0; 8])
}

fn payload(number: u32) -> String {
    format!("{{\"n\":{number},\"text\":\"{}\"}}", "x".repeat(900))
}

fn append(store: &Store, number: u32) -> Result<(), AppendError> {
    store.append(one(&format!("s-{}", number % 7), ExpectedVersion::Any, &payload(number))).map(|_| ())
}

/// A closed store with events 0 to `count`.
fn fill(dir: &Path, count: u32) {
    let store = open(dir);
    (0..count).for_each(|number| append(&store, number).unwrap());
    store.close();
}

fn payloads(log: &Log) -> Vec<String> {
    let mut payloads = Vec::new();
    for commit in log.commits(Position::ZERO) {
        let commit = commit.unwrap();
        payloads.extend(commit.events().map(|event| String::from_utf8_lossy(event.payload()).into_owned()));
    }
    payloads
}

fn expect_payloads(log: &Log, count: u32) {
    let (found, expected): (Vec<_>, Vec<_>) = (payloads(log), (0..count).map(payload).collect());
    // Compared without printing them: they are long.
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "the payloads differ");
}

fn expect_intact(dir: &Path) {
    let report = verify(dir, &mut |_| {}).unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
}
