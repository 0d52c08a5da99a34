//! Moving segments into the archive: put there, read back, referred to, and only then removed here.

use super::fetching::Sum;
use super::{ARCHIVE_FILE, Reference, URL_BYTES_MAX, object, reference, references, url};
use crate::control;
use crate::digest::SegmentDigest;
use crate::engine::lock;
use crate::error::OpenError;
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::index::RunFiles;
use crate::numbers::{Digest, Position};
use crate::replica::marker;
use crate::scan;
use crate::segment::{self, Segment};
use crate::segments::used_segments;
use crate::storage::{Environment, Storage};
use crate::transparency::journal::{self, JournalError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is archived, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// The archive's URL. The first time it is noted in `log/ARCHIVE`; from then on it has to be the same.
    pub url: String,
    /// Only segments all of whose events are below this position.
    pub below: Position,
    /// Also segments that no signed checkpoint covers yet.
    pub unsigned: bool,
}

/// A segment that is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Its number.
    pub segment: u32,
    /// Position of its first event.
    pub first: Position,
    /// The next position after it.
    pub next: Position,
    /// Length of its object.
    pub bytes: u64,
    /// SHA-256 of its object.
    pub digest: Digest,
    /// Whether this call has moved it; otherwise it was there before.
    pub moved: bool,
}

/// Why segments could not be archived. Those before have been, and nothing is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The checkpoints cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The URL is none.
    #[error("an archive's URL is 1 to {URL_BYTES_MAX} bytes on one line")]
    Url,
    /// The log has another archive already.
    #[error(
        "the log's archive is {known}, not {asked}; move the objects there first and then say so in {path}"
    )]
    OtherArchive {
        /// Where it is.
        known: String,
        /// What was asked for.
        asked: String,
        /// The file that says it.
        path: PathBuf,
    },
    /// A segment is not what its successor says of it. Nothing of it was moved.
    #[error("segment {segment} is damaged and stays where it is: {reason}; run `sunday verify`")]
    Damaged {
        /// Its number.
        segment: u32,
        /// What is wrong.
        reason: String,
    },
    /// The archive did not give back what was put there. The segment stays here.
    #[error(
        "segment {segment}: the archive gives back other bytes than were put there; the segment stays here too"
    )]
    NotTheSame {
        /// Its number.
        segment: u32,
    },
    /// A file or the archive could not be used.
    #[error("{action} {what}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

fn failed(action: &'static str, what: impl Into<String>) -> impl FnOnce(io::Error) -> ArchiveError {
    let what = what.into();
    move |source| ArchiveError::Io { action, what, source }
}

/// Moves what may be moved, oldest first, and tells of each segment that is in the archive in the end. May be done beside
/// a running writer and readers: who has a segment mapped keeps it.
///
/// Stays here: the segment that is written, what has an event at `below` or beyond, what no signed checkpoint covers (unless
/// that does not matter), and what has no index yet, because the next opening would have to fetch it.
///
/// # Errors
/// [`ArchiveError`]; what was moved before the error is moved.
pub fn archive(
    environment: &Environment,
    data_dir: &Path,
    options: &ArchiveOptions,
    mut progress: impl FnMut(&Archived),
) -> Result<Vec<Archived>, ArchiveError> {
    let storage = &environment.storage;
    let log_dir = data_dir.join("log");
    let is_url = (1..=URL_BYTES_MAX).contains(&options.url.len()) && options.url.trim() == options.url;
    if !is_url || options.url.contains(char::is_control) {
        return Err(ArchiveError::Url);
    }
    marker::refuse(&**storage, &log_dir)?;
    let segments = begun(environment, data_dir)?;
    let _lock = lock(environment, &log_dir, "ARCHIVE.lock")?;
    let mover = Mover { storage, log_dir: &log_dir, url: &options.url };
    mover.note_url(
        references(environment, data_dir).map_err(failed("cannot list", "the log's directory"))? > 0,
    )?;
    let signed = match journal::newest(&**storage, data_dir)? {
        Some(entry) => entry.lineage.next,
        None => Position::ZERO,
    };
    let below = if options.unsigned { options.below } else { options.below.min(signed) };
    let runs = RunFiles::new(Arc::clone(storage), data_dir);
    let runs = runs.list().map_err(failed("cannot list", "the index"))?;
    let is_indexed = |sequence| runs.iter().any(|(first, last)| (*first..=*last).contains(&sequence));
    let mut all = Vec::new();
    for pair in segments.windows(2) {
        let [segment, next] = pair else { continue };
        let next_position = next.header.first_position;
        let (reference, moved) = match segment.reference() {
            Some(reference) => (*reference, false),
            None if next_position <= below && is_indexed(segment.header.sequence) => {
                (mover.go(segment, next)?, true)
            }
            None => continue,
        };
        let archived = Archived::of(segment, &reference, next, moved);
        progress(&archived);
        all.push(archived);
    }
    Ok(all)
}

