//! Every checkpoint that was ever signed: an append-only journal beside the tree, in files that people can read.
//!
//! Invariant: a checkpoint is in the journal and on disk before anybody is shown it. So what was signed is never forgotten, and
//! the next start can hold the log against it. Not derived data: deleting it forgets what was promised.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{NoteError, SignedNote};
use crate::error::OpenError;
use crate::numbers::{Digest, Lineage, Position, Timestamp};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Where it is, below the data directory.
pub const JOURNAL_DIR: &str = "tree/checkpoints";

/// A file that has reached this length is followed by the next one, bytes.
const FILE_BYTES: u64 = 16 << 20;
/// A file is not longer than this, whatever it holds, bytes: it is read as a whole.
const FILE_BYTES_MAX: u64 = FILE_BYTES + (1 << 20);
/// The first word of a record.
const WORD: &str = "checkpoint";

/// A checkpoint that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, by the notary's clock.
    pub made_at: Timestamp,
    /// The log that it is about, up to where it is: the tree's size is the next position.
    pub lineage: Lineage,
    /// The note.
    pub note: SignedNote,
    /// What the note says. Whoever relies on it verifies the note.
    pub checkpoint: Checkpoint,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Its files cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A record is not what was written.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The journal, for the one who writes it.
#[derive(Debug)]
pub struct Journal {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    number: u64,
    file: Arc<dyn StorageFile>,
    len: u64,
}

impl Journal {
    /// Opens it for writing, or begins it; answers with the newest entry. What a crash left half written at its end was never
    /// shown to anybody, and is cut off.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged anywhere but in its last record.
    pub fn open(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<(Self, Option<Entry>), JournalError> {
        let dir = data_dir.join(JOURNAL_DIR);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        storage.create_dir(&dir).map_err(io(&dir))?;
        let numbers = numbers(&**storage, &dir)?;
        let number = numbers.last().copied().unwrap_or(0);
        let path = dir.join(name(number));
        let file = storage.open(&path, Access::Open).map_err(io(&path))?;
        storage.sync_dir(&dir).map_err(io(&dir))?;
        let bytes = read(&*file, &path)?;
        let (entries, len) = Records { path: &path, bytes: &bytes, may_be_torn: true }.read()?;
        if len < bytes.len() as u64 {
            file.set_len(len).map_err(io(&path))?;
            file.sync().map_err(io(&path))?;
        }
        let newest = match entries.into_iter().next_back() {
            Some(entry) => Some(entry),
            // The newest file was just begun when somebody pulled the plug.
            None => newest_of(&**storage, &dir, &numbers[..numbers.len().saturating_sub(1)])?,
        };
        Ok((Self { storage: Arc::clone(storage), dir, number, file, len }, newest))
    }

    /// Adds an entry. It is on disk when this returns.
    ///
    /// # Errors
    /// When it could not be written; then the journal has to be opened again.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        if self.len >= FILE_BYTES {
            self.roll()?;
        }
        let record = record(entry);
        let done = self.file.write_all_at(record.as_bytes(), self.len).and_then(|()| self.file.sync());
        done.map_err(|source| JournalError::Io { path: self.dir.join(name(self.number)), source })?;
        self.len += record.len() as u64;
        Ok(())
    }

    fn roll(&mut self) -> Result<(), JournalError> {
        let path = self.dir.join(name(self.number + 1));
        let begun = self.storage.open(&path, Access::Create).and_then(|file| {
            self.storage.sync_dir(&self.dir)?;
            Ok(file)
        });
        self.file = begun.map_err(|source| JournalError::Io { path, source })?;
        self.number += 1;
        self.len = 0;
        Ok(())
    }
}

/// The newest entry, without touching anything; `None` when nothing was ever signed.
///
/// # Errors
/// When the journal cannot be read, or is damaged anywhere but in its last record.
pub fn newest(storage: &dyn Storage, data_dir: &Path) -> Result<Option<Entry>, JournalError> {
    let dir = data_dir.join(JOURNAL_DIR);
    let numbers = numbers(storage, &dir)?;
    newest_of(storage, &dir, &numbers)
}

/// All entries, oldest first, file by file.
///
/// # Errors
/// When the journal cannot be read, or is damaged anywhere but in its last record.
pub fn entries(
    storage: &dyn Storage,
    data_dir: &Path,
    mut each: impl FnMut(Entry),
) -> Result<(), JournalError> {
    let dir = data_dir.join(JOURNAL_DIR);
    let numbers = numbers(storage, &dir)?;
    for (index, number) in numbers.iter().enumerate() {
        let entries = load(storage, &dir, *number, index + 1 == numbers.len())?;
        entries.into_iter().for_each(&mut each);
    }
    Ok(())
}

