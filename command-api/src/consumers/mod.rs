//! Named consumers: the only writer of `sys-consumer-…` streams.
//!
//! ```text
//! create · refuse · retry · discard · reset · delete ─▶ decide (domain) ─▶ commit, at once
//! acknowledge ─▶ at once, or together with those of the next 250 ms ─▶ one commit
//! ```
//!
//! Invariant: acknowledgements are written no more often than every [`COALESCED_FOR`], per consumer. One that waits to be written
//! is answered as such, without a position; if it is lost with the process, its events come again, which is what at-least-once means.
//! Invariant: everything else is written before it is answered, and what waits is written before it.
//! Invariant: what is in memory is what the stream says; a failed append forgets it.

pub(crate) mod body;
mod directory;
mod entry;
pub(crate) mod routes;
mod wanted;

use crate::problems::problem;
use crate::service::{Origin, Refusal};
use axum::http::StatusCode;
use domain::Extras;
use domain::WorkspaceId;
use domain::system::consumers::{
    self, Acknowledged, CONSUMERS_MAX, Change, ConsumerName, Happening, Owner, Refuse, Settings, State, Which,
};
use entry::{Entry, Outgoing, Pending};
use eventstore::{Command, CommandId, Fingerprint, Metadata, Outcome, Position, Store, StreamId, Timestamp};
use http_kit::problem::Problem;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long acknowledgements are collected for one commit.
const COALESCED_FOR: Duration = Duration::from_millis(250);
/// Commands that wait for one commit at most; with more it is written at once.
const PENDING_MAX: usize = 256;
/// Consumers whose states are kept in memory.
const ENTRIES_MAX: usize = 10_000;

/// All consumers of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Consumers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    entries: Mutex<FxHashMap<StreamId, Arc<Mutex<Entry>>>>,
    /// Held while a consumer is created or deleted: how many there are is counted then. Taken before an entry's lock.
    directories: Mutex<()>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    owner: Owner,
    name: ConsumerName,
    command: CommandId,
    fingerprint: Fingerprint,
    /// Whether its sender can ask for it again.
    is_named: bool,
    origin: Origin,
    deed: Deed,
}

#[derive(Debug)]
enum Deed {
    Create { settings: Settings, from: Option<u64> },
    Acknowledge { position: u64, generation: Option<u64> },
    Refuse { refuse: Refuse, generation: Option<u64> },
    Retry(Option<Vec<u64>>),
    Discard(Option<Vec<u64>>),
    Reset(u64),
    Delete,
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Done {
    /// It stands in the log, or stood there before.
    Recorded { outcome: Outcome, position: Position },
    /// It will stand there soon.
    Pending {
        /// Whether somebody has to see to that.
        needs_timer: bool,
    },
}

impl Consumers {
    pub(crate) fn new(store: Store) -> Self {
        let inner = Inner { store, entries: Mutex::default(), directories: Mutex::new(()) };
        Self(Arc::new(inner))
    }

    /// Puts an event aside that was delivered as often as its consumer allows, and never acknowledged. Blocks.
    ///
    /// # Errors
    /// Why it is not done, in words.
    pub fn park_exhausted(
        &self,
        workspace: Option<WorkspaceId>,
        name: &ConsumerName,
        position: u64,
        attempts: u32,
    ) -> Result<(), String> {
        let now_ms = now_ms();
        let reason = Some(format!("delivered {attempts} times and never acknowledged in time"));
        let refuse = Refuse { position, park: true, not_before_ms: now_ms, reason, now_ms, attempts };
        let ask = Ask {
            owner: workspace,
            name: name.clone(),
            command: crate::service::command_id(),
            fingerprint: Fingerprint::of(&[]),
            is_named: false,
            origin: Origin::default(),
            deed: Deed::Refuse { refuse, generation: None },
        };
        self.carry_out(&ask).map(|_| ()).map_err(|problem| problem.to_string())
    }

    /// Does what is asked for. Blocks.
    pub(crate) fn carry_out(&self, ask: &Ask) -> Result<Done, Problem> {
        let stream = ask.stream()?;
        // Whoever creates or deletes goes one by one.
        let _directories =
            matches!(ask.deed, Deed::Create { .. } | Deed::Delete).then(|| self.0.directories.lock());
        let entry = self.entry(&stream);
        let mut entry = entry.lock();
        if let Some(done) = self.known(ask, &entry)? {
            return Ok(done);
        }
        entry.load(&self.0.store, &stream).map_err(refused)?;
        if !matches!(ask.deed, Deed::Acknowledge { .. }) {
            entry.flush(&self.0.store, &stream).map_err(refused)?;
        }
        self.decide(ask, &stream, &mut entry)
    }

