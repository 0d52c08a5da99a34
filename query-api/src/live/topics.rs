//! Who is to be woken by what: subscribers by topic, and the bell of each.
//!
//! Invariant: a bell that has been rung stays so until its subscriber has looked, and remembers the first and the last
//! position that it was rung for: it takes the same room however often it rings.

use domain::tags;
use eventstore::{Position, RecordedCommit};
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// What an event has to have to concern a subscriber. It may concern him and still not be wanted, never the reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Nothing: every event concerns him.
    Everything,
    /// To be in this stream.
    Stream(String),
    /// To have this tag.
    Tag(String),
    /// To belong to this tenant.
    Tenant(Uuid),
}

/// Where there is something for a subscriber: nothing before `first`, and nothing known from `next` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) first: Position,
    pub(super) next: Position,
}

/// Wakes one subscriber.
#[derive(Debug, Default)]
pub(super) struct Bell {
    touched: Mutex<Option<Touched>>,
    notify: Notify,
}

impl Bell {
    /// Says that there is something at `first`, and nothing more before `next`. Answers whether it was silent before.
    fn ring(&self, first: Position, next: Position) -> bool {
        let mut touched = self.touched.lock();
        match &mut *touched {
            Some(touched) => {
                touched.next = touched.next.max(next);
                false
            }
            None => {
                *touched = Some(Touched { first, next });
                drop(touched);
                self.notify.notify_one();
                true
            }
        }
    }

    /// Wakes the subscriber though there is nothing to read.
    pub(super) fn shake(&self) {
        self.notify.notify_one();
    }

    /// What it was rung for; it is silent then.
    pub(super) fn take(&self) -> Option<Touched> {
        self.touched.lock().take()
    }

    /// Comes when it has been rung or shaken since this was awaited last.
    pub(super) async fn rung(&self) {
        self.notify.notified().await;
    }
}

/// The bells under one topic, by the numbers of their subscribers.
type Bells = HashMap<u64, Arc<Bell>>;

/// All subscribers by their topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    next_id: u64,
    count: usize,
    everything: Bells,
    streams: HashMap<String, Bells>,
    tags: HashMap<String, Bells>,
    tenants: HashMap<Uuid, Bells>,
}

impl Topics {
    /// Subscribers there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Enters a bell under its topics and gives it a number.
    pub(super) fn join(&mut self, topics: &[Topic], bell: &Arc<Bell>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.count += 1;
        for topic in topics {
            let bells = match topic {
                Topic::Everything => &mut self.everything,
                Topic::Stream(name) => self.streams.entry(name.clone()).or_default(),
                Topic::Tag(name) => self.tags.entry(name.clone()).or_default(),
                Topic::Tenant(tenant) => self.tenants.entry(*tenant).or_default(),
            };
            bells.insert(id, Arc::clone(bell));
        }
        id
    }

    /// Takes a bell out again; `topics` are those that it was entered under.
    pub(super) fn leave(&mut self, id: u64, topics: &[Topic]) {
        self.count = self.count.saturating_sub(1);
        for topic in topics {
            match topic {
                Topic::Everything => drop(self.everything.remove(&id)),
                Topic::Stream(name) => take_out(&mut self.streams, name, id),
                Topic::Tag(name) => take_out(&mut self.tags, name, id),
                Topic::Tenant(tenant) => take_out(&mut self.tenants, tenant, id),
            }
        }
    }

    /// Rings those whom something in the commit concerns, but for those whom everything does. Answers how many of the
    /// bells were silent.
    pub(super) fn touch(&self, commit: &RecordedCommit) -> u64 {
        if self.streams.is_empty() && self.tags.is_empty() && self.tenants.is_empty() {
            return 0;
        }
        let mut woken = 0;
        for event in commit.events() {
            let (first, next) = (event.position(), commit.next());
            let mut ring = |bells: Option<&Bells>| {
                for bell in bells.into_iter().flat_map(HashMap::values) {
                    woken += u64::from(bell.ring(first, next));
                }
            };
            ring(self.streams.get(event.stream()));
            for tag in event.tags() {
                ring(self.tags.get(tag));
                if !self.tenants.is_empty()
                    && let Some(tenant) =
                        tag.strip_prefix(tags::WORKSPACE).and_then(|id| Uuid::try_parse(id).ok())
                {
                    ring(self.tenants.get(&tenant));
                }
            }
        }
        woken
    }

    /// Rings those whom everything concerns.
    pub(super) fn touch_everything(&self, first: Position, next: Position) -> u64 {
        self.everything.values().map(|bell| u64::from(bell.ring(first, next))).sum()
    }

    /// Rings everybody: what happened between the positions is not known.
    pub(super) fn touch_all(&self, first: Position, next: Position) -> u64 {
        self.all().map(|bell| u64::from(bell.ring(first, next))).sum()
    }

    /// Every bell; one with several topics several times.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Bell>> {
        let named = self.streams.values().chain(self.tags.values()).chain(self.tenants.values());
        named.chain([&self.everything]).flat_map(HashMap::values)
    }
}

/// Takes a bell out of a topic, and the topic with the last one: topics come from clients.
fn take_out<K: Eq + Hash + Borrow<Q>, Q: Eq + Hash + ?Sized>(
    topics: &mut HashMap<K, Bells>,
    topic: &Q,
    id: u64,
) {
    if let Some(bells) = topics.get_mut(topic) {
        bells.remove(&id);
        if bells.is_empty() {
            topics.remove(topic);
        }
    }
}
