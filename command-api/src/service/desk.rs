//! The states that one piece of work (a command, a batch) is looking at, ahead of what is durable.
//!
//! Invariant: a state is changed here first and goes to the cache only when its commits are durable.
//! Invariant: claims are released when the desk is cleared or dropped, whatever happens.

use super::Inner;
use super::cache::Cached;
use super::census::{Held as HeldTurns, Place};
use super::key::{Key, State};
use super::refusal::Refusal;
use domain::{Decoded, codec};
use eventstore::{Direction, Position, StreamId, Tag, Version};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::hash_map;

/// An aggregate on the desk.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stream: StreamId,
    pub(super) state: State,
    pub(super) version: Option<Version>,
    /// The state holds every event of the stream before this position; unknown while commits are pending.
    pub(super) as_of: Option<Position>,
    pub(super) weight: usize,
    /// How many of its events the newest snapshot holds that is known of.
    kept: u64,
    /// Changed on this desk.
    pub(super) is_dirty: bool,
    /// It came from the cache.
    is_cached: bool,
}

/// The states under consideration.
#[derive(Debug)]
pub(super) struct Desk<'s> {
    pub(super) inner: &'s Inner,
    pub(super) entries: FxHashMap<Key, Entry>,
    claims: FxHashSet<Key>,
    /// Tags that were used before: the same few stand on most events.
    tags: FxHashSet<Tag>,
    /// What the last decision rested on besides its target.
    pub(super) rests_on: Vec<Key>,
    /// Whether all decisions become one commit: then nothing needs guarding against the commit itself.
    pub(super) is_atomic: bool,
    /// Whether only what is in memory may be looked at.
    pub(super) is_at_hand: bool,
    /// States that the cache had; counted in one go, because the counter is everybody's.
    hits: u64,
    /// Turns at the limited columns that are decided about, until the outcome is durable.
    pub(super) turns: HeldTurns<'s>,
    /// What this desk's decisions add to the census, while they are one commit.
    pub(super) census_delta: FxHashMap<Place, i64>,
}

impl<'s> Desk<'s> {
    pub(super) fn new(inner: &'s Inner) -> Self {
        Self {
            inner,
            entries: FxHashMap::default(),
            claims: FxHashSet::default(),
            tags: FxHashSet::default(),
            rests_on: Vec::new(),
            is_atomic: false,
            is_at_hand: false,
            hits: 0,
            turns: HeldTurns::none(&inner.turns),
            census_delta: FxHashMap::default(),
        }
    }

    /// With room for the targets of so many orders: entries are large, and would be moved each time that their table grows.
    pub(super) fn with_room(mut self, orders: usize) -> Self {
        // And for what they rest on.
        self.entries.reserve(orders + 8);
        self
    }

    /// A desk for a thread that must not wait: what is not in memory is [`Refusal::NotAtHand`].
    pub(super) fn at_hand(inner: &'s Inner) -> Self {
        let mut desk = Self::new(inner);
        desk.is_at_hand = true;
        desk
    }

    /// Takes an aggregate that is not in memory to be new; the log refuses the commit if it is not.
    pub(super) fn presume_absent(&mut self, key: Key) {
        if let hash_map::Entry::Vacant(vacant) = self.entries.entry(key) {
            let cached = self.inner.cache.get(&key);
            vacant.insert(cached.map_or_else(|| Entry::absent(key), Entry::from));
        }
    }

    /// Takes the claim of an aggregate if nobody else has it, and its newest state with it: what was read without the claim
    /// may have been changed since, and a state that is behind would be told from a newer one by nothing once the
    /// commits that build on it are as many as those that it lacks.
    pub(super) fn try_claim(&mut self, key: Key) -> Result<bool, Refusal> {
        if self.claims.contains(&key) {
            return Ok(true);
        }
        if !self.inner.claims.try_take(key) {
            return Ok(false);
        }
        self.claims.insert(key);
        self.entries.remove(&key);
        if let Some(cached) = self.inner.cache.get(&key)
            && self.inner.store.stream_version(&cached.stream)? != Some(cached.version)
        {
            self.inner.cache.remove(&key);
        }
        Ok(true)
    }

    /// Waits for the claim of an aggregate. The desk holds none yet, or only smaller ones.
    pub(super) fn claim(&mut self, key: Key) {
        debug_assert!(self.claims.iter().all(|held| *held < key), "claims are taken in order");
        self.inner.claims.take(key);
        self.claims.insert(key);
    }

