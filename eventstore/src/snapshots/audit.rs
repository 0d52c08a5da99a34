//! Whether snapshots are what the log's events come to. The states are somebody else's: whoever knows them folds.

use super::file::SnapshotFile;
use super::record::{FILE_HEADER_BYTES, Record};
use super::{NAME, commit_of};
use crate::by_stream::commits_from;
use crate::format::event::EventView;
use crate::log::Log;
use crate::names::StreamId;
use crate::numbers::{Position, Version};
use crate::recorded::RecordedCommit;
use crate::storage::{Access, Environment};
use crate::verify::{Class, Finding};
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::io;
use std::path::Path;

/// What somebody who knows the states says of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judgement {
    /// It is what the events come to.
    Same,
    /// It is not: why.
    Differs(String),
    /// It is of a state, or of a version of one, that is not known here.
    Unknown,
}

/// Judges a state: the stream, the schema version of the state, its bytes, and the events up to its version.
pub type Judge<'a> = dyn Fn(&StreamId, u32, &[u8], &[EventView<'_>]) -> Judgement + 'a;

/// What a look at the snapshots found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotsChecked {
    /// Snapshots that were compared with their streams.
    pub compared: u64,
    /// Snapshots of states that are not known here, or that were replaced meanwhile.
    pub passed_over: u64,
    /// Bytes behind the last sound record, which nobody reads.
    pub unread_bytes: u64,
    /// Everything that is not as it should be.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Compares the snapshots of a data directory with a fold of the log. Of several of one stream the last counts, as it does for
/// readers. `go_on` is asked between snapshots.
///
/// # Errors
/// When the file cannot be read at all. That there is none is no error.
pub fn check_snapshots(
    environment: &Environment,
    data_dir: &Path,
    log: &Log,
    judge: &Judge<'_>,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<SnapshotsChecked> {
    let path = data_dir.join("snapshots").join(NAME);
    let name = format!("snapshots/{NAME}");
    let mut checked = SnapshotsChecked::default();
    let find =
        |class, offset, message: &str| Finding::in_file(class, &*name, offset, Position::ZERO, message);
    let file = match SnapshotFile::open(&*environment.storage, &path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(checked),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            checked.findings.push(find(Class::Bitrot, 0, &error.to_string()));
            return Ok(checked);
        }
        Err(error) => return Err(error),
    };
    let mut newest: FxHashMap<StreamId, (Record, u64)> = FxHashMap::default();
    let (end, is_whole) = file.scan(|record, offset| {
        newest.insert(record.stream.clone(), (record, offset));
    })?;
    if !is_whole {
        let len = environment.storage.open(&path, Access::Read)?.len()?;
        checked.unread_bytes = len.saturating_sub(end.max(FILE_HEADER_BYTES as u64));
        // Nothing of this file is ever synced, so a crash leaves such an end; nobody reads it.
        let message = "its end is not sound: a crash, or somebody who writes it right now; it is not read";
        checked.findings.push(find(Class::TornTail, end, message).warning());
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_unstable_by_key(|(_, offset)| *offset);
    for (record, offset) in newest {
        if !go_on() {
            break;
        }
        match check(log, &file, &record, offset, judge) {
            Ok(Judgement::Same) => checked.compared += 1,
            Ok(Judgement::Unknown) => checked.passed_over += 1,
            Ok(Judgement::Differs(why)) => {
                checked.compared += 1;
                let found = find(Class::SnapshotMismatch, offset, &why).stream(record.stream.as_str());
                checked.findings.push(found);
            }
            Err((class, why)) => {
                let found = find(class, offset, &why).stream(record.stream.as_str());
                checked.findings.push(found);
            }
        }
    }
    Ok(checked)
}

fn check(
    log: &Log,
    file: &SnapshotFile,
    record: &Record,
    offset: u64,
    judge: &Judge<'_>,
) -> Result<Judgement, (Class, String)> {
    let Record { stream, version, .. } = record;
    let bytes = file.read(record, offset).map_err(|error| (Class::Bitrot, error))?;
    let payload = record.payload(&bytes).map_err(|error| (Class::Bitrot, error.0.to_owned()))?;
    if bytes[record.unpadded_len()..].iter().any(|byte| *byte != 0) {
        return Err((Class::Bitrot, "the padding behind the state is not zero".to_owned()));
    }
    let differs = |why: String| Ok(Judgement::Differs(why));
    if record.store != log.store_id() {
        return differs(format!("it is of store {}", record.store));
    }
    let unreadable = |error: crate::error::ReadError| (Class::Unreadable, error.to_string());
    match commit_of(log, stream, *version).map_err(unreadable)? {
        Some(found) if found == (record.event, record.chain) => {}
        Some(_) => return differs(format!("the log has another past at version {version} of the stream")),
        None => return differs(format!("the stream does not reach to version {version} in the log")),
    }
    let commits = commits_from(log, stream, Version::ZERO, usize::MAX).map_err(unreadable)?;
    let events: Vec<EventView<'_>> = commits
        .iter()
        .flat_map(RecordedCommit::events)
        .filter(|event| event.stream() == stream.as_str() && event.version() <= *version)
        .collect();
    Ok(judge(stream, record.schema_version, payload, &events))
}
