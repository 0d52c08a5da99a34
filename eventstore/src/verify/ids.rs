//! That no id stands twice, in 8 bytes an id: fingerprints are collected and sorted at the end. Only if two are alike,
//! which among honest ids practically never happens without a duplicate, the log is read again for the ids themselves.

use rustc_hash::FxHashSet;

/// Fingerprints are sorted in parts that fit a core's cache.
const PARTS_LOG: u32 = 10;

/// Whose id.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Event,
    Command,
}

/// 64 bits of an id. Ids of one fingerprint are compared whole afterwards, so it need not resist anybody.
pub(super) fn fingerprint(kind: Kind, id: &[u8; 16]) -> u64 {
    let [low, high] = [0, 8].map(|at| id[at..].first_chunk().copied().map_or(0, u64::from_le_bytes));
    let salt = match kind {
        Kind::Event => 0x9e37_79b9_7f4a_7c15,
        Kind::Command => 0xd1b5_4a32_d192_ed03,
    };
    // For one half of an id, another other half is another fingerprint.
    let mixed = (high ^ low.wrapping_mul(salt)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

/// All fingerprints, by their highest bits.
#[derive(Debug)]
pub(super) struct Ids(Vec<Vec<u64>>);

impl Ids {
    pub(super) fn new() -> Self {
        Self(vec![Vec::new(); 1 << PARTS_LOG])
    }

    pub(super) fn add(&mut self, fingerprints: &[u64]) {
        for fingerprint in fingerprints {
            self.0[(fingerprint >> (64 - PARTS_LOG)) as usize].push(*fingerprint);
        }
    }

    /// Those that stand more than once.
    pub(super) fn twice(mut self, threads: usize) -> FxHashSet<u64> {
        let share = self.0.len().div_ceil(threads.max(1));
        let twice = |parts: &mut [Vec<u64>]| {
            let mut found = Vec::new();
            for part in parts {
                part.sort_unstable();
                found.extend(part.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
            }
            found
        };
        std::thread::scope(|scope| {
            let sorting: Vec<_> =
                self.0.chunks_mut(share).map(|parts| scope.spawn(move || twice(parts))).collect();
            sorting.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_found_among_many() {
        let mut ids = Ids::new();
        let all: Vec<u64> = (0..50_000_u128).map(|id| fingerprint(Kind::Event, &id.to_le_bytes())).collect();
        ids.add(&all);
        ids.add(&[all[17], all[40_000], fingerprint(Kind::Command, &3_u128.to_le_bytes())]);
        assert_eq!(ids.twice(3), FxHashSet::from_iter([all[17], all[40_000]]));
    }
}
