//! The state of a stream: its snapshot, if there is one, and the events since.

use super::Snapshots;
use crate::by_stream::{commits_from, rotted};
use crate::error::ReadError;
use crate::format::event::EventView;
use crate::log::Log;
use crate::names::StreamId;
use crate::numbers::Version;
use serde::de::DeserializeOwned;

/// Events that are asked for at a time.
const EVENTS_AT_A_TIME: usize = 256;

/// The state of a stream at its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded<S> {
    /// The state.
    pub state: S,
    /// Last version of the stream; `None` when it does not exist.
    pub version: Option<Version>,
    /// Events that were applied: all of the stream, or those since its snapshot. When they are many, it is time for
    /// [`Snapshots::put`].
    pub applied: u64,
}

/// Folds a stream up to its head: from its snapshot if there is one beyond doubt, from `initial` otherwise. The state
/// is the same either way, provided that `schema_version` is raised with every change to what `S` or `apply` mean.
///
/// ```
/// use eventstore::{
///     CommitBuilder, ContentType, EventType, EventView, Metadata, NewEvent, ReadError, SnapshotOptions, Snapshots,
///     Store, StreamId, fold,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), &Default::default())?;
/// let stream = StreamId::new("counter-1")?;
/// let count_up = || -> Result<(), Box<dyn std::error::Error>> {
///     let mut commit = CommitBuilder::new();
///     commit.event(NewEvent {
///         id: uuid::Uuid::now_v7(),
///         stream: stream.clone(),
///         event_type: EventType::new("counter.counted")?,
///         content_type: ContentType::Json,
///         schema_version: 1,
///         tags: Vec::new(),
///         metadata: Metadata::default(),
///         payload: b"{}".to_vec(),
///     });
///     store.append(commit.prepare()?)?;
///     Ok(())
/// };
/// count_up()?;
/// count_up()?;
///
/// let snapshots = Snapshots::open(dir.path(), &SnapshotOptions::default())?;
/// let apply = |count: &mut u64, _: &EventView<'_>| -> Result<(), ReadError> {
///     *count += 1;
///     Ok(())
/// };
/// let counter = fold(&store, Some(&snapshots), &stream, 1, 0_u64, apply)?;
/// assert_eq!((counter.state, counter.applied), (2, 2));
/// if let Some(version) = counter.version {
///     assert!(snapshots.put(&store, &stream, version, 1, &counter.state));
/// }
///
/// count_up()?;
/// let counter = fold(&store, Some(&snapshots), &stream, 1, 0_u64, apply)?;
/// assert_eq!((counter.state, counter.applied), (3, 1), "two from the snapshot, one from the log");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the log is damaged in this stream, or `apply` fails. Never because of a snapshot.
pub fn fold<S, E>(
    log: &Log,
    snapshots: Option<&Snapshots>,
    stream: &StreamId,
    schema_version: u32,
    initial: S,
    mut apply: impl FnMut(&mut S, &EventView<'_>) -> Result<(), E>,
) -> Result<Folded<S>, E>
where
    S: DeserializeOwned,
    E: From<ReadError>,
{
    let snapshot = snapshots.and_then(|snapshots| snapshots.get(log, stream, schema_version));
    let (mut state, mut version) = match snapshot {
        Some(snapshot) => (snapshot.state, Some(snapshot.version)),
        None => (initial, None),
    };
    let mut applied = 0;
    while log.stream_version(stream)? > version {
        let next = version.map_or(Version::ZERO, |version| version.plus(1));
        let mut reached = version;
        for commit in commits_from(log, stream, next, EVENTS_AT_A_TIME)? {
            let (before, mut events) = (applied, 0);
            for event in commit.events() {
                events += 1;
                if event.stream() == stream.as_str() && event.version() >= next {
                    apply(&mut state, &event)?;
                    reached = Some(event.version());
                    applied += 1;
                }
            }
            // Events end early when they rot between the check of their sum and now.
            if applied == before || events != commit.len() {
                return Err(rotted(&commit).into());
            }
        }
        if reached == version {
            break;
        }
        version = reached;
    }
    Ok(Folded { state, version, applied })
}
