//! An issuer's public keys, as they are now.
//!
//! ```text
//! timer (refresh, or what Cache-Control says) ─┐
//! a token with an unknown kid (floor) ─────────┴─▶ one reading at a time ─▶ set ─▶ swapped, and a new edition
//! ```
//!
//! Invariant: a reading that fails changes nothing. Tokens cannot make more readings than one per floor, and all that wait
//! for keys wait for the same reading.

mod set;
mod source;

pub(super) use set::Key;

use super::Rules;
use parking_lot::{Mutex, RwLock};
use set::KeySet;
use source::{Read, Source};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often a file is looked at: that costs nothing.
const FILE_REFRESH_MAX: Duration = Duration::from_secs(5);

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read the keys in {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The URL gives none.
    #[error("cannot fetch the keys from {url}: {reason}")]
    Fetch {
        /// The URL.
        url: String,
        /// What happened.
        reason: String,
    },
    /// This machine trusts nobody, so no server can prove who it is.
    #[error("cannot fetch keys over TLS: {reason}")]
    Roots {
        /// What is wrong with its certificates.
        reason: String,
    },
    /// What was read are no keys.
    #[error("the keys of the issuer cannot be used: {reason}")]
    Document {
        /// Why.
        reason: String,
    },
}

/// The keys. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    refresh: Duration,
    floor: Duration,
    current: RwLock<Arc<KeySet>>,
    /// Counts the changes of `current`, from 1. Written while `current` is locked.
    edition: AtomicU64,
    /// Held while the source is read.
    reading: tokio::sync::Mutex<()>,
    /// Readings that ended, well or not.
    readings: AtomicU64,
    failures: AtomicU64,
    /// When a token last made us read.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    /// Reads the keys, and goes on reading them.
    pub(super) async fn open(rules: &Rules) -> Result<Self, KeysError> {
        let source = Source::new(&rules.jwks)?;
        let refresh = if source.is_file() { rules.refresh.min(FILE_REFRESH_MAX) } else { rules.refresh };
        let inner = Arc::new(Inner {
            source,
            refresh,
            floor: rules.unknown_key_floor,
            current: RwLock::default(),
            edition: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            readings: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            asked: Mutex::new(None),
        });
        let pause = inner.read().await?;
        if inner.current.read().len() == 0 {
            let reason = "there is none for EdDSA (Ed25519) or ES256 (P-256)".to_owned();
            return Err(KeysError::Document { reason });
        }
        tokio::spawn(keep_reading(Arc::downgrade(&inner), pause));
        Ok(Self(inner))
    }

    /// The edition of the keys that counts now.
    pub(super) fn edition(&self) -> u64 {
        self.0.edition.load(Ordering::Acquire)
    }

    /// The key of a name, with the edition that it is of. One that is not known may be new, so the source is asked, if it has
    /// not been for a while.
    pub(super) async fn find(&self, kid: Option<&str>) -> Option<(Arc<Key>, u64)> {
        let found = self.0.find(kid);
        if found.is_some() || kid.is_none() {
            return found;
        }
        let readings = self.0.readings.load(Ordering::Acquire);
        {
            let _reading = self.0.reading.lock().await;
            // Otherwise somebody has read while this waited.
            if self.0.readings.load(Ordering::Acquire) == readings {
                if !self.0.may_ask() {
                    return None;
                }
                self.0.read_or_stay().await;
            }
        }
        self.0.find(kid)
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.0.current.read().len()
    }

    /// Readings that failed.
    pub(super) fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Reads now.
    #[cfg(test)]
    pub(super) async fn refresh(&self) {
        let _reading = self.0.reading.lock().await;
        self.0.read_or_stay().await;
    }
}

async fn keep_reading(inner: Weak<Inner>, first: Duration) {
    let mut pause = first;
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        let _reading = inner.reading.lock().await;
        pause = inner.read_or_stay().await;
    }
}

impl Inner {
    fn find(&self, kid: Option<&str>) -> Option<(Arc<Key>, u64)> {
        let current = self.current.read();
        // Read under the lock, so that it is the edition of this key.
        let edition = self.edition.load(Ordering::Acquire);
        current.find(kid).map(|key| (Arc::clone(key), edition))
    }

    /// Whether a token may make us read, which counts as having done so.
    fn may_ask(&self) -> bool {
        let mut asked = self.asked.lock();
        let may = asked.is_none_or(|asked| asked.elapsed() >= self.floor);
        if may {
            *asked = Some(Instant::now());
        }
        may
    }

    /// Reads; what goes wrong is told and counted, and the keys stay as they are. When to read next.
    async fn read_or_stay(&self) -> Duration {
        match self.read().await {
            Ok(pause) => pause,
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the issuer's keys stay what they were");
                self.refresh.min(self.floor)
            }
        }
    }

    async fn read(&self) -> Result<Duration, KeysError> {
        let read = self.source.read().await;
        self.readings.fetch_add(1, Ordering::AcqRel);
        let Read::Document { bytes, max_age } = read? else { return Ok(self.refresh) };
        let set = KeySet::parse(&bytes)?;
        let mut current = self.current.write();
        if **current != set {
            tracing::info!(keys = set.len(), "the issuer's keys have changed");
            if set.len() == 0 {
                tracing::error!("the issuer has no usable key any more: no token is taken");
            }
            *current = Arc::new(set);
            self.edition.fetch_add(1, Ordering::AcqRel);
        }
        // An issuer may ask to be read more often than we would, within limits; never less often, because that is how long
        // a key lives that it takes back.
        Ok(max_age.map_or(self.refresh, |max_age| max_age.max(self.floor).min(self.refresh)))
    }
}