    /// Writes the acknowledgements of a consumer that wait, in a moment. Within a tokio runtime only. Whoever waits for that keeps
    /// the store open no longer than others do: what is not written then is delivered again.
    pub(crate) fn flush_soon(&self, stream: StreamId) {
        let consumers = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(COALESCED_FOR).await;
            let flush = move || {
                let Some(inner) = consumers.upgrade() else { return };
                if let Err(refusal) = Self(inner).flush(&stream) {
                    tracing::warn!(%refusal, "acknowledgements of a consumer were not written");
                }
            };
            if let Err(error) = tokio::task::spawn_blocking(flush).await {
                tracing::error!(%error, "acknowledgements of a consumer were not written");
            }
        });
    }

    fn flush(&self, stream: &StreamId) -> Result<(), Refusal> {
        let entry = self.entry(stream);
        let mut entry = entry.lock();
        entry.has_timer = false;
        entry.flush(&self.0.store, stream)
    }

    /// What a command became that was given before.
    fn known(&self, ask: &Ask, entry: &Entry) -> Result<Option<Done>, Problem> {
        if !ask.is_named {
            return Ok(None);
        }
        let waiting = entry.pending.as_ref().and_then(|pending| pending.command(&ask.command));
        let found = match waiting {
            Some(command) => Some((command.fingerprint, Done::Pending { needs_timer: false })),
            None => {
                let found = self.0.store.find_command(&ask.command).map_err(|error| refused(error.into()))?;
                found.map(|found| {
                    let done = Done::Recorded { outcome: found.outcome, position: found.receipt.next };
                    (found.fingerprint, done)
                })
            }
        };
        match found {
            Some((fingerprint, _)) if fingerprint != ask.fingerprint => Err(problem(&Refusal::KeyReused)),
            found => Ok(found.map(|(_, done)| done)),
        }
    }

    fn decide(&self, ask: &Ask, stream: &StreamId, entry: &mut Entry) -> Result<Done, Problem> {
        let store = &self.0.store;
        let end = store.watermark().get();
        if let Deed::Create { settings, from } = &ask.deed {
            return self.create(ask, settings, *from, stream, entry);
        }
        let state = entry.state().cloned().ok_or_else(|| absent(&ask.name))?;
        let decided = match &ask.deed {
            Deed::Create { .. } => None,
            Deed::Acknowledge { position, generation } => {
                state.check_generation(*generation).map_err(|refusal| of_domain(&refusal))?;
                // The log may have grown since its end was read, with what is acknowledged here.
                let end = store.watermark().get().max(end);
                match state.acknowledge(*position, end).map_err(|refusal| of_domain(&refusal))? {
                    Acknowledged::Before => None,
                    Acknowledged::Cursor(cursor) => return self.advance(ask, cursor, stream, entry),
                    Acknowledged::Settled(next) => Some((Happening::Settled, vec![*position], Some(*next))),
                }
            }
            Deed::Refuse { refuse, generation } => {
                state.check_generation(*generation).map_err(|refusal| of_domain(&refusal))?;
                let position = refuse.position;
                let refused = state.refuse(refuse.clone(), end).map_err(|refusal| of_domain(&refusal))?;
                if refused.is_some()
                    && !wanted::gets(store, &state, position).map_err(|error| refused_read(&error))?
                {
                    return Err(not_its_own(position));
                }
                refused.map(|(happening, next)| (happening, vec![position], Some(next)))
            }
            Deed::Retry(positions) => {
                let retried =
                    state.retry(which(positions.as_deref())).map_err(|refusal| of_domain(&refusal))?;
                retried.map(|(positions, next)| (Happening::Retried, positions, Some(next)))
            }
            Deed::Discard(positions) => {
                let discarded =
                    state.discard(which(positions.as_deref())).map_err(|refusal| of_domain(&refusal))?;
                discarded.map(|(positions, next)| (Happening::Discarded, positions, Some(next)))
            }
            Deed::Reset(position) => {
                let next = state.reset(*position, end).map_err(|refusal| of_domain(&refusal))?;
                Some((Happening::Reset, vec![*position], Some(next)))
            }
            Deed::Delete => Some((Happening::Deleted, Vec::new(), None)),
        };
        let Some((happening, positions, consumer)) = decided else {
            return entry.write(store, stream, ask.outgoing(None)).map_err(refused);
        };
        let names = match happening {
            Happening::Deleted => {
                let mut names = directory::names(store, ask.owner).map_err(refused)?;
                names.retain(|name| *name != ask.name);
                Some(names)
            }
            _ => None,
        };
        let change = Change { positions, names, consumer };
        entry.write(store, stream, ask.outgoing(Some((happening, change)))).map_err(refused)
    }

    fn create(
        &self,
        ask: &Ask,
        settings: &Settings,
        from: Option<u64>,
        stream: &StreamId,
        entry: &mut Entry,
    ) -> Result<Done, Problem> {
        let store = &self.0.store;
        if let Some(state) = entry.state() {
            if state.settings == *settings {
                return entry.write(store, stream, ask.outgoing(None)).map_err(refused);
            }
            let detail = format!("there is a consumer {} with other settings; delete it first", ask.name);
            return Err(Problem::new(StatusCode::CONFLICT, "already_exists", detail).with("field", "name"));
        }
        let end = store.watermark().get();
        let cursor = from.unwrap_or(end);
        if cursor > end {
            let detail = format!("from: the log ends at position {end}");
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "beyond_end", detail);
            return Err(problem.with("field", "from"));
        }
        let mut names = directory::names(store, ask.owner).map_err(refused)?;
        if names.len() >= CONSUMERS_MAX {
            let detail =
                format!("there are {CONSUMERS_MAX} consumers, which is as many as may be; delete one first");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_consumers", detail));
        }
        names.retain(|name| *name != ask.name);
        names.push(ask.name.clone());
        names.sort_unstable();
        let state = State {
            name: ask.name.clone(),
            workspace_id: ask.owner,
            settings: settings.clone(),
            cursor,
            generation: 0,
            refused: Vec::new(),
            retried: Vec::new(),
            parked: Vec::new(),
            discarded: Vec::new(),
        };
        let change = Change { positions: Vec::new(), names: Some(names), consumer: Some(state) };
        entry.write(store, stream, ask.outgoing(Some((Happening::Created, change)))).map_err(refused)
    }

    /// Writes an acknowledgement, or keeps it for the next time that one is written.
    fn advance(&self, ask: &Ask, cursor: u64, stream: &StreamId, entry: &mut Entry) -> Result<Done, Problem> {
        let is_soon = entry.written_at.is_some_and(|at| at.elapsed() < COALESCED_FOR);
        let pending = entry.pending.get_or_insert_with(Pending::default);
        pending.cursor = pending.cursor.max(cursor);
        pending.metadata = ask.metadata();
        if ask.is_named {
            pending.commands.push(ask.command(Outcome::Applied));
        }
        if is_soon && pending.commands.len() < PENDING_MAX {
            let needs_timer = !std::mem::replace(&mut entry.has_timer, true);
            return Ok(Done::Pending { needs_timer });
        }
        let position = entry.flush(&self.0.store, stream).map(|()| entry.position).map_err(refused)?;
        Ok(Done::Recorded { outcome: Outcome::Applied, position })
    }

    fn entry(&self, stream: &StreamId) -> Arc<Mutex<Entry>> {
        let mut entries = self.0.entries.lock();
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(stream) {
            // What somebody works with, or what waits to be written, stays.
            entries.retain(|_, entry| {
                Arc::strong_count(entry) > 1 || entry.try_lock().is_none_or(|entry| entry.pending.is_some())
            });
        }
        Arc::clone(entries.entry(stream.clone()).or_default())
    }
}