    /// Puts an aggregate on the desk: from the cache, else from the log.
    pub(super) fn load(&mut self, key: Key) -> Result<&mut Entry, Refusal> {
        // Looked up twice, because a borrow that is returned early would last to the end.
        if !self.entries.contains_key(&key) {
            let entry = match self.inner.cache.get(&key) {
                Some(cached) => {
                    self.hits += 1;
                    Entry::from(cached)
                }
                None if self.is_at_hand => return Err(Refusal::NotAtHand),
                None => {
                    self.inner.counters.cache_misses.add(1);
                    self.inner.read(key)?
                }
            };
            self.entries.insert(key, entry);
        }
        self.entries.get_mut(&key).ok_or_else(|| Refusal::Fault("an entry is gone".to_owned()))
    }

    /// Whether the states that the last decision rested on are durable and still the newest ones.
    pub(super) fn is_current(&self, target: Key) -> Result<bool, Refusal> {
        for key in std::iter::once(&target).chain(&self.rests_on) {
            let Some(entry) = self.entries.get(key) else { continue };
            if entry.is_dirty || self.inner.store.stream_version(&entry.stream)? != entry.version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A tag, made once.
    pub(super) fn tag(tags: &mut FxHashSet<Tag>, text: &str) -> Option<Tag> {
        if let Some(tag) = tags.get(text) {
            return Some(tag.clone());
        }
        // The domain's tags are prefixes and UUIDs, which always are tags.
        let tag = Tag::new(text).ok()?;
        tags.insert(tag.clone());
        Some(tag)
    }

    pub(super) fn parts(&mut self, key: Key) -> Option<Parts<'_>> {
        let entry = self.entries.get_mut(&key)?;
        // Whoever decides about single orders begins anew for each.
        Some(Parts { entry, tags: &mut self.tags, delta: self.is_atomic.then_some(&mut self.census_delta) })
    }

    pub(super) fn tags(&mut self) -> &mut FxHashSet<Tag> {
        &mut self.tags
    }

    /// A state's commits up to `next` are durable.
    pub(super) fn is_durable(&mut self, key: Key, next: Position) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.as_of = Some(next);
        }
    }

    /// Hands what was changed to the cache, or has the cache forget what failed; gives the claims back.
    pub(super) fn clear(&mut self, failed: &FxHashSet<Key>) {
        for (key, entry) in self.entries.drain() {
            if failed.contains(&key) {
                self.inner.cache.remove(&key);
            } else if entry.is_dirty || !entry.is_cached {
                self.inner.keep(key, entry);
            }
        }
        for key in failed {
            self.inner.cache.remove(key);
        }
        self.release();
    }

    /// Has the cache forget everything that lies here; keeps the claims.
    pub(super) fn discard(&mut self) {
        for (key, _) in self.entries.drain() {
            self.inner.cache.remove(&key);
        }
        self.census_delta.clear();
        self.rests_on.clear();
    }

    fn release(&mut self) {
        self.rests_on.clear();
        self.turns.clear();
        for key in self.claims.drain() {
            self.inner.claims.release(&key);
        }
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.inner.counters.cache_hits.add(self.hits);
        self.release();
    }
}

/// An entry and what is needed beside it to write its events.
pub(super) struct Parts<'d> {
    pub(super) entry: &'d mut Entry,
    pub(super) tags: &'d mut FxHashSet<Tag>,
    pub(super) delta: Option<&'d mut FxHashMap<Place, i64>>,
}

impl Entry {
    /// What has no history.
    fn absent(key: Key) -> Self {
        Self {
            stream: key.stream(),
            state: State::absent(key.kind),
            version: None,
            as_of: Some(Position::ZERO),
            weight: 0,
            kept: 0,
            is_dirty: false,
            is_cached: false,
        }
    }

    pub(super) fn into_cached(self) -> Option<Cached> {
        // What does not exist, or is not known to be durable, is not kept.
        let (version, as_of) = (self.version?, self.as_of?);
        let Self { stream, state, weight, kept, .. } = self;
        Some(Cached { stream, state, version, as_of, weight, kept })
    }
}

