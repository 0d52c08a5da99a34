//! Opening a log for writing: what counts, what was torn, and when to refuse.
//!
//! The rule and its reasons are in `FORMAT.md` (Recovery). Invariant: nothing is truncated, nothing is overwritten with
//! other bytes, and recovery that is cut short is simply done again by the next opening.

use crate::control;
use crate::digest::{SegmentDigest, sha256};
use crate::error::{OpenError, ReadError};
use crate::format::bytes::all_zero;
use crate::format::frame::CrcSeed;
use crate::format::segment_header::{
    HEADER_CRC_FAILS, Previous, PreviousEnd, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use crate::numbers::{Digest, LogOffset, Position};
use crate::page::Published;
use crate::preparer::Preparer;
use crate::scan::{self, WalkEnd};
use crate::segment::{self, Segment, SegmentFile};
use crate::segments::{self, used_segments};
use crate::storage::{Access, Environment, Storage};
use crate::tail::Shared;
use std::io;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Openings without an append that the control page may be ahead of the log's frames.
const EPOCHS_AHEAD_MAX: u32 = 1 << 20;

/// How the last used segment is to be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continue {
    /// With the next frame.
    Here,
    /// In a new segment, because this one is sealed.
    AfterSeal,
    /// In a new segment, because something torn follows what counts; this is its digest.
    AfterTear(Digest),
}

/// A log that may be written.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) store: Uuid,
    /// The epoch of the writer to be.
    pub(crate) epoch: u32,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) end: LogOffset,
    pub(crate) next: Position,
    pub(crate) chain: Digest,
    pub(crate) continues: Continue,
    /// Over what counts of the last segment.
    pub(crate) digest: SegmentDigest,
    /// Epoch of the last frame, or of the last segment's header.
    pub(crate) last_epoch: u32,
}

/// Looks at the log of a data directory, makes it if there is none, and syncs what was whole but not known durable.
pub(crate) fn recover(
    environment: &Environment,
    data_dir: &Path,
    segment_bytes: u64,
) -> Result<Recovered, OpenError> {
    match recover_existing(environment, data_dir)? {
        Some(recovered) => Ok(recovered),
        None => create(environment, data_dir, &data_dir.join("log"), segment_bytes),
    }
}

/// What a recovery would find, before it does anything about it.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) store: Uuid,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) last: Arc<Segment>,
    /// Over what counts of the last segment.
    pub(crate) digest: SegmentDigest,
    pub(crate) walked: scan::Walked,
    pub(crate) beyond: scan::Beyond,
    /// D: the furthest place that anything vouches for.
    pub(crate) durable_end: LogOffset,
    /// What the control page says, if it is of this store.
    pub(crate) published: Option<Published>,
    /// A segment whose header a crash has torn before it held anything, and the files prepared behind it.
    pub(crate) torn_header: Option<TornHeader>,
}

/// A header that a crash has torn while its segment was being begun.
#[derive(Debug)]
pub(crate) struct TornHeader {
    pub(crate) sequence: u32,
    /// Prepared behind it, all zero.
    later: Vec<u32>,
}

impl Survey {
    /// Where the sound frames end.
    pub(crate) fn end(&self) -> LogOffset {
        LogOffset::new(self.last.header.sequence, self.walked.offset)
    }
}

