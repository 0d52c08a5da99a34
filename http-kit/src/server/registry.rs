//! All connections of a server: what each is doing, since when, and who is closed for it.
//!
//! ```text
//! idle ─ first byte ─▶ head ─ complete ─▶ busy ─ answer written ─▶ idle
//!   └────────┴─ too long, or the place is needed ─▶ closing
//! ```
//!
//! Invariant: a connection is closed only while no request of it is being carried out, save that its client takes
//! nothing of an answer. Who moves a connection out of its phase first has it: a request whose head was complete before
//! the closing is carried out, one that comes after is never begun.
//!
//! Times are counted in ticks by one watchman for all connections: a timer per connection would have to be set and
//! taken back with every request.

use crate::limits::{AddressKey, Limits, Seconds};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;
const CLOSING: u8 = 3;

/// How long a new connection waits for a place before idle ones are looked for again.
const PLACE_POLL: Duration = Duration::from_millis(50);

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
    places: Arc<Semaphore>,
    tick: Duration,
    idle_ticks: u32,
    head_ticks: u32,
    write_ticks: u32,
    now: AtomicU32,
    next_id: AtomicU64,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    by_address: Mutex<HashMap<AddressKey, u32>>,
    /// Bytes of bodies under way, which are held whole until their requests are answered; and how many there may be.
    bodies: AtomicUsize,
    bodies_max: usize,
}

/// One connection. Its task holds it, and the registry.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    registry: Arc<Registry>,
    phase: AtomicU8,
    /// The tick at which the phase began.
    since: AtomicU32,
    /// The tick after the one since which the client takes nothing; 0 while it does.
    stuck: AtomicU32,
    task: OnceLock<AbortHandle>,
    /// Bytes of the request's body that count.
    body: AtomicUsize,
}

/// Bytes of a body that do not count: as many as every connection may have in its buffers anyway.
const BODY_BYTES_FREE: usize = 64 << 10;

/// The right to one connection. What is dropped is counted no more.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<Registry>,
    id: u64,
    counted: Option<AddressKey>,
    _place: OwnedSemaphorePermit,
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let settings = limits.settings();
        let [idle, head, write] =
            [settings.idle_seconds, settings.head_seconds, settings.write_seconds].map(Seconds::get);
        // Times are kept to an eighth, and nobody looks more often than needed.
        let shortest = idle.min(head).min(write);
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let ticks = |time: Duration| {
            u32::try_from(time.as_micros().div_ceil(tick.as_micros().max(1))).unwrap_or(u32::MAX)
        };
        Arc::new(Self {
            places: Arc::new(Semaphore::new(limits.connections().min(Semaphore::MAX_PERMITS))),
            tick,
            idle_ticks: ticks(idle),
            head_ticks: ticks(head),
            write_ticks: ticks(write),
            now: AtomicU32::new(0),
            next_id: AtomicU64::new(0),
            connections: Mutex::default(),
            by_address: Mutex::default(),
            bodies_max: usize::try_from(settings.body_memory)
                .map_or(usize::MAX, |mib| mib.saturating_mul(1 << 20)),
            bodies: AtomicUsize::new(0),
            limits,
        })
    }

    /// A place for a connection that was accepted; none where its address has enough. Where all places are taken, the
    /// connection that has been idle the longest gives way; where none is idle, the new one waits.
    pub(super) async fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<(Arc<Connection>, Ticket)> {
        let counted = self.count(peer.ip())?;
        // Whoever is counted has to be uncounted, also if this future is dropped while it waits.
        let uncount = Uncount { registry: self, key: counted };
        let place = loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                break place;
            }
            self.close_idlest();
            match tokio::time::timeout(PLACE_POLL, Arc::clone(&self.places).acquire_owned()).await {
                Ok(place) => break place.ok()?,
                Err(_) => continue,
            }
        };
        std::mem::forget(uncount);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            peer,
            registry: Arc::clone(self),
            phase: AtomicU8::new(IDLE),
            since: AtomicU32::new(self.now.load(Ordering::Relaxed)),
            stuck: AtomicU32::new(0),
            task: OnceLock::new(),
            body: AtomicUsize::new(0),
        });
        self.connections.lock().insert(id, Arc::clone(&connection));
        Some((connection, Ticket { registry: Arc::clone(self), id, counted, _place: place }))
    }

    /// Counts a connection of an address. The inner value says whether it is counted at all.
    fn count(&self, address: IpAddr) -> Option<Option<AddressKey>> {
        let address = address.to_canonical();
        // Everything on this machine, and everybody behind a proxy, shares one address.
        if address.is_loopback() || self.limits.proxies().contains(address) {
            return Some(None);
        }
        let key = AddressKey::of(address);
        let mut by_address = self.by_address.lock();
        let count = by_address.entry(key).or_default();
        if *count >= self.limits.settings().connections_per_address.max(1) {
            return None;
        }
        *count += 1;
        Some(Some(key))
    }

    fn uncount(&self, key: AddressKey) {
        let mut by_address = self.by_address.lock();
        if let Some(count) = by_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&key);
            }
        }
    }

    /// Closes the connection that has been idle the longest, if there is one.
    fn close_idlest(&self) {
        let connections = self.connections.lock();
        let now = self.now.load(Ordering::Relaxed);
        let idlest = connections
            .values()
            .filter(|connection| connection.phase.load(Ordering::Relaxed) == IDLE)
            .max_by_key(|connection| connection.age(now));
        if let Some(connection) = idlest {
            connection.close(IDLE);
        }
    }

    /// Closes what takes too long, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.now.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            for connection in self.connections.lock().values() {
                connection.look(now, &self);
            }
        }
    }
}

