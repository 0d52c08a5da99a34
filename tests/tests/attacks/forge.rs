//! A forger's tools: a log taken apart and put together again with every checksum, digest and the whole chain made right.
//!
//! Written after `eventstore/FORMAT.md` alone; nothing here links the code under test.

use crate::hash::{crc, sha256};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: usize = 4_096;
const FRAME: usize = 96;
const COMMIT: u8 = 1;
const MARK: u8 = 2;
const SEAL: u8 = 3;
/// What the last segment has room for, bytes.
const ROOM: usize = 4 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: [u8; 16],
    pub(crate) stream: String,
    pub(crate) event_type: String,
    pub(crate) content: u8,
    pub(crate) schema: u16,
    pub(crate) key: u32,
    pub(crate) tags: Vec<String>,
    pub(crate) presence: u8,
    pub(crate) metadata: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// 41 bytes of a command table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) id: [u8; 16],
    pub(crate) fingerprint: [u8; 16],
    pub(crate) outcome: u8,
    pub(crate) first: u32,
    pub(crate) events: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) recorded_at: i64,
    pub(crate) epoch: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) commands: Vec<Command>,
}

/// All of a log that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) store: [u8; 16],
    pub(crate) commits: Vec<Commit>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn id_at(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes[at..at + 16].try_into().unwrap()
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Texts with a byte of length each.
fn texts(mut bytes: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((len, rest)) = bytes.split_first() {
        let (text, rest) = rest.split_at(usize::from(*len));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        bytes = rest;
    }
    texts
}

fn short(text: &str, out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

/// The segment files of a data directory, in order.
pub(crate) fn segments(data: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(data.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

impl Event {
    /// As FORMAT.md, Digests.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut text = self.id.to_vec();
        text.push(self.content);
        text.extend_from_slice(&self.schema.to_le_bytes());
        text.extend_from_slice(&self.key.to_le_bytes());
        short(&self.stream, &mut text);
        short(&self.event_type, &mut text);
        text.push(u8::try_from(self.tags.len()).unwrap());
        self.tags.iter().for_each(|tag| short(tag, &mut text));
        let mut metadata = vec![self.presence];
        metadata.extend_from_slice(&self.metadata);
        text.extend_from_slice(&sha256(&metadata));
        text.extend_from_slice(&sha256(&self.payload));
        sha256(&text)
    }
}

impl Log {
    /// Takes the log of a data directory apart.
    pub(crate) fn read(data: &Path) -> Self {
        let mut log = Self { store: [0; 16], commits: Vec::new() };
        for path in segments(data) {
            let bytes = fs::read(path).unwrap();
            if bytes[..8] != *b"SUNDAYLG" {
                continue;
            }
            log.store = id_at(&bytes, 16);
            let mut at = HEADER;
            while bytes.get(at..at + 4) == Some(b"SFRM") {
                let (streams, len) = (usize::from(u16_at(&bytes, at + 18)), u32_at(&bytes, at + 12) as usize);
                let body = at + FRAME + 8 * streams;
                if bytes[at + 16] == COMMIT {
                    log.commits.push(commit(&bytes[at..], &bytes[body..body + len]));
                }
                at = (body + len).next_multiple_of(8);
            }
        }
        log
    }

    pub(crate) fn events(&self) -> usize {
        self.commits.iter().map(|commit| commit.events.len()).sum()
    }

    /// Number of the commit, and of the event in it, of the first event that is wanted.
    pub(crate) fn find(&self, wanted: impl Fn(&Event) -> bool) -> (usize, usize) {
        let mut places = self.commits.iter().enumerate().flat_map(|(at, commit)| {
            commit.events.iter().enumerate().map(move |(number, event)| ((at, number), event))
        });
        places.find(|(_, event)| wanted(event)).unwrap().0
    }

    /// Writes the log into a data directory, in so many segments, in place of the one that is there; and removes what is derived, as
    /// a careful forger does. Answers with the chain head at its end.
    pub(crate) fn write(&self, data: &Path, segments: usize) -> [u8; 32] {
        let chain = self.write_log(data, segments);
        for derived in ["control", "index", "snapshots", "images", "search"] {
            let _ = fs::remove_dir_all(data.join(derived));
        }
        chain
    }

    fn write_log(&self, data: &Path, count: usize) -> [u8; 32] {
        segments(data).iter().for_each(|path| fs::remove_file(path).unwrap());
        let share = self.commits.len().div_ceil(count).max(1);
        let mut writer = Writer { store: self.store, ..Writer::default() };
        let chunks: Vec<_> = self.commits.chunks(share).collect();
        for (number, commits) in chunks.iter().enumerate() {
            writer.begin(u32::try_from(number).unwrap(), commits[0].epoch);
            commits.iter().for_each(|commit| writer.commit(commit));
            let last = &commits[commits.len() - 1];
            let is_last = number + 1 == chunks.len();
            writer.frame(if is_last { MARK } else { SEAL }, last, &[], 0, &[], writer.chain);
            writer.end(data, number, if is_last { ROOM } else { 1 });
        }
        writer.chain
    }
}

fn commit(frame: &[u8], body: &[u8]) -> Commit {
    let (names, commands) = (u32_at(body, 0) as usize, u32_at(body, 4) as usize);
    let names = (8, 8 + names);
    let streams = texts(&body[names.0..names.1]);
    let table = &body[names.1..names.1 + commands];
    let commands = table.get(8..).unwrap_or_default().chunks_exact(41).map(|entry| Command {
        id: id_at(entry, 0),
        fingerprint: id_at(entry, 16),
        outcome: entry[32],
        first: u32_at(entry, 33),
        events: u32_at(entry, 37),
    });
    let mut events = Vec::new();
    let mut at = names.1 + table.len();
    while at < body.len() {
        let record = &body[at..at + u32_at(body, at) as usize];
        let (type_end, metadata_len) = (48 + usize::from(record[33]), u32_at(record, 44) as usize);
        let tags_end = type_end + u32_at(record, 40) as usize;
        events.push(Event {
            id: id_at(record, 8),
            stream: streams[usize::from(u16_at(record, 24))].clone(),
            event_type: String::from_utf8(record[48..type_end].to_vec()).unwrap(),
            content: record[32],
            schema: u16_at(record, 26),
            key: u32_at(record, 36),
            tags: texts(&record[type_end..tags_end]),
            presence: record[35],
            metadata: record[tags_end..tags_end + metadata_len].to_vec(),
            payload: record[tags_end + metadata_len..].to_vec(),
        });
        at += record.len();
    }
    let epoch = u32_at(frame, 24);
    Commit { recorded_at: i64_at(frame, 40), epoch, events, commands: commands.collect() }
}

/// Puts segments together.
#[derive(Default)]
struct Writer {
    store: [u8; 16],
    bytes: Vec<u8>,
    segment: u32,
    salt: [u8; 16],
    next: u64,
    chain: [u8; 32],
    versions: HashMap<String, u64>,
    /// What the next header says: valid length, chain, segment digest.
    previous: (u64, [u8; 32], [u8; 32]),
    /// What the segment digest is made of.
    covered: Vec<u8>,
}

impl Writer {
    fn begin(&mut self, number: u32, epoch: u32) {
        self.segment = number;
        self.salt = sha256(&number.to_le_bytes())[..16].try_into().unwrap();
        let mut header = vec![0; HEADER];
        put(&mut header, 0, b"SUNDAYLG");
        put(&mut header, 8, &2_u32.to_le_bytes());
        put(&mut header, 12, &2_u32.to_le_bytes());
        put(&mut header, 16, &self.store);
        put(&mut header, 32, &u64::from(number).to_le_bytes());
        put(&mut header, 40, &self.next.to_le_bytes());
        put(&mut header, 48, &self.salt);
        put(&mut header, 64, &epoch.to_le_bytes());
        header[68] = 1;
        if number > 0 {
            let (valid_len, chain, digest) = self.previous;
            header[69] = 1;
            put(&mut header, 72, &valid_len.to_le_bytes());
            put(&mut header, 88, &chain);
            put(&mut header, 120, &digest);
            put(&mut header, 184, &place(number - 1, valid_len).to_le_bytes());
        }
        self.bytes = header;
        self.covered.clear();
    }

    fn commit(&mut self, commit: &Commit) {
        let mut streams: Vec<&str> = Vec::new();
        for event in &commit.events {
            if !streams.contains(&&*event.stream) {
                streams.push(&event.stream);
            }
        }
        let bases: Vec<u64> =
            streams.iter().map(|stream| self.versions.get(*stream).copied().unwrap_or(0)).collect();
        let mut table = Vec::new();
        if !commit.commands.is_empty() {
            table.extend_from_slice(&(commit.commands.len() as u64).to_le_bytes());
            for command in &commit.commands {
                table.extend_from_slice(&command.id);
                table.extend_from_slice(&command.fingerprint);
                table.push(command.outcome);
                table.extend_from_slice(&command.first.to_le_bytes());
                table.extend_from_slice(&command.events.to_le_bytes());
            }
        }
        let mut names = Vec::new();
        streams.iter().for_each(|stream| short(stream, &mut names));
        let mut body = Vec::new();
        body.extend_from_slice(&u32::try_from(names.len()).unwrap().to_le_bytes());
        body.extend_from_slice(&u32::try_from(table.len()).unwrap().to_le_bytes());
        body.extend_from_slice(&names);
        body.extend_from_slice(&table);
        let mut ordinals = vec![0_u32; streams.len()];
        let count = u32::try_from(commit.events.len()).unwrap();
        let mut digests = count.to_le_bytes().to_vec();
        for event in &commit.events {
            let index = streams.iter().position(|stream| *stream == event.stream).unwrap();
            record(event, index, ordinals[index], &mut body);
            ordinals[index] += 1;
            digests.extend_from_slice(&event.digest());
        }
        digests.extend_from_slice(&u32::try_from(table.len()).unwrap().to_le_bytes());
        digests.extend_from_slice(&table);
        let mut link = self.chain.to_vec();
        link.extend_from_slice(&self.store);
        link.extend_from_slice(&self.next.to_le_bytes());
        link.extend_from_slice(&count.to_le_bytes());
        link.extend_from_slice(&commit.recorded_at.to_le_bytes());
        link.extend_from_slice(&u16::try_from(streams.len()).unwrap().to_le_bytes());
        bases.iter().for_each(|base| link.extend_from_slice(&base.to_le_bytes()));
        link.extend_from_slice(&sha256(&digests));
        let chain = sha256(&link);
        for (stream, events) in streams.iter().zip(&ordinals) {
            *self.versions.entry((*stream).to_owned()).or_default() += u64::from(*events);
        }
        self.frame(COMMIT, commit, &bases, count, &body, chain);
        self.chain = chain;
        self.next += u64::from(count);
    }

    fn frame(&mut self, kind: u8, like: &Commit, bases: &[u64], events: u32, body: &[u8], chain: [u8; 32]) {
        let offset = self.bytes.len() as u64;
        let mut header = vec![0; FRAME];
        put(&mut header, 0, b"SFRM");
        put(&mut header, 8, &crc(&[body]).to_le_bytes());
        put(&mut header, 12, &u32::try_from(body.len()).unwrap().to_le_bytes());
        header[16] = kind;
        put(&mut header, 18, &u16::try_from(bases.len()).unwrap().to_le_bytes());
        put(&mut header, 20, &events.to_le_bytes());
        put(&mut header, 24, &like.epoch.to_le_bytes());
        put(&mut header, 32, &self.next.to_le_bytes());
        put(&mut header, 40, &like.recorded_at.to_le_bytes());
        put(&mut header, 48, &self.next.to_le_bytes());
        put(&mut header, 56, &place(self.segment, offset).to_le_bytes());
        put(&mut header, 64, &chain);
        bases.iter().for_each(|base| header.extend_from_slice(&base.to_le_bytes()));
        let header_crc = crc(&[&self.salt, &offset.to_le_bytes(), &header[8..]]);
        put(&mut header, 4, &header_crc.to_le_bytes());
        self.covered.extend_from_slice(&header);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    fn end(&mut self, data: &Path, number: usize, room: usize) {
        let valid_len = self.bytes.len();
        let capacity = (valid_len + room).next_multiple_of(64 << 10);
        self.bytes.resize(capacity, 0);
        put(&mut self.bytes, 80, &(capacity as u64).to_le_bytes());
        let header_crc = crc(&[&self.bytes[..HEADER - 4]]);
        put(&mut self.bytes, HEADER - 4, &header_crc.to_le_bytes());
        let mut covered = self.bytes[..HEADER].to_vec();
        covered.extend_from_slice(&self.covered);
        self.previous = (valid_len as u64, self.chain, sha256(&covered));
        fs::write(data.join("log").join(format!("{number:010}.seg")), &self.bytes).unwrap();
    }
}

/// A log offset.
fn place(segment: u32, offset: u64) -> u64 {
    u64::from(segment) << 32 | offset >> 3
}

fn record(event: &Event, index: usize, ordinal: u32, body: &mut Vec<u8>) {
    let mut tags = Vec::new();
    event.tags.iter().for_each(|tag| short(tag, &mut tags));
    let mut record = vec![0; 48];
    put(&mut record, 4, &u32::try_from(event.payload.len()).unwrap().to_le_bytes());
    put(&mut record, 8, &event.id);
    put(&mut record, 24, &u16::try_from(index).unwrap().to_le_bytes());
    put(&mut record, 26, &event.schema.to_le_bytes());
    put(&mut record, 28, &ordinal.to_le_bytes());
    record[32] = event.content;
    record[33] = u8::try_from(event.event_type.len()).unwrap();
    record[34] = u8::try_from(event.tags.len()).unwrap();
    record[35] = event.presence;
    put(&mut record, 36, &event.key.to_le_bytes());
    put(&mut record, 40, &u32::try_from(tags.len()).unwrap().to_le_bytes());
    put(&mut record, 44, &u32::try_from(event.metadata.len()).unwrap().to_le_bytes());
    record.extend_from_slice(event.event_type.as_bytes());
    record.extend_from_slice(&tags);
    record.extend_from_slice(&event.metadata);
    record.extend_from_slice(&event.payload);
    let len = u32::try_from(record.len()).unwrap();
    put(&mut record, 0, &len.to_le_bytes());
    body.extend_from_slice(&record);
}
