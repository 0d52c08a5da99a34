//! That no id stands twice, by 8 bytes an id: fingerprints are collected and sorted at the end. Only if two are alike,
//! which among honest ids practically never happens without a duplicate, the log is read again for the ids themselves.

use rustc_hash::FxHashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

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

/// All fingerprints, by their highest bits: in memory as far as there is room, the rest in a temporary file without a name.
///
/// An external sort, cut the other way: what is written is cut by value and not yet in order, so each part is read back
/// whole and sorted once, and nothing has to be merged.
#[derive(Debug)]
pub(super) struct Ids {
    parts: Vec<Vec<u64>>,
    held: usize,
    room: usize,
    spill: Option<Spill>,
    /// Why the file could not be written; told at the end.
    failed: Option<io::Error>,
}

#[derive(Debug)]
struct Spill {
    file: File,
    len: u64,
    /// Of each part: where in the file there are some of it, and how many.
    runs: Vec<Vec<(u64, usize)>>,
}

impl Ids {
    /// Keeps at most `room` fingerprints of 8 bytes in memory until all are there.
    pub(super) fn new(room: usize) -> Self {
        Self { parts: vec![Vec::new(); 1 << PARTS_LOG], held: 0, room, spill: None, failed: None }
    }

    pub(super) fn add(&mut self, fingerprints: &[u64]) {
        if self.failed.is_some() {
            return;
        }
        for fingerprint in fingerprints {
            self.parts[(fingerprint >> (64 - PARTS_LOG)) as usize].push(*fingerprint);
        }
        self.held += fingerprints.len();
        if self.held > self.room {
            self.failed = self.write_out().err();
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => {
                let runs = vec![Vec::new(); self.parts.len()];
                self.spill.insert(Spill { file: tempfile::tempfile()?, len: 0, runs })
            }
        };
        for (part, runs) in self.parts.iter_mut().zip(&mut spill.runs) {
            if part.is_empty() {
                continue;
            }
            let bytes: Vec<u8> = part.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()).collect();
            spill.file.write_all_at(&bytes, spill.len)?;
            runs.push((spill.len, part.len()));
            spill.len += bytes.len() as u64;
            part.clear();
        }
        self.held = 0;
        Ok(())
    }

    /// Those that stand more than once.
    ///
    /// # Errors
    /// When the temporary file could not be made, written or read.
    pub(super) fn twice(mut self, threads: usize) -> io::Result<FxHashSet<u64>> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let spill = self.spill.as_ref();
        let share = self.parts.len().div_ceil(threads.max(1));
        let twice = |first: usize, parts: &mut [Vec<u64>]| {
            let mut found = Vec::new();
            for (index, part) in (first..).zip(parts) {
                if let Some(spill) = spill {
                    spill.read_back(index, part)?;
                }
                part.sort_unstable();
                found.extend(part.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
                // What another part needs is more than all that was allowed at a time.
                *part = Vec::new();
            }
            Ok(found)
        };
        std::thread::scope(|scope| {
            let shares = self.parts.chunks_mut(share).enumerate();
            let sorting: Vec<_> =
                shares.map(|(at, parts)| scope.spawn(move || twice(at * share, parts))).collect();
            let mut all = FxHashSet::default();
            for thread in sorting {
                let found: io::Result<Vec<u64>> =
                    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that sorts has failed")));
                all.extend(found?);
            }
            Ok(all)
        })
    }
}

impl Spill {
    fn read_back(&self, index: usize, part: &mut Vec<u64>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (offset, count) in self.runs.get(index).into_iter().flatten() {
            bytes.resize(count * size_of::<u64>(), 0);
            self.file.read_exact_at(&mut bytes, *offset)?;
            part.extend(bytes.as_chunks().0.iter().map(|fingerprint| u64::from_le_bytes(*fingerprint)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<u64> {
        (0..50_000_u128).map(|id| fingerprint(Kind::Event, &id.to_le_bytes())).collect()
    }

    #[test]
    fn what_stands_twice_is_found_among_many_whether_there_is_room_for_them_or_not() {
        let all = all();
        let command = fingerprint(Kind::Command, &3_u128.to_le_bytes());
        for room in [usize::MAX, 60_000, 50_000, 20_000, 999, 0] {
            let mut ids = Ids::new(room);
            for some in all.chunks(1_000) {
                ids.add(some);
            }
            ids.add(&[all[17], all[40_000], command]);
            assert_eq!(ids.spill.is_some(), room < 50_003, "room for {room}");
            assert_eq!(
                ids.twice(3).unwrap(),
                FxHashSet::from_iter([all[17], all[40_000]]),
                "room for {room}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_back_is_an_error_and_not_an_answer() {
        let mut ids = Ids::new(10);
        ids.add(&all());
        ids.spill.as_ref().unwrap().file.set_len(1_000).unwrap();
        assert!(ids.twice(2).is_err());
    }
}