impl Ask {
    pub(crate) fn stream(&self) -> Result<StreamId, Problem> {
        StreamId::new(consumers::stream(self.owner, &self.name))
            .map_err(|error| refused(Refusal::Fault(error.to_string())))
    }

    fn metadata(&self) -> Metadata {
        Metadata {
            correlation_id: self.origin.correlation_id,
            command_id: Some(self.command),
            traceparent: self.origin.traceparent,
            extras: Extras::new(self.origin.principal.subject(), None, None).encode(),
            ..Metadata::default()
        }
    }

    fn command(&self, outcome: Outcome) -> Command {
        Command { id: self.command, fingerprint: self.fingerprint, outcome }
    }

    fn outgoing(&self, change: Option<(Happening, Change)>) -> Outgoing {
        let outcome = if change.is_some() { Outcome::Applied } else { Outcome::Unchanged };
        Outgoing {
            owner: self.owner,
            change,
            metadata: self.metadata(),
            // What nobody can ask for again, and what changed nothing, need not be remembered.
            command: (self.is_named || outcome == Outcome::Applied).then(|| self.command(outcome)),
        }
    }
}

fn which(positions: Option<&[u64]>) -> Which<'_> {
    positions.map_or(Which::All, Which::These)
}

/// Unix time, milliseconds.
fn now_ms() -> i64 {
    Timestamp::now().get() / 1_000_000
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`, which gives what it has")]
fn refused(refusal: Refusal) -> Problem {
    problem(&refusal)
}

fn refused_read(error: &eventstore::ReadError) -> Problem {
    refused(error.clone().into())
}

fn absent(name: &ConsumerName) -> Problem {
    Problem::not_found(format!("there is no consumer {name}"))
}

fn not_its_own(position: u64) -> Problem {
    let detail = format!("position: event {position} is none of this consumer's");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_its_own", detail).with("field", "position")
}

fn of_domain(refusal: &consumers::Refusal) -> Problem {
    let status = match refusal {
        consumers::Refusal::StaleGeneration { .. } | consumers::Refusal::AlreadyAcknowledged { .. } => {
            StatusCode::CONFLICT
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let problem = Problem::new(status, refusal.code(), refusal.to_string());
    match refusal.field() {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}
