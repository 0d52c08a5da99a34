//! Who is to be woken by what: subscribers by topic, and the bell of each.
//!
//! Invariant: a bell that has been rung stays so until its subscriber has looked, and remembers the first and the last
//! position that it was rung for: it takes the same room however often it rings.

use domain::system::{self, consumers::ACKNOWLEDGED};
use domain::{Extras, tags};
use eventstore::{EventView, Position, RecordedCommit};
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// To be of this type, and to belong to the tenant if one is named.
    Type(Option<Uuid>, String),
    /// To be this person's deed, or done on this person's behalf, and to belong to the tenant if one is named.
    Person(Option<Uuid>, String),
    /// To be in a stream of this category.
    Category(String),
    /// To be in no stream of the system's own.
    Ordinary,
    /// To be in this stream, which says where a consumer is. It is told by [`Bell::has_news`], and of an acknowledgement
    /// nobody is woken who does not wait for one.
    Control(String),
}

/// Where there is something for a subscriber: nothing before `first`, and nothing known from `next` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) first: Position,
    pub(crate) next: Position,
}

/// Wakes one subscriber.
#[derive(Debug, Default)]
pub(super) struct Bell {
    touched: Mutex<Option<Touched>>,
    notify: Notify,
    /// The stream of a consumer has something new.
    has_news: AtomicBool,
    /// Nothing goes on without an acknowledgement.
    heeds_acknowledgements: AtomicBool,
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

    /// Says that the consumer's stream has something new. Answers whether somebody was woken for that.
    fn tell(&self, is_acknowledgement: bool) -> bool {
        // First, as whoever begins to heed looks at it afterwards: one of the two sees the other.
        let was_told = self.has_news.swap(true, Ordering::SeqCst);
        if is_acknowledgement && !self.heeds_acknowledgements.load(Ordering::SeqCst) {
            return false;
        }
        self.notify.notify_one();
        !was_told
    }

    /// Whether the consumer's stream has something new since this was taken last.
    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::SeqCst)
    }

    /// The same; there is nothing new then.
    pub(super) fn take_news(&self) -> bool {
        self.has_news.swap(false, Ordering::SeqCst)
    }

    /// Says whether an acknowledgement is worth being woken for.
    pub(super) fn heed_acknowledgements(&self, heeds: bool) {
        self.heeds_acknowledgements.store(heeds, Ordering::SeqCst);
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

/// Bells by a name, for each tenant by itself and for all of them.
#[derive(Debug, Default)]
struct ByTenant(HashMap<Option<Uuid>, HashMap<String, Bells>>);

impl ByTenant {
    fn enter(&mut self, tenant: Option<Uuid>, name: &str) -> &mut Bells {
        self.0.entry(tenant).or_default().entry(name.to_owned()).or_default()
    }

    fn leave(&mut self, tenant: Option<Uuid>, name: &str, id: u64) {
        if let Some(names) = self.0.get_mut(&tenant) {
            take_out(names, name, id);
            if names.is_empty() {
                self.0.remove(&tenant);
            }
        }
    }

    fn each(&self, tenants: &[Option<Uuid>], name: &str, mut ring: impl FnMut(Option<&Bells>)) {
        for tenant in tenants {
            ring(self.0.get(tenant).and_then(|names| names.get(name)));
        }
    }

    fn all(&self) -> impl Iterator<Item = &Bells> {
        self.0.values().flat_map(HashMap::values)
    }
}

/// All subscribers by their topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    next_id: u64,
    count: usize,
    everything: Bells,
    streams: HashMap<String, Bells>,
    tags: HashMap<String, Bells>,
    tenants: HashMap<Uuid, Bells>,
    types: ByTenant,
    persons: ByTenant,
    categories: HashMap<String, Bells>,
    ordinary: Bells,
    controls: HashMap<String, Bells>,
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
                Topic::Type(tenant, name) => self.types.enter(*tenant, name),
                Topic::Person(tenant, name) => self.persons.enter(*tenant, name),
                Topic::Category(name) => self.categories.entry(name.clone()).or_default(),
                Topic::Ordinary => &mut self.ordinary,
                Topic::Control(name) => self.controls.entry(name.clone()).or_default(),
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
                Topic::Type(tenant, name) => self.types.leave(*tenant, name, id),
                Topic::Person(tenant, name) => self.persons.leave(*tenant, name, id),
                Topic::Category(name) => take_out(&mut self.categories, name, id),
                Topic::Ordinary => drop(self.ordinary.remove(&id)),
                Topic::Control(name) => take_out(&mut self.controls, name, id),
            }
        }
    }

    /// Rings those whom something in the commit concerns, but for those whom everything does. Answers how many of the
    /// bells were silent.
    pub(super) fn touch(&self, commit: &RecordedCommit) -> u64 {
        // Without the bells that ring for everything nobody looks at events one by one.
        if self.everything.len() == self.count {
            return 0;
        }
        let needs_tenants =
            !self.tenants.is_empty() || !self.types.0.is_empty() || !self.persons.0.is_empty();
        let mut tenants: Vec<Option<Uuid>> = Vec::new();
        let mut woken = 0;
        for event in commit.events() {
            let (first, next) = (event.position(), commit.next());
            let mut ring = |bells: Option<&Bells>| {
                for bell in bells.into_iter().flat_map(HashMap::values) {
                    woken += u64::from(bell.ring(first, next));
                }
            };
            ring(self.streams.get(event.stream()));
            tenants.clear();
            tenants.push(None);
            for tag in event.tags() {
                ring(self.tags.get(tag));
                if needs_tenants
                    && let Some(tenant) =
                        tag.strip_prefix(tags::WORKSPACE).and_then(|id| Uuid::try_parse(id).ok())
                {
                    ring(self.tenants.get(&tenant));
                    tenants.push(Some(tenant));
                }
            }
            self.types.each(&tenants, event.event_type(), &mut ring);
            if !self.persons.0.is_empty() {
                self.ring_persons(&event, &tenants, &mut ring);
            }
            if !self.categories.is_empty() {
                ring(event.stream().split('-').next().and_then(|category| self.categories.get(category)));
            }
            if !event.stream().starts_with(system::STREAM_PREFIX) {
                ring(Some(&self.ordinary));
            } else if let Some(bells) = self.controls.get(event.stream()) {
                let is_acknowledgement = event.event_type() == ACKNOWLEDGED;
                woken += bells.values().map(|bell| u64::from(bell.tell(is_acknowledgement))).sum::<u64>();
            }
        }
        woken
    }

    /// Rings those whom whoever did it concerns.
    fn ring_persons(
        &self,
        event: &EventView<'_>,
        tenants: &[Option<Uuid>],
        mut ring: impl FnMut(Option<&Bells>),
    ) {
        let metadata = event.metadata();
        // What names nobody is nobody's, for subscribers as well.
        let Ok(extras) = Extras::decode(metadata.extras()) else { return };
        self.persons.each(tenants, extras.actor(), &mut ring);
        if let Some(person) = extras.on_behalf_of().filter(|person| *person != extras.actor()) {
            self.persons.each(tenants, person, &mut ring);
        }
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
        let named = named.chain(self.types.all()).chain(self.persons.all());
        let named = named.chain(self.categories.values()).chain(self.controls.values());
        named.chain([&self.everything, &self.ordinary]).flat_map(HashMap::values)
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