/// An entry, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its file, below the data directory.
    pub file: String,
    /// Where its record begins, bytes.
    pub offset: u64,
    /// The entry.
    pub entry: Entry,
}

/// All entries that can be read, oldest first, and what is damaged between them: for whoever reads a journal that he does not
/// trust.
///
/// # Errors
/// When files cannot be read.
pub fn salvage(
    storage: &dyn Storage,
    data_dir: &Path,
) -> Result<(Vec<Found>, Vec<JournalError>), JournalError> {
    let dir = data_dir.join(JOURNAL_DIR);
    let numbers = numbers(storage, &dir)?;
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    let mut expected = 0;
    for (index, number) in numbers.iter().enumerate() {
        if *number != expected {
            let reason = "the file is missing".to_owned();
            damaged.push(JournalError::Damaged { path: dir.join(name(expected)), offset: 0, reason });
        }
        expected = number.saturating_add(1);
        let path = dir.join(name(*number));
        let file = storage.open(&path, Access::Read);
        let file = file.map_err(|source| JournalError::Io { path: path.clone(), source })?;
        let bytes = read(&*file, &path)?;
        let may_be_torn = index + 1 == numbers.len();
        let records = Records { path: &path, bytes: &bytes, may_be_torn };
        let mut at = 0;
        while at < bytes.len() {
            match one(&bytes[at..]) {
                Ok((entry, len)) => {
                    let file = format!("{JOURNAL_DIR}/{}", name(*number));
                    found.push(Found { file, offset: at as u64, entry });
                    at += len;
                }
                Err(reason) => {
                    let next = records.next_after(at);
                    if next.is_some() || !may_be_torn {
                        damaged.push(JournalError::Damaged { path: path.clone(), offset: at as u64, reason });
                    }
                    at = next.unwrap_or(bytes.len());
                }
            }
        }
    }
    Ok((found, damaged))
}

/// Takes a file's name, its whole records, and what they hold.
pub(crate) type OneFile<'a> = dyn FnMut(&str, &[u8], Vec<Entry>) -> Result<(), JournalError> + 'a;

/// Each file's name and whole records, with what they hold, oldest first: what a copy of the journal takes. It changes
/// nothing, and may be asked beside the one who writes.
pub(crate) fn files(
    storage: &dyn Storage,
    data_dir: &Path,
    each: &mut OneFile<'_>,
) -> Result<(), JournalError> {
    let dir = data_dir.join(JOURNAL_DIR);
    let numbers = numbers(storage, &dir)?;
    for (index, number) in numbers.iter().enumerate() {
        let path = dir.join(name(*number));
        let file = storage.open(&path, Access::Read);
        let file = file.map_err(|source| JournalError::Io { path: path.clone(), source })?;
        let bytes = read(&*file, &path)?;
        let may_be_torn = index + 1 == numbers.len();
        let (entries, len) = Records { path: &path, bytes: &bytes, may_be_torn }.read()?;
        each(&name(*number), &bytes[..usize::try_from(len).unwrap_or(bytes.len())], entries)?;
    }
    Ok(())
}

/// Refuses a log that ends before the newest checkpoint that was signed of it. What a recovery can decide from the log alone it has
/// decided before; this is for a tail that was taken away without a trace.
pub(crate) fn hold_against(
    storage: &dyn Storage,
    data_dir: &Path,
    store: Uuid,
    next: Position,
) -> Result<(), OpenError> {
    match newest(storage, data_dir) {
        Ok(Some(newest)) if newest.lineage.store == store && newest.lineage.next > next => {
            Err(OpenError::ShorterThanCheckpoint { next, signed: newest.checkpoint.head.size })
        }
        Ok(_) => Ok(()),
        Err(error) => {
            // The notary will not sign with such a journal, and says so; that is no reason not to take in work.
            tracing::warn!(%error, "the journal of checkpoints cannot be read");
            Ok(())
        }
    }
}

