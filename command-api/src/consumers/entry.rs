//! One consumer in memory: what its stream says, and what waits to be written to it.
//!
//! Invariant: its lock is held from reading what it says until what rests on that is durable.

use super::Done;
use crate::service::{Refusal, uuid_v7};
use domain::system::consumers::{
    self, ACKNOWLEDGED, Advance, Change, Happening, Known, LoadError, Owner, SCHEMA_VERSION, State, Stored,
    directory_tag,
};
use eventstore::{
    Command, CommandId, CommitBuilder, ContentType, Direction, EventType, ExpectedVersion, Metadata,
    NewEvent, Outcome, Position, ReadError, Receipt, RecordedEvent, Store, StreamId, Tag, Timestamp, Version,
};
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What the stream says; nothing where it is not there. `None` until it is read.
    known: Option<Option<Known>>,
    pub(super) pending: Option<Pending>,
    /// When an acknowledgement was written last.
    pub(super) written_at: Option<Instant>,
    /// Whether somebody will write what waits.
    pub(super) has_timer: bool,
    /// The position behind the newest commit.
    pub(super) position: Position,
}

/// Acknowledgements that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) cursor: u64,
    pub(super) commands: Vec<Command>,
    /// Of the last one.
    pub(super) metadata: Metadata,
}

impl Pending {
    pub(super) fn command(&self, id: &CommandId) -> Option<&Command> {
        self.commands.iter().find(|command| command.id == *id)
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) owner: Owner,
    pub(super) change: Option<(Happening, Change)>,
    pub(super) metadata: Metadata,
    pub(super) command: Option<Command>,
}

impl Entry {
    /// The consumer, if there is one.
    pub(super) fn state(&self) -> Option<&State> {
        self.known.as_ref()?.as_ref()?.state.as_ref()
    }

    /// Reads the stream, where that was not done yet.
    pub(super) fn load(&mut self, store: &Store, stream: &StreamId) -> Result<(), Refusal> {
        if self.known.is_some() {
            return Ok(());
        }
        let read = |version: Option<u64>| -> Result<Option<Stored>, ReadError> {
            let (from, direction) = match version {
                Some(version) => (version, Direction::Forward),
                None => (u64::MAX, Direction::Backward),
            };
            let events = store.read_stream(stream, Version::new(from), direction, 1)?;
            Ok(events.first().and_then(RecordedEvent::get).map(|event| Stored {
                version: event.version().get(),
                event_type: event.event_type().to_owned(),
                payload: event.payload().to_vec(),
            }))
        };
        let known = consumers::load(read).map_err(|error: LoadError<ReadError>| match error {
            LoadError::Read(error) => Refusal::from(error),
            unreadable => Refusal::Fault(format!("{stream}: {unreadable}")),
        })?;
        self.known = Some(known);
        Ok(())
    }

    /// Writes what waits, if anything does.
    pub(super) fn flush(&mut self, store: &Store, stream: &StreamId) -> Result<(), Refusal> {
        let Some(pending) = self.pending.take() else { return Ok(()) };
        self.load(store, stream)?;
        let Some(Some(known)) = &self.known else { return Ok(()) };
        let Some(state) = &known.state else { return Ok(()) };
        let cursor = pending.cursor.max(state.cursor);
        let payload = serde_json::to_vec(&Advance { cursor, decided: known.decided })
            .map_err(|error| Refusal::Fault(error.to_string()))?;
        let mut commit = CommitBuilder::new();
        event(&mut commit, stream, ACKNOWLEDGED, None, pending.metadata, payload)?;
        for command in pending.commands {
            commit.command(command);
        }
        commit.expect(stream.clone(), ExpectedVersion::Exact(Version::new(known.version)));
        let receipt = self.append(store, commit)?;
        self.written_at = Some(Instant::now());
        if let Some(Some(known)) = &mut self.known {
            known.version = last_version(&receipt)?;
            if let Some(state) = &mut known.state {
                state.advance(cursor);
            }
        }
        Ok(())
    }

    /// Writes what was decided; where nothing was, only that it was asked for, if that is to be remembered.
    pub(super) fn write(
        &mut self,
        store: &Store,
        stream: &StreamId,
        outgoing: Outgoing,
    ) -> Result<Done, Refusal> {
        let Outgoing { owner, change, metadata, command } = outgoing;
        let outcome = if change.is_some() { Outcome::Applied } else { Outcome::Unchanged };
        let mut commit = CommitBuilder::new();
        if let Some((happening, change)) = &change {
            let payload = serde_json::to_vec(change).map_err(|error| Refusal::Fault(error.to_string()))?;
            let tag = change.names.is_some().then(|| directory_tag(owner));
            event(&mut commit, stream, happening.event_type(), tag, metadata, payload)?;
            let expected = match &self.known {
                Some(Some(known)) => ExpectedVersion::Exact(Version::new(known.version)),
                _ => ExpectedVersion::NoStream,
            };
            commit.expect(stream.clone(), expected);
        }
        let Some(command) = command else {
            return Ok(Done::Recorded { outcome, position: store.watermark() });
        };
        commit.command(command);
        let receipt = self.append(store, commit)?;
        if let Some((_, change)) = change {
            let version = last_version(&receipt)?;
            self.known = Some(Some(Known { version, decided: version, state: change.consumer }));
        }
        Ok(Done::Recorded { outcome, position: receipt.next })
    }

    fn append(&mut self, store: &Store, commit: CommitBuilder) -> Result<Receipt, Refusal> {
        let receipt = commit.prepare().map_err(Refusal::from).and_then(|commit| Ok(store.append(commit)?));
        match &receipt {
            Ok(receipt) => self.position = receipt.next,
            // Perhaps it is there, perhaps somebody else wrote: the stream knows.
            Err(_) => self.known = None,
        }
        receipt
    }
}

fn last_version(receipt: &Receipt) -> Result<u64, Refusal> {
    let version = receipt.versions.first().map(|(_, version)| version.get());
    version.ok_or_else(|| Refusal::Fault("a commit touched no stream".to_owned()))
}

fn event(
    commit: &mut CommitBuilder,
    stream: &StreamId,
    event_type: &str,
    tag: Option<String>,
    metadata: Metadata,
    payload: Vec<u8>,
) -> Result<(), Refusal> {
    let fault = |error: &dyn std::fmt::Display| Refusal::Fault(error.to_string());
    commit.event(NewEvent {
        id: uuid_v7(Timestamp::now().get()),
        stream: stream.clone(),
        event_type: EventType::new(event_type).map_err(|error| fault(&error))?,
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: tag.map(Tag::new).transpose().map_err(|error| fault(&error))?.into_iter().collect(),
        metadata,
        payload,
    });
    Ok(())
}
