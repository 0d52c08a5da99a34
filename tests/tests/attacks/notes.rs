//! Checkpoints as a forger makes them: the Merkle tree of RFC 6962, C2SP's notes, and the journal that keeps them.

use crate::forge::Log;
use crate::hash::{crc, sha256};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::Path;

/// A key of notes.
pub(crate) struct Key {
    pub(crate) name: String,
    pair: Ed25519KeyPair,
}

impl Key {
    /// Of these secret bytes.
    pub(crate) fn of(name: &str, seed: &[u8]) -> Self {
        Self { name: name.to_owned(), pair: Ed25519KeyPair::from_seed_unchecked(seed).unwrap() }
    }

    /// The log's own, stolen from its directory.
    pub(crate) fn stolen(data: &Path) -> Self {
        let text = fs::read_to_string(data.join("keys/audit.key")).unwrap();
        let mut parts = text.trim().strip_prefix("PRIVATE+KEY+").unwrap().splitn(3, '+');
        let (name, _, material) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        Self::of(name, &STANDARD.decode(material).unwrap()[1..])
    }

    fn material(&self, kind: u8) -> Vec<u8> {
        let mut material = vec![kind];
        material.extend_from_slice(self.pair.public_key().as_ref());
        material
    }

    fn id(&self, kind: u8) -> [u8; 4] {
        let mut text = format!("{}\n", self.name).into_bytes();
        text.extend_from_slice(&self.material(kind));
        sha256(&text)[..4].try_into().unwrap()
    }

    /// `name+id+key`; kind 1 signs notes, kind 4 cosigns.
    pub(crate) fn verifier(&self, kind: u8) -> String {
        let id = u32::from_be_bytes(self.id(kind));
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(self.material(kind)))
    }

    /// The line of a signature.
    fn line(&self, text: &str) -> String {
        let mut signature = self.id(1).to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(signature))
    }

    /// The line of a cosignature.
    fn cosignature(&self, text: &str) -> String {
        let at: u64 = 1_800_000_000;
        let message = format!("cosignature/v1\ntime {at}\n{text}");
        let mut signature = self.id(4).to_vec();
        signature.extend_from_slice(&at.to_be_bytes());
        signature.extend_from_slice(self.pair.sign(message.as_bytes()).as_ref());
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(signature))
    }
}

/// The root over the first events of a log.
pub(crate) fn root(log: &Log, size: usize) -> [u8; 32] {
    let mut versions = std::collections::HashMap::new();
    let mut leaves = Vec::new();
    for commit in &log.commits {
        for event in &commit.events {
            let version: &mut u64 = versions.entry(event.stream.clone()).or_default();
            let mut leaf = vec![0, 1];
            leaf.extend_from_slice(&(leaves.len() as u64).to_le_bytes());
            leaf.extend_from_slice(&commit.recorded_at.to_le_bytes());
            leaf.extend_from_slice(&sha256(event.stream.as_bytes()));
            leaf.extend_from_slice(&version.to_le_bytes());
            leaf.extend_from_slice(&event.digest());
            leaves.push(sha256(&leaf));
            *version += 1;
        }
    }
    above(&leaves[..size])
}

fn above(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let mut node = vec![1];
            node.extend_from_slice(&above(left));
            node.extend_from_slice(&above(right));
            sha256(&node)
        }
    }
}

/// A checkpoint of the first events of a log.
pub(crate) fn checkpoint(log: &Log, size: usize, key: &Key) -> String {
    let text = format!("{}\n{size}\n{}\n", key.name, STANDARD.encode(root(log, size)));
    format!("{text}\n{}", key.line(&text))
}

/// The same with a witness's cosignature.
pub(crate) fn cosigned(note: &str, witness: &Key) -> String {
    let text = &note[..=note.rfind("\n\n").unwrap()];
    format!("{note}{}", witness.cosignature(text))
}

/// A record of the journal.
pub(crate) fn record(note: &str, store: [u8; 16], chain: [u8; 32]) -> String {
    let made_at: i64 = 1_800_000_000_000_000_000;
    let sum = crc(&[&made_at.to_le_bytes(), &store, &chain, note.as_bytes()]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let uuid = hex(&store);
    let uuid = [&uuid[..8], &uuid[8..12], &uuid[12..16], &uuid[16..20], &uuid[20..]].join("-");
    format!("checkpoint {made_at} {} {sum:08x} {uuid} {}\n{note}\n", note.len(), hex(&chain))
}

/// The records of a journal's text.
pub(crate) fn records(journal: &str) -> Vec<String> {
    let mut records = Vec::new();
    let mut rest = journal;
    while let Some(end) = rest[1.min(rest.len())..].find("\ncheckpoint ") {
        let (record, after) = rest.split_at(end + 2);
        records.push(record.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        records.push(rest.to_owned());
    }
    records
}

/// The size that a record's checkpoint is of.
pub(crate) fn size_of(record: &str) -> usize {
    record.lines().nth(2).unwrap().parse().unwrap()
}