fn newest_of(storage: &dyn Storage, dir: &Path, numbers: &[u64]) -> Result<Option<Entry>, JournalError> {
    for (index, number) in numbers.iter().enumerate().rev() {
        let entries = load(storage, dir, *number, index + 1 == numbers.len())?;
        if let Some(entry) = entries.into_iter().next_back() {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

fn load(storage: &dyn Storage, dir: &Path, number: u64, is_last: bool) -> Result<Vec<Entry>, JournalError> {
    let path = dir.join(name(number));
    let file = storage.open(&path, Access::Read);
    let file = file.map_err(|source| JournalError::Io { path: path.clone(), source })?;
    let bytes = read(&*file, &path)?;
    Ok(Records { path: &path, bytes: &bytes, may_be_torn: is_last }.read()?.0)
}

fn read(file: &dyn StorageFile, path: &Path) -> Result<Vec<u8>, JournalError> {
    let read = || {
        let len = file.len()?;
        if len > FILE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "longer than a file of checkpoints can be",
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    read().map_err(|source| JournalError::Io { path: path.to_owned(), source })
}

/// The files' numbers, in order.
fn numbers(storage: &dyn Storage, dir: &Path) -> Result<Vec<u64>, JournalError> {
    let names = match storage.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(JournalError::Io { path: dir.to_owned(), source }),
    };
    let number = |name: &std::ffi::OsString| {
        let digits = name.to_str()?.strip_suffix(".notes")?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn name(number: u64) -> String {
    format!("{number:08}.notes")
}

/// `checkpoint <made at> <length> <CRC-32> <store> <chain>`, the note, and an empty line.
fn record(entry: &Entry) -> String {
    let note = entry.note.to_string();
    let Entry { made_at, lineage: Lineage { store, chain, .. }, .. } = entry;
    let crc = crc(*made_at, *store, chain, &note);
    format!("{WORD} {made_at} {} {crc:08x} {store} {chain}\n{note}\n", note.len())
}

fn crc(made_at: Timestamp, store: Uuid, chain: &Digest, note: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&made_at.get().to_le_bytes());
    hasher.update(store.as_bytes());
    hasher.update(&chain.0);
    hasher.update(note.as_bytes());
    hasher.finalize()
}

struct Records<'b> {
    path: &'b Path,
    bytes: &'b [u8],
    /// Whether a crash may have left part of a record at the end.
    may_be_torn: bool,
}

impl Records<'_> {
    /// All whole records, and where they end.
    fn read(&self) -> Result<(Vec<Entry>, u64), JournalError> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            match one(&self.bytes[at..]) {
                Ok((entry, len)) => {
                    entries.push(entry);
                    at += len;
                }
                Err(_) if self.may_be_torn && !self.goes_on_after(at) => break,
                Err(reason) => {
                    let (path, offset) = (self.path.to_owned(), at as u64);
                    return Err(JournalError::Damaged { path, offset, reason });
                }
            }
        }
        Ok((entries, at as u64))
    }

    /// Whether a whole record begins anywhere behind this place: then what stands here is no torn end.
    fn goes_on_after(&self, at: usize) -> bool {
        self.next_after(at).is_some()
    }

    /// Where the next whole record begins behind this place.
    fn next_after(&self, at: usize) -> Option<usize> {
        let begins = format!("\n{WORD} ");
        let rest = &self.bytes[at..];
        let starts = rest.windows(begins.len()).enumerate();
        let mut starts = starts.filter(|(_, window)| *window == begins.as_bytes());
        starts.find(|(index, _)| one(&rest[index + 1..]).is_ok()).map(|(index, _)| at + index + 1)
    }
}

/// The record at the beginning, and its length.
fn one(bytes: &[u8]) -> Result<(Entry, usize), String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("its first line does not end")?;
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "its first line is not UTF-8")?;
    let words: Vec<_> = line.split(' ').collect();
    let [WORD, made_at, len, stated, store, chain] = words.as_slice() else {
        return Err("its first line does not have its six words".to_owned());
    };
    let bad = |what: &str| format!("its first line has no usable {what}");
    let made_at = Timestamp::new(made_at.parse().map_err(|_| bad("time"))?);
    let len: usize = len.parse().map_err(|_| bad("length"))?;
    let stated = u32::from_str_radix(stated, 16).map_err(|_| bad("checksum"))?;
    let store: Uuid = store.parse().map_err(|_| bad("store"))?;
    let chain: Digest = chain.parse().map_err(|_| bad("chain head"))?;
    let after = &bytes[end + 1..];
    let note = after.get(..len).filter(|_| after.get(len) == Some(&b'\n')).ok_or("its note ends early")?;
    let text = std::str::from_utf8(note).map_err(|_| "its note is not UTF-8")?;
    if crc(made_at, store, &chain, text) != stated {
        return Err("its checksum is wrong".to_owned());
    }
    let note = SignedNote::parse(note).map_err(|error: NoteError| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error: CheckpointError| error.to_string())?;
    let next = Position::new(checkpoint.head.size.get());
    let entry = Entry { made_at, lineage: Lineage { store, next, chain }, note, checkpoint };
    let whole = end + 1 + len + 1;
    // Numbers can be spelt in more ways than one; here they are not.
    if record(&entry).as_bytes() == &bytes[..whole] {
        Ok((entry, whole))
    } else {
        Err("it is spelt otherwise".to_owned())
    }
}
