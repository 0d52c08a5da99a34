//! Token buckets by key: how often somebody may do something.
//!
//! Invariant: the number of buckets is bounded, whoever asks. A bucket that has filled up again is as good as a
//! new one, so it may be forgotten; where there are too many that have not, all further keys share one.

use dashmap::DashMap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Keys that have a bucket of their own at one time.
const KEYS_MAX: usize = 65_536;

/// How often buckets that are full again are looked for, at least as long as there are new keys.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// So many per second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: NonZeroU32,
    pub(crate) burst: NonZeroU32,
}

impl Rate {
    /// None where the rate is off. A burst is at least one, or nothing would ever pass.
    pub(crate) fn of(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        Some(Self { per_second, burst: NonZeroU32::new(burst).unwrap_or(per_second) })
    }

    /// Seconds in which an empty bucket fills, rounded up: the window of the policy.
    pub(crate) fn window_s(self) -> u32 {
        self.burst.get().div_ceil(self.per_second.get())
    }
}

/// What somebody may still do.
pub(crate) struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
    burst: NonZeroU32,
    /// As the last one saw it who took something out.
    remaining: AtomicU32,
    /// Whether it was asked for since the last sweep.
    is_used: AtomicBool,
    /// For the gate: until when its owner is refused, milliseconds by the gate's clock.
    pub(super) closed_until_ms: AtomicU64,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("burst", &self.burst).field("remaining", &self.remaining()).finish()
    }
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            limiter: RateLimiter::direct(quota).with_middleware(),
            burst: rate.burst,
            remaining: AtomicU32::new(rate.burst.get()),
            is_used: AtomicBool::new(true),
            closed_until_ms: AtomicU64::new(0),
        }
    }

    /// Takes out so many, or nothing; more than there can ever be counts as all there can be.
    ///
    /// # Errors
    /// The time after which it may succeed.
    pub(crate) fn take(&self, count: NonZeroU32) -> Result<(), Duration> {
        match self.limiter.check_n(count.min(self.burst)) {
            Ok(Ok(state)) => {
                self.remaining.store(state.remaining_burst_capacity(), Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(not_until)) => {
                self.remaining.store(0, Ordering::Relaxed);
                Err(not_until.wait_time_from(DefaultClock::default().now()))
            }
            // It was cut to the burst above.
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    /// What was left when something was taken out last.
    pub(crate) fn remaining(&self) -> u32 {
        self.remaining.load(Ordering::Relaxed)
    }
}

/// The buckets of all keys.
pub(crate) struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    by_key: DashMap<K, Arc<Bucket>>,
    others: Arc<Bucket>,
    since: Instant,
    swept_s: Mutex<u32>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_keys_max(rate, KEYS_MAX)
    }

    fn with_keys_max(rate: Rate, keys_max: usize) -> Self {
        Self {
            rate,
            keys_max,
            by_key: DashMap::new(),
            others: Arc::new(Bucket::new(rate)),
            since: Instant::now(),
            swept_s: Mutex::new(0),
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// The bucket of a key.
    pub(crate) fn of(&self, key: &K) -> Arc<Bucket> {
        if let Some(bucket) = self.by_key.get(key) {
            bucket.is_used.store(true, Ordering::Relaxed);
            return Arc::clone(&bucket);
        }
        self.sweep(u32::try_from(self.since.elapsed().as_secs()).unwrap_or(u32::MAX));
        if self.by_key.len() >= self.keys_max {
            return Arc::clone(&self.others);
        }
        Arc::clone(&self.by_key.entry(key.clone()).or_insert_with(|| Arc::new(Bucket::new(self.rate))))
    }

    /// The bucket of a key if there is one, or the one that it shares.
    pub(crate) fn find(&self, key: &K) -> Option<Arc<Bucket>> {
        let own = self.by_key.get(key).map(|bucket| Arc::clone(&bucket));
        own.or_else(|| (self.by_key.len() >= self.keys_max).then(|| Arc::clone(&self.others)))
    }

    /// Forgets the buckets that must be full again.
    fn sweep(&self, now_s: u32) {
        // Somebody is at it already: good.
        let Some(mut swept_s) = self.swept_s.try_lock() else { return };
        // Whoever was not seen between two sweeps has had at least the time in which a bucket fills.
        let every_s = u32::try_from(SWEEP_EVERY.as_secs()).unwrap_or(u32::MAX);
        let full_after_s = self.rate.window_s().saturating_add(1);
        let is_crowded = self.by_key.len() >= self.keys_max;
        let due_s = if is_crowded { full_after_s } else { full_after_s.max(every_s) };
        if now_s.saturating_sub(*swept_s) >= due_s {
            *swept_s = now_s;
            self.by_key.retain(|_, bucket| bucket.is_used.swap(false, Ordering::Relaxed));
        }
    }
}

impl<K: Hash + Eq> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("rate", &self.rate).field("keys", &self.by_key.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    /// One in a good hour: the clock plays no part in a test.
    fn slow(burst: u32) -> Bucket {
        let quota = Quota::with_period(Duration::from_secs(4000)).unwrap();
        let burst = NonZeroU32::new(burst).unwrap();
        Bucket {
            limiter: RateLimiter::direct(quota.allow_burst(burst)).with_middleware(),
            burst,
            remaining: AtomicU32::new(burst.get()),
            is_used: AtomicBool::new(true),
            closed_until_ms: AtomicU64::new(0),
        }
    }

    #[test]
    fn a_burst_passes_and_then_it_is_told_how_long_to_wait() {
        let bucket = slow(5);
        bucket.take(NonZeroU32::new(3).unwrap()).unwrap();
        assert_eq!(bucket.remaining(), 2);
        let wait = bucket.take(NonZeroU32::new(3).unwrap()).unwrap_err();
        assert!((3000..=4000).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(bucket.remaining(), 0);
        // Nothing was taken by what was refused.
        bucket.take(NonZeroU32::new(2).unwrap()).unwrap();
        assert!(bucket.take(one()).is_err());
    }

    #[test]
    fn more_than_the_burst_costs_all_of_it() {
        let bucket = slow(5);
        bucket.take(NonZeroU32::new(100).unwrap()).unwrap();
        assert!(bucket.take(one()).is_err());
    }

    #[test]
    fn a_bucket_fills_again() {
        let bucket = Bucket::new(Rate::of(1000, 1).unwrap());
        while bucket.take(one()).is_ok() {}
        while bucket.take(one()).is_err() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn keys_have_buckets_of_their_own_until_there_are_too_many() {
        let buckets = Buckets::with_keys_max(Rate::of(1, 1000).unwrap(), 3);
        let ours: Vec<_> = (0..6).map(|key| buckets.of(&key)).collect();
        assert!(Arc::ptr_eq(&ours[0], &buckets.of(&0)));
        assert!(!Arc::ptr_eq(&ours[0], &ours[1]));
        assert!(Arc::ptr_eq(&ours[3], &ours[5]) && Arc::ptr_eq(&ours[3], &buckets.others));
        assert_eq!(buckets.by_key.len(), 3);
    }

    #[test]
    fn what_is_full_again_is_forgotten() {
        let buckets = Buckets::with_keys_max(Rate::of(1, 10).unwrap(), 3);
        for key in 0..3 {
            buckets.of(&key);
        }
        buckets.sweep(11);
        assert_eq!(buckets.by_key.len(), 3, "they were used since the last time");
        buckets.of(&1);
        buckets.sweep(21);
        assert_eq!(buckets.by_key.len(), 3, "too soon: a bucket fills in ten seconds");
        buckets.sweep(22);
        assert!(buckets.by_key.contains_key(&1) && buckets.by_key.len() == 1, "{buckets:?}");
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::of(0, 100), None);
        assert_eq!(Rate::of(7, 0).unwrap().burst.get(), 7);
        assert_eq!(Rate::of(50_000, 100_000).unwrap().window_s(), 2);
        assert_eq!(Rate::of(7, 1).unwrap().window_s(), 1);
    }
}
