//! The manifest of a backup: what it is, in text that people can read.
//!
//! Invariant: it is replaced as a whole, and it carries a digest of itself: half a manifest, or one that somebody has edited, is
//! none.

use super::error::BackupError;
use crate::digest::sha256;
use crate::numbers::{Digest, LogOffset, Position, Timestamp, TreeSize};
use crate::replica::check::Before;
use crate::storage::{Access, Storage};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use uuid::Uuid;

const NAME: &str = "MANIFEST";
/// The format, and the only one that is read.
const FIRST_LINE: &str = "sunday-backup 1";
/// Longer than one of a million segments.
const BYTES_MAX: u64 = 256 << 20;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) store: Uuid,
    pub(super) made_at: Timestamp,
    /// Size of the newest checkpoint that was signed of the store, as far as the backup knows.
    pub(super) checkpoint: Option<TreeSize>,
    pub(super) segments: Vec<SegmentEntry>,
    /// Everything that is not a segment.
    pub(super) files: Vec<FileEntry>,
}

/// A segment: what it holds, and the bytes behind its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentEntry {
    pub(super) end: Before,
    /// Bytes that a crash of the source left behind the frames.
    pub(super) tail: u64,
}

/// A file that is no segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Where it is in a data directory.
    pub(super) path: String,
    /// Where it is in the backup.
    pub(super) stored: String,
    /// Bytes of it that count.
    pub(super) len: u64,
    pub(super) digest: Digest,
}

impl Manifest {
    pub(super) fn end(&self) -> LogOffset {
        self.segments
            .last()
            .map_or(LogOffset::default(), |last| LogOffset::new(last.end.sequence, last.end.valid_len))
    }

    pub(super) fn next(&self) -> Position {
        self.segments.last().map_or(Position::ZERO, |last| last.end.next)
    }

    pub(super) fn chain(&self) -> Digest {
        self.segments.last().map_or(Digest::default(), |last| last.end.chain)
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The manifest of a directory; `None` when there is none.
    pub(super) fn read(storage: &dyn Storage, dir: &Path) -> Result<Option<Self>, BackupError> {
        let path = dir.join(NAME);
        let read = || {
            let file = storage.open(&path, Access::Read)?;
            let len = file.len()?;
            if len > BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a manifest can be"));
            }
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            let read = file.read_full_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => {
                parse(&bytes).map(Some).map_err(|(line, reason)| BackupError::Manifest { path, line, reason })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BackupError::Io { action: "cannot read", path, source }),
        }
    }

    /// Puts it in the place of the one before. Everything that it names is on disk.
    pub(super) fn write(&self, storage: &dyn Storage, dir: &Path) -> Result<(), BackupError> {
        let path = dir.join(NAME);
        storage.replace(&path, self.to_text().as_bytes()).map_err(BackupError::io("cannot write", &path))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nstore {}\nmade-at {}\n", self.store, self.made_at);
        // Writing into a string cannot fail, here and below.
        if let Some(size) = self.checkpoint {
            let _ = writeln!(text, "checkpoint {size}");
        }
        for SegmentEntry { end, tail } in &self.segments {
            let Before {
                sequence,
                capacity,
                valid_len,
                next,
                chain,
                recorded_at,
                epoch,
                is_sealed,
                digest,
                ..
            } = end;
            let sealed = u8::from(*is_sealed);
            let _ = writeln!(
                text,
                "segment {sequence} {capacity} {valid_len} {tail} {next} {recorded_at} {epoch} {sealed} {chain} {digest}"
            );
        }
        for FileEntry { path, stored, len, digest } in &self.files {
            let _ = writeln!(text, "file {len} {digest} {path} {stored}");
        }
        let digest = sha256(text.as_bytes());
        let _ = writeln!(text, "sha256 {digest}");
        text
    }
}

