//! How fast something goes: a count per second of the last ten, so that a figure is recent and does not jump about.

use parking_lot::Mutex;
use std::time::Instant;

/// Seconds that are looked back upon.
const SECONDS: usize = 10;

/// Counts what happens, second by second.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// The second that each count is of, and the count; a second's place is its remainder.
    by_second: [(u64, u64); SECONDS],
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), counts: Mutex::default() }
    }

    /// So many more happened.
    pub(crate) fn note(&self, count: u64) {
        if count > 0 {
            self.counts.lock().note(self.began.elapsed().as_secs(), count);
        }
    }

    /// How many happened per second lately.
    pub(crate) fn per_second(&self) -> f64 {
        self.counts.lock().per_second(self.began.elapsed().as_secs())
    }
}

impl Counts {
    fn note(&mut self, second: u64, count: u64) {
        let (of, sum) = &mut self.by_second[place(second)];
        if *of != second {
            (*of, *sum) = (second, 0);
        }
        *sum = sum.saturating_add(count);
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn per_second(&self, now: u64) -> f64 {
        let is_recent = |second: u64| second <= now && now - second < SECONDS as u64;
        let recent = self.by_second.iter().filter(|(second, _)| is_recent(*second));
        let sum: u64 = recent.map(|(_, count)| count).sum();
        // Whoever began a moment ago has not had ten seconds yet.
        sum as f64 / (now + 1).min(SECONDS as u64) as f64
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of ten")]
fn place(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ten_seconds_count() {
        let mut counts = Counts::default();
        assert_eq!(counts.per_second(0), 0.0);
        counts.note(0, 60);
        counts.note(0, 40);
        assert_eq!(counts.per_second(0), 100.0);
        assert_eq!(counts.per_second(3), 25.0);
        assert_eq!(counts.per_second(9), 10.0);
        assert_eq!(counts.per_second(10), 0.0);
        counts.note(10, 50);
        assert_eq!(counts.per_second(10), 5.0);
        assert_eq!(counts.per_second(1_000), 0.0);
    }
}