impl From<Cached> for Entry {
    fn from(cached: Cached) -> Self {
        Self {
            stream: cached.stream,
            state: cached.state,
            version: Some(cached.version),
            as_of: Some(cached.as_of),
            weight: cached.weight,
            kept: cached.kept,
            is_dirty: false,
            is_cached: true,
        }
    }
}

impl Inner {
    /// Hands a state to the cache. Nothing guards what roles are read from, so the cache must not go back to what was
    /// read before somebody else's commit: whoever did not write looks whether it is still the newest afterwards.
    fn keep(&self, key: Key, entry: Entry) {
        let was_read = !entry.is_dirty;
        let Some(cached) = entry.into_cached() else { return };
        let (stream, version) = (cached.stream.clone(), cached.version);
        self.put(key, cached);
        if was_read && !self.store.stream_version(&stream).is_ok_and(|newest| newest == Some(version)) {
            self.cache.remove(&key);
        }
    }

    /// An aggregate's state: its newest snapshot and the events since, or its whole history.
    pub(super) fn read(&self, key: Key) -> Result<Entry, Refusal> {
        let mut entry = Entry::absent(key);
        if self.store.stream_version(&entry.stream)?.is_none() {
            return Ok(entry);
        }
        let newest = self.keeper.as_ref().and_then(|keeper| keeper.newest(&self.store, key, &entry.stream));
        let snapshot = newest.map(|(version, weight, state)| {
            self.counters.snapshots_loaded.add(1);
            entry.kept = version.get() + 1;
            (entry.weight, entry.state) = (weight, state);
            version
        });
        // With the snapshot's last event, because that one tells the position.
        let from = snapshot.unwrap_or(Version::ZERO);
        let events = self.store.read_stream(&entry.stream, from, Direction::Forward, usize::MAX)?;
        self.counters.events_read.add(events.len() as u64);
        for event in events {
            let view = event.get().ok_or_else(|| Refusal::Fault("an event cannot be read".to_owned()))?;
            let fault = |reason: &str| {
                Refusal::Fault(format!("{} at position {}: {reason}", view.event_type(), view.position()))
            };
            entry.version = Some(view.version());
            entry.as_of = Some(view.position().plus(1));
            if snapshot.is_some_and(|snapshot| view.version() <= snapshot) {
                continue;
            }
            let decoded = codec::decode(view.event_type(), view.schema_version(), view.payload())
                .map_err(|error| fault(&error.to_string()))?;
            // A decision must not be taken on half of the truth.
            let Decoded::Known(event) = decoded else {
                return Err(fault("it was written by a newer build, which has to take this decision"));
            };
            if !entry.state.fold(&event) {
                return Err(fault("it does not belong into this stream"));
            }
            entry.weight += view.payload().len();
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::key::{Held, Kind};
    use crate::service::{CommandService, Conditions, Intent, Order, Origin, command_id};
    use domain::workspace::{AddMember, Command, Workspace};
    use eventstore::{Fingerprint, Store, StoreOptions};
    use uuid::Uuid;

    /// Roles are read from the cache and not guarded, so the cache must never go back.
    #[test]
    fn a_state_that_was_read_before_a_commit_does_not_outlive_it_in_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { segment_bytes: 1 << 20, ..StoreOptions::default() };
        let service = CommandService::open(Store::open(dir.path(), &options).unwrap());
        let key = Key::new(Kind::Workspace, Uuid::from_u128(1));
        let run = |intent| {
            let order = Order {
                target: Some(key.id),
                intent,
                conditions: Conditions::default(),
                command: command_id(),
                fingerprint: Fingerprint::of(&[]),
                origin: Origin::default(),
            };
            service.execute(&order).unwrap();
        };
        let create = serde_json::from_value(serde_json::json!({"name": "w"})).unwrap();
        run(Intent::CreateWorkspace(create));
        let inner = &*service.0;
        inner.cache.remove(&key);
        let mut slow = Desk::new(inner);
        slow.load(key).unwrap();
        let member = AddMember { member: "mia".to_owned(), role: domain::Role::Viewer };
        run(Intent::Workspace(Command::AddMember(member)));
        // Where it has been pushed out meanwhile, nothing newer stands in the way of the old state.
        inner.cache.remove(&key);
        slow.clear(&FxHashSet::default());
        let mut next = Desk::new(inner);
        let workspace = Workspace::of(&next.load(key).unwrap().state).unwrap();
        assert_eq!(workspace.role("mia"), Some(domain::Role::Viewer));
    }
}