/// Looks at the log of a data directory and decides whether it may be written; changes nothing. `None` when there is
/// no log.
pub(crate) fn survey(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<Option<Survey>, OpenError> {
    let log_dir = data_dir.join("log");
    let published = control::last_published(&**storage, data_dir)?;
    let torn_header = find_torn_header(storage, data_dir)?;
    let segments = match &torn_header {
        Some(TornHeader { sequence: 0, .. }) => Vec::new(),
        Some(torn) => used_segments(storage, &log_dir, Some(torn.sequence - 1))?,
        None => used_segments(storage, &log_dir, None)?,
    };
    // Those from a torn header on have been looked at.
    let looked_at = torn_header.as_ref().map_or(usize::MAX, |torn| torn.sequence as usize);
    for unused in segments::list(&**storage, &log_dir)?.into_iter().take(looked_at).skip(segments.len()) {
        let io =
            |source| OpenError::Io { action: "cannot read", path: segment::path(&log_dir, unused), source };
        if let Some(at) = segments::first_nonzero_of(&**storage, &log_dir, unused).map_err(io)? {
            let reason = format!("its header is gone, but there are bytes at {at}");
            return Err(OpenError::BadSegment { segment: unused, reason });
        }
    }
    let Some(last) = segments.last().map(Arc::clone) else {
        if let Some(published) = published {
            return Err(OpenError::Damaged {
                segment: 0,
                offset: 0,
                position: Position::ZERO,
                durable_end: published.durable_end,
                reason: "the segments are gone, but the control page knows of a log".to_owned(),
            });
        }
        return Ok(None);
    };
    // The first one says whose log this is: a foreign segment at the end is the foreign one, not all the others.
    let store = segments.first().map_or(last.header.store, |first| first.header.store);
    // All of it is read before any of it is believed or doubted: a bad sector is neither torn nor damaged.
    last.fault_in(0, last.len()).map_err(|error| OpenError::no_bytes(last.header.sequence, error))?;
    let mut digest = SegmentDigest::new(&last.bytes()[..SEGMENT_HEADER_BYTES]);
    let walked = scan::walk(&last, |offset, frame| {
        digest.frame(slice_of(&last, offset, frame.header.header_len() as u64));
    });
    let beyond = scan::probe(&last, walked.offset);
    let published = published.filter(|published| published.store == store);
    let mut durable_end = walked.durable_end.max(beyond.durable_end);
    for segment in &segments {
        durable_end = durable_end.max(segment.header.durable_end);
    }
    if let Some(published) = published {
        durable_end = durable_end.max(published.durable_end);
    }
    let end = LogOffset::new(last.header.sequence, walked.offset);
    if end < durable_end {
        let reason = match walked.end {
            WalkEnd::Bad(error) => error.to_string(),
            WalkEnd::Unwritten => "there are zeros where frames were".to_owned(),
            WalkEnd::Sealed => "the segments after the seal are gone".to_owned(),
        };
        return Err(OpenError::Damaged {
            segment: last.header.sequence,
            offset: walked.offset,
            position: walked.next,
            durable_end,
            reason,
        });
    }
    Ok(Some(Survey { store, segments, last, digest, walked, beyond, durable_end, published, torn_header }))
}

/// As [`recover`]; `None` when there is no log.
pub(crate) fn recover_existing(
    environment: &Environment,
    data_dir: &Path,
) -> Result<Option<Recovered>, OpenError> {
    let storage = &*environment.storage;
    let log_dir = data_dir.join("log");
    if let Some(torn) = find_torn_header(&environment.storage, data_dir)? {
        set_aside(storage, &log_dir, &torn)?;
    }
    let Some(survey) = survey(&environment.storage, data_dir)? else { return Ok(None) };
    let end = survey.end();
    let Survey { store, segments, last, digest, walked, beyond, durable_end, published, .. } = survey;
    if end > durable_end {
        let from = if durable_end.segment() == end.segment() { durable_end.offset() } else { 0 };
        write_again(storage, &log_dir, &last, from, end.offset())?;
    }
    let continues = match (walked.end, beyond.first_nonzero) {
        (WalkEnd::Sealed, _) => Continue::AfterSeal,
        (_, None) => Continue::Here,
        (_, Some(torn)) => {
            tracing::warn!(
                segment = last.header.sequence,
                offset = walked.offset,
                torn_at = torn,
                position = walked.next.get(),
                "a torn group that nobody was told of is set aside"
            );
            // What the next header vouches for must be what the disk holds, not only what the page cache shows.
            let tail = slice_of(&last, walked.offset, u64::MAX);
            let torn_len = tail.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
            write_again(storage, &log_dir, &last, walked.offset, walked.offset + torn_len)?;
            Continue::AfterTear(sha256(tail))
        }
    };
    Ok(Some(Recovered {
        store,
        last_epoch: walked.epoch,
        epoch: next_epoch(walked.epoch, published.map(|published| published.epoch))?,
        end,
        next: walked.next,
        chain: walked.chain,
        continues,
        segments,
        digest,
    }))
}

/// The control page has no CRC: an epoch far beyond the log's own is rot, not a writer.
fn next_epoch(of_log: u32, of_page: Option<u32>) -> Result<u32, OpenError> {
    let of_page = of_page.filter(|epoch| *epoch <= of_log.saturating_add(EPOCHS_AHEAD_MAX)).unwrap_or(0);
    let exhausted = || OpenError::Setting("the writer epochs of this log are exhausted".to_owned());
    of_log.max(of_page).checked_add(1).ok_or_else(exhausted)
}

fn slice_of(segment: &Segment, from: u64, len: u64) -> &[u8] {
    let end = from.saturating_add(len).min(segment.len());
    let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
    segment.bytes().get(range).unwrap_or_default()
}

/// Bytes that nobody vouches for may only be in the page cache, which may even call them clean after a sync that
/// failed: they are written again, byte for byte, and synced.
fn write_again(
    storage: &dyn Storage,
    log_dir: &Path,
    last: &Segment,
    from: u64,
    end: u64,
) -> Result<(), OpenError> {
    let path = segment::path(log_dir, last.header.sequence);
    let io = |source| OpenError::Io { action: "cannot sync", path: path.clone(), source };
    let file = storage.open(&path, Access::Write).map_err(io)?;
    // A copy: writing from a mapping of the very pages that are written is asking for trouble.
    let bytes = slice_of(last, from, end.saturating_sub(from)).to_vec();
    file.write_all_at(&bytes, from).map_err(io)?;
    file.sync().map_err(io)
}

/// A header that a crash has torn while its segment was being begun: the segment was never used, because frames are
/// only written after the header has been synced. It is renamed, not removed, and only when nothing but the header is
/// there, nothing follows it, and the segment before it had ended.
fn find_torn_header(storage: &Arc<dyn Storage>, data_dir: &Path) -> Result<Option<TornHeader>, OpenError> {
    let log_dir = data_dir.join("log");
    let sequences = segments::list(&**storage, &log_dir)?;
    let mut last_used = None;
    for sequence in &sequences {
        let error = match Segment::open(storage, &log_dir, *sequence)? {
            SegmentFile::Used(segment) => {
                last_used = Some(segment);
                continue;
            }
            SegmentFile::Prepared => return Ok(None),
            SegmentFile::Broken(error) => error,
        };
        let path = segment::path(&log_dir, *sequence);
        let io = |source| OpenError::Io { action: "cannot read", path: path.clone(), source };
        let published = control::last_published(&**storage, data_dir)?;
        let is_published = published.is_some_and(|published| published.end.segment() >= *sequence);
        let file = storage.open(&path, Access::Read).map_err(io)?;
        let mut bytes = vec![0; usize::try_from(file.len().map_err(io)?).unwrap_or(usize::MAX)];
        let read = file.read_full_at(&mut bytes, 0).map_err(io)?;
        let frames = bytes[..read].get(SEGMENT_HEADER_BYTES..);
        let is_torn = error == HEADER_CRC_FAILS && frames.is_some_and(all_zero);
        let later = &sequences[*sequence as usize + 1..];
        let mut nothing_later = true;
        for later in later {
            nothing_later &= segments::first_nonzero_of(&**storage, &log_dir, *later).map_err(io)?.is_none();
        }
        let may_follow = match &last_used {
            None => published.is_none(),
            Some(last) => {
                let walked = scan::walk(last, |_, _| {});
                walked.end == WalkEnd::Sealed || scan::probe(last, walked.offset).first_nonzero.is_some()
            }
        };
        if is_published || !is_torn || !nothing_later || !may_follow {
            return Err(OpenError::BadSegment { segment: *sequence, reason: error.to_string() });
        }
        return Ok(Some(TornHeader { sequence: *sequence, later: later.to_vec() }));
    }
    Ok(None)
}

fn set_aside(storage: &dyn Storage, log_dir: &Path, torn: &TornHeader) -> Result<(), OpenError> {
    let path = segment::path(log_dir, torn.sequence);
    let io = |source| OpenError::Io { action: "cannot set aside", path: path.clone(), source };
    let segment = torn.sequence;
    tracing::warn!(segment, "a segment header that a crash has torn is set aside");
    storage.rename(&path, &path.with_extension("seg.torn")).map_err(io)?;
    // What was prepared behind it is all zero, and would leave a gap in the numbers.
    for later in &torn.later {
        storage.remove(&segment::path(log_dir, *later)).map_err(io)?;
    }
    storage.sync_dir(log_dir).map_err(io)
}

fn create(
    environment: &Environment,
    data_dir: &Path,
    log_dir: &Path,
    segment_bytes: u64,
) -> Result<Recovered, OpenError> {
    let storage = &environment.storage;
    let io = |source| OpenError::Io { action: "cannot create a log in", path: log_dir.to_owned(), source };
    let mut preparer = Preparer::new(Arc::clone(storage), log_dir.to_owned(), segment_bytes, false);
    let file = preparer.take(0).map_err(io)?;
    // Before the header, because with it there is a log, and nobody comes here again.
    sync_names(&**storage, data_dir).map_err(io)?;
    let header = SegmentHeader {
        store: new_store_id(environment),
        sequence: 0,
        first_position: Position::ZERO,
        salt: environment.random.bytes(),
        epoch: 1,
        capacity: segment_bytes,
        previous: Previous::NONE,
        durable_end: LogOffset::default(),
    };
    let encoded = header.encode();
    file.write_all_at(&encoded, 0).map_err(io)?;
    file.sync().map_err(io)?;
    let segments = used_segments(storage, log_dir, None)?;
    Ok(Recovered {
        store: header.store,
        last_epoch: 1,
        epoch: 1,
        segments,
        end: LogOffset::new(0, SEGMENT_HEADER_BYTES as u64),
        next: Position::ZERO,
        chain: Digest::default(),
        continues: Continue::Here,
        digest: SegmentDigest::new(&encoded),
    })
}

/// Makes the names on the way to a new log durable: a log in a directory that a power cut takes away is gone as well.
pub(crate) fn sync_names(storage: &dyn Storage, data_dir: &Path) -> io::Result<()> {
    storage.sync_dir(data_dir)?;
    for above in data_dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match storage.sync_dir(above) {
            // We cannot have made anything in a directory that we may not even read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}

/// A UUIDv7 made of the environment's clock and randomness.
pub(crate) fn new_store_id(environment: &Environment) -> Uuid {
    let millis = u64::try_from(environment.clock.now().get() / 1_000_000).unwrap_or(0);
    let [random @ .., _, _, _, _, _, _] = environment.random.bytes();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// What the next segment's header says of the last one.
pub(crate) fn previous_of(recovered: &Recovered) -> Previous {
    Previous {
        end: match recovered.continues {
            Continue::AfterTear(tail) => PreviousEnd::Abandoned(tail),
            Continue::AfterSeal | Continue::Here => PreviousEnd::Sealed,
        },
        valid_len: recovered.end.offset(),
        chain: recovered.chain,
        digest: recovered.digest.clone().finish(),
    }
}

impl Recovered {
    /// Seed of the CRCs of the last segment.
    pub(crate) fn seed(&self) -> CrcSeed {
        CrcSeed::new(&self.segments.last().map(|last| last.header.salt).unwrap_or_default())
    }

    /// Indexes all of it: what no run covers is read, and every frame's CRC checked on the way.
    pub(crate) fn index(&self, shared: &Shared) -> Result<(), OpenError> {
        shared.catch_up(self.end).map_err(|error| {
            if let ReadError::InArchive { segment } = error {
                return OpenError::InArchive { segment };
            }
            let tail = shared.tail();
            OpenError::Damaged {
                segment: tail.end.segment(),
                offset: tail.end.offset(),
                position: tail.next,
                durable_end: self.end,
                reason: error.to_string(),
            }
        })
    }
}