struct Uncount<'r> {
    registry: &'r Registry,
    key: Option<AddressKey>,
}

impl Drop for Uncount<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.registry.uncount(key);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.registry.connections.lock().remove(&self.id);
        if let Some(key) = self.counted {
            self.registry.uncount(key);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.forget_body();
    }
}

impl Connection {
    /// Tells whom to end when it has to be closed.
    pub(super) fn is_run_by(&self, task: AbortHandle) {
        // Set once, by the only one who spawns it.
        let _ = self.task.set(task);
    }

    fn age(&self, now: u32) -> u32 {
        now.wrapping_sub(self.since.load(Ordering::Relaxed))
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        // The time first: seen with the old phase it only makes the connection look younger.
        self.since.store(self.registry.now.load(Ordering::Relaxed), Ordering::Relaxed);
        self.phase.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Bytes have come.
    pub(super) fn has_read(&self) {
        if self.phase.load(Ordering::Relaxed) == IDLE {
            self.moves(IDLE, HEAD);
        }
    }

    /// A head is complete. False if the connection is being closed: the request must not be begun.
    pub(super) fn begins(&self) -> bool {
        // A head that had come with the request before it finds the connection idle.
        self.moves(HEAD, BUSY) || self.moves(IDLE, BUSY)
    }

    /// A body has grown from one length to another. False when all bodies together would be too long.
    pub(super) fn body_grows(&self, from: usize, to: usize) -> bool {
        let counts = to.saturating_sub(from.max(BODY_BYTES_FREE));
        if counts == 0 {
            return true;
        }
        let registry = &self.registry;
        if registry.bodies.fetch_add(counts, Ordering::Relaxed).saturating_add(counts) > registry.bodies_max {
            registry.bodies.fetch_sub(counts, Ordering::Relaxed);
            return false;
        }
        self.body.fetch_add(counts, Ordering::Relaxed);
        true
    }

    fn forget_body(&self) {
        // Most bodies are short, and a line that nobody writes is everybody's.
        if self.body.load(Ordering::Relaxed) > 0 {
            let counted = self.body.swap(0, Ordering::Relaxed);
            self.registry.bodies.fetch_sub(counted, Ordering::Relaxed);
        }
    }

    /// The answer has been handed over.
    pub(super) fn ends(&self) {
        self.forget_body();
        self.moves(BUSY, IDLE);
    }

    /// The client takes nothing more for the moment, or takes something again.
    pub(super) fn is_stuck(&self, stuck: bool) {
        let tick = if stuck { self.registry.now.load(Ordering::Relaxed).wrapping_add(1).max(1) } else { 0 };
        self.stuck.store(tick, Ordering::Relaxed);
    }

    fn look(&self, now: u32, limits: &Registry) {
        let stuck = self.stuck.load(Ordering::Relaxed);
        if stuck != 0 && now.wrapping_sub(stuck.wrapping_sub(1)) > limits.write_ticks {
            tracing::debug!(peer = %self.peer, "closed: the client takes nothing of its answer");
            self.end();
            return;
        }
        match self.phase.load(Ordering::Relaxed) {
            IDLE if self.age(now) > limits.idle_ticks => {
                self.close(IDLE);
            }
            HEAD if self.age(now) > limits.head_ticks && self.close(HEAD) => {
                tracing::debug!(peer = %self.peer, "closed: the head of a request took too long");
            }
            _ => {}
        }
    }

    fn close(&self, from: u8) -> bool {
        let is_ours = self.phase.compare_exchange(from, CLOSING, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if is_ours {
            self.end();
        }
        is_ours
    }

    fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LimitSettings;

    fn registry(settings: LimitSettings) -> Arc<Registry> {
        Registry::new(Limits::new(settings))
    }

    async fn admit(registry: &Arc<Registry>, peer: &str) -> Option<Ticket> {
        registry.admit(peer.parse().unwrap()).await.map(|(_, ticket)| ticket)
    }

    #[tokio::test]
    async fn an_address_has_its_part_and_gets_it_back() {
        let registry = registry(LimitSettings {
            connections_per_address: 2,
            trusted_proxies: "10.0.0.0/8".parse().unwrap(),
            ..LimitSettings::default()
        });
        let one = admit(&registry, "192.0.2.1:1").await.unwrap();
        let _two = admit(&registry, "192.0.2.1:2").await.unwrap();
        assert!(admit(&registry, "192.0.2.1:3").await.is_none());
        assert!(admit(&registry, "192.0.2.2:3").await.is_some());
        let _six = [admit(&registry, "[2001:db8::1]:1").await, admit(&registry, "[2001:db8::2]:1").await];
        assert!(admit(&registry, "[2001:db8::3]:1").await.is_none(), "one client has all of a /64");
        drop(one);
        assert!(admit(&registry, "192.0.2.1:3").await.is_some());
        let mut shared = Vec::new();
        for peer in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "10.1.2.3:1"] {
            for _ in 0..5 {
                shared.push(admit(&registry, peer).await.unwrap());
            }
        }
        assert_eq!(registry.connections.lock().len(), 1 + 2 + 20);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_counted_no_more() {
        let registry = registry(LimitSettings { connections: 1, ..LimitSettings::default() });
        let (connection, _ticket) = registry.admit("192.0.2.1:1".parse().unwrap()).await.unwrap();
        assert!(connection.begins());
        let waits = registry.admit("192.0.2.2:1".parse().unwrap());
        assert!(tokio::time::timeout(PLACE_POLL * 3, waits).await.is_err(), "the only one is busy");
        assert_eq!(registry.by_address.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_is_being_closed_begins_no_request() {
        let registry = registry(LimitSettings::default());
        let (connection, _ticket) = registry.admit("192.0.2.1:1".parse().unwrap()).await.unwrap();
        assert!(connection.begins());
        assert!(!connection.close(IDLE), "it is busy");
        connection.ends();
        connection.has_read();
        assert!(!connection.close(IDLE) && connection.close(HEAD));
        assert!(!connection.begins());
    }
}