/// The segments of a data directory that are in its archive, oldest first. Asks nothing of the archive.
///
/// # Errors
/// When the log's segments cannot be opened.
pub fn archived(environment: &Environment, data_dir: &Path) -> Result<Vec<Archived>, ArchiveError> {
    let segments = begun(environment, data_dir)?;
    let pairs = segments.windows(2).filter_map(|pair| match pair {
        [segment, next] => Some((segment, segment.reference()?, next)),
        _ => None,
    });
    Ok(pairs.map(|(segment, reference, next)| Archived::of(segment, reference, next, false)).collect())
}

/// The segments that have been begun. What a live writer is about to begin does not concern us.
fn begun(environment: &Environment, data_dir: &Path) -> Result<Vec<Arc<Segment>>, ArchiveError> {
    let published = control::last_published(&*environment.storage, data_dir)?;
    let last = published.map(|page| page.end.segment());
    let segments = used_segments(&environment.storage, &data_dir.join("log"), last)?;
    if segments.is_empty() {
        return Err(OpenError::NoLog { path: data_dir.to_owned() }.into());
    }
    Ok(segments)
}

impl Archived {
    fn of(segment: &Segment, reference: &Reference, next: &Segment, moved: bool) -> Self {
        Self {
            segment: segment.header.sequence,
            first: segment.header.first_position,
            next: next.header.first_position,
            bytes: reference.len,
            digest: reference.digest,
            moved,
        }
    }
}

struct Mover<'a> {
    storage: &'a Arc<dyn Storage>,
    log_dir: &'a Path,
    url: &'a str,
}

impl Mover<'_> {
    /// Says where the archive is, before anything is there. As long as nothing is, something else may be said.
    fn note_url(&self, in_use: bool) -> Result<(), ArchiveError> {
        let path = self.log_dir.join(ARCHIVE_FILE);
        match url(&**self.storage, self.log_dir).map_err(failed("cannot read", path.display().to_string()))? {
            Some(known) if known == self.url => Ok(()),
            Some(known) if in_use => {
                Err(ArchiveError::OtherArchive { known, asked: self.url.to_owned(), path })
            }
            _ => {
                // Asked first: a URL that nobody here understands is not to be noted.
                self.storage.archive(self.url).map_err(failed("cannot use", self.url))?;
                self.storage
                    .replace(&path, format!("{}\n", self.url).as_bytes())
                    .map_err(failed("cannot write", path.display().to_string()))
            }
        }
    }

    fn go(&self, segment: &Segment, next: &Segment) -> Result<Reference, ArchiveError> {
        let sequence = segment.header.sequence;
        check(segment, next)?;
        let bytes = segment.bytes();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = &bytes[..end.max(SEGMENT_HEADER_BYTES)];
        let mut put = Sum::default();
        put.take(bytes);
        let (len, digest) = (put.len, put.finish());

        let name = object(segment.header.store, sequence);
        let archive = self.storage.archive(self.url).map_err(failed("cannot use", self.url))?;
        archive.put(&name, bytes).map_err(failed("cannot archive", name.as_str()))?;
        let mut back = Sum::default();
        let got = archive.get(&name, &mut |piece| {
            back.take(piece);
            Ok(())
        });
        got.map_err(failed("cannot read back", name.as_str()))?;
        if (back.len, back.finish()) != (len, digest) {
            return Err(ArchiveError::NotTheSame { segment: sequence });
        }

        let reference = Reference { header: segment.header, len, digest };
        let path = reference::path(self.log_dir, sequence);
        self.storage
            .replace(&path, &reference.encode())
            .map_err(failed("cannot write", path.display().to_string()))?;
        let path = segment::path(self.log_dir, sequence);
        self.storage.remove(&path).map_err(failed("cannot remove", path.display().to_string()))?;
        self.storage.sync_dir(self.log_dir).map_err(failed("cannot sync", "the log's directory"))?;
        Ok(reference)
    }
}

/// Whether a segment is what the header of its successor says: what is damaged does not leave.
fn check(segment: &Segment, next: &Segment) -> Result<(), ArchiveError> {
    let damaged =
        |reason: &str| ArchiveError::Damaged { segment: segment.header.sequence, reason: reason.to_owned() };
    segment.fault_in(0, segment.len()).map_err(|error| damaged(error.0))?;
    let mut digest = SegmentDigest::new(&segment.bytes()[..SEGMENT_HEADER_BYTES]);
    let walked = scan::walk(segment, |offset, frame| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let header = start..start.saturating_add(frame.header.header_len());
        digest.frame(segment.bytes().get(header).unwrap_or_default());
    });
    let previous = &next.header.previous;
    if walked.offset != previous.valid_len {
        let reason = match walked.end {
            scan::WalkEnd::Bad(error) => error.0,
            _ => "it does not end where its successor says",
        };
        return Err(damaged(reason));
    }
    if walked.next != next.header.first_position || walked.chain != previous.chain {
        return Err(damaged("its successor continues another one"));
    }
    if digest.finish() != previous.digest {
        return Err(damaged("its digest is not the one that its successor has"));
    }
    Ok(())
}