/// The manifest, or the number of the line that is wrong and why.
fn parse(bytes: &[u8]) -> Result<Manifest, (usize, String)> {
    let text = std::str::from_utf8(bytes).map_err(|_| (1, "it is not UTF-8".to_owned()))?;
    let lines: Vec<&str> = text.lines().collect();
    match lines.first() {
        Some(&FIRST_LINE) => {}
        Some(line) if line.starts_with("sunday-backup ") => {
            let reason = format!("this is `{line}`, this version of Sunday reads `{FIRST_LINE}`");
            return Err((1, reason));
        }
        _ => return Err((1, format!("a manifest begins with `{FIRST_LINE}`"))),
    }
    let last = lines.len();
    let stated = lines.last().and_then(|line| line.strip_prefix("sha256 ")).and_then(|hex| hex.parse().ok());
    let covered = text.rfind("sha256 ").map_or(0, |at| at);
    if stated != Some(sha256(&bytes[..covered])) || !text.ends_with('\n') {
        return Err((last, "the digest of the manifest is wrong: it is cut off or was changed".to_owned()));
    }
    let mut manifest = Manifest {
        store: Uuid::nil(),
        made_at: Timestamp::new(0),
        checkpoint: None,
        segments: Vec::new(),
        files: Vec::new(),
    };
    for (index, line) in lines.iter().enumerate().take(last - 1).skip(1) {
        take(&mut manifest, line).ok_or_else(|| (index + 1, format!("`{line}` cannot be understood")))?;
    }
    if manifest.store.is_nil() || manifest.segments.is_empty() {
        return Err((last, "a store or its segments are missing".to_owned()));
    }
    Ok(manifest)
}

fn take(manifest: &mut Manifest, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    match words.next()? {
        "store" => manifest.store = number(words.next()?)?,
        "made-at" => manifest.made_at = Timestamp::new(number(words.next()?)?),
        "checkpoint" => manifest.checkpoint = Some(TreeSize::new(number(words.next()?)?)),
        "segment" => {
            let mut field = || words.next();
            let sequence: u32 = number(field()?)?;
            let (capacity, valid_len, tail): (u64, u64, u64) =
                (number(field()?)?, number(field()?)?, number(field()?)?);
            let fits = valid_len.checked_add(tail).is_some_and(|end| end <= capacity);
            let is_place = valid_len.is_multiple_of(8) && valid_len >> 3 <= u64::from(u32::MAX);
            if sequence as usize != manifest.segments.len() || !fits || !is_place {
                return None;
            }
            let end = Before {
                store: manifest.store,
                sequence,
                capacity,
                valid_len,
                next: Position::new(number(field()?)?),
                recorded_at: Timestamp::new(number(field()?)?),
                epoch: number(field()?)?,
                is_sealed: match field()? {
                    "0" => false,
                    "1" => true,
                    _ => return None,
                },
                chain: number(field()?)?,
                digest: number(field()?)?,
            };
            manifest.segments.push(SegmentEntry { end, tail });
        }
        "file" => {
            let (len, digest) = (number(words.next()?)?, number(words.next()?)?);
            let (path, stored) = (words.next()?.to_owned(), words.next()?.to_owned());
            (is_ours(&path) && is_ours(&stored)).then_some(())?;
            manifest.files.push(FileEntry { path, stored, len, digest });
        }
        _ => return None,
    }
    words.next().is_none().then_some(())
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

/// Whether a path is one that a backup has: it cannot lead anywhere else.
pub(super) fn is_ours(path: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    ["tree/", "keys/"].iter().any(|top| path.starts_with(top)) && path.split('/').all(is_plain)
}

/// Where a file of the manifest is.
pub(super) fn path_of(dir: &Path, path: &str) -> PathBuf {
    path.split('/').fold(dir.to_owned(), |dir, part| dir.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        let end = Before {
            store: Uuid::from_u128(7),
            sequence: 0,
            capacity: 65_536,
            valid_len: 4_096,
            next: Position::new(3),
            chain: sha256(b"chain"),
            recorded_at: Timestamp::new(-5),
            epoch: 2,
            is_sealed: true,
            digest: sha256(b"digest"),
        };
        let path = "tree/checkpoints/00000000.notes".to_owned();
        let file = FileEntry { stored: path.clone(), path, len: 9, digest: sha256(b"f") };
        Manifest {
            store: end.store,
            made_at: Timestamp::new(1),
            checkpoint: Some(TreeSize::new(3)),
            segments: vec![SegmentEntry { end, tail: 16 }],
            files: vec![file],
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        assert_eq!(parse(example().to_text().as_bytes()), Ok(example()));
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let text = example().to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(parse(&bytes).is_err(), "byte {at}");
            assert!(parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn paths_lead_nowhere_else() {
        for path in ["../x", "/etc/passwd", "tree/../../x", "tree//x", "tree/.x", "log/x", "keys", "tree/a b"]
        {
            assert!(!is_ours(path), "{path}");
        }
        assert!(is_ours("tree/checkpoints/00000000.notes") && is_ours("keys/audit.pub"));
    }

    #[test]
    fn another_format_is_named() {
        let text = example().to_text().replace("sunday-backup 1", "sunday-backup 2");
        let (line, reason) = parse(text.as_bytes()).unwrap_err();
        assert!(line == 1 && reason.contains("sunday-backup 2"), "{reason}");
    }
}
