//! Pauses between attempts at what fails for the moment: longer each time, and never the same for everybody.

use std::time::Duration;
use uuid::Uuid;

/// The pause after the first failure, about.
const FIRST: Duration = Duration::from_millis(100);
/// No pause is longer than one and a half of this.
const LONGEST: Duration = Duration::from_secs(20);

/// How often something has failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It failed once more: how long to leave it alone.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Half of it to one and a half: processes that failed together do not come back together.
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let jitter = u32::try_from(random % 1_001).unwrap_or_default();
        pause * (500 + jitter) / 1_000
    }

    /// It went well.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        for attempt in 0..40 {
            let usual = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
            let pause = backoff.failed();
            assert!(pause >= usual / 2 && pause <= usual * 3 / 2, "{attempt}: {pause:?} around {usual:?}");
        }
        backoff.succeeded();
        assert!(backoff.failed() <= FIRST * 3 / 2);
        let pauses: std::collections::BTreeSet<_> =
            (0..50).map(|_| Backoff { failures: 5 }.failed()).collect();
        assert!(pauses.len() > 5, "they differ");
    }
}
