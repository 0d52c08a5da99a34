//! The first documents of a walk, kept while it goes on.
//!
//! What decides between two documents is read as late as it can be: most are out by what decides first, nearly all others by
//! what decides second, and ids are read of those alone that are left when room has to be made. Room is made for many at a
//! time, by selection and not by sorting, so that a walk in which each document stands before all earlier ones (the latest
//! change first is one) costs no more than any other.

use crate::search::order::Standing;
use std::cmp::Reverse;
use tantivy::{DocAddress, DocId};

/// How many more than wanted are kept before room is made, at least.
const ROOM: usize = 256;

/// What decides between documents that are alike in all else.
pub(crate) type Tie = (Reverse<u128>, Reverse<u8>);

/// The first documents so far.
#[derive(Debug)]
pub(crate) struct Best {
    wanted: usize,
    kept: Vec<Candidate>,
    /// What stands below this is not among the first.
    bound: (u64, u64),
}

/// Ordered by its fields, in their order. A tie is missing where it has not been needed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    first: u64,
    second: u64,
    tie: Option<Tie>,
    at: DocAddress,
}

impl Candidate {
    fn rank(&self) -> (u64, u64) {
        (self.first, self.second)
    }
}

impl Best {
    pub(crate) fn new(wanted: usize) -> Self {
        Self { wanted, kept: Vec::new(), bound: (0, 0) }
    }

    /// Whether a document of which only this is known may be among the first.
    pub(crate) fn may_take(&self, first: u64) -> bool {
        self.wanted > 0 && first >= self.bound.0
    }

    /// Takes a document of the segment of which `tie` reads.
    pub(crate) fn take(&mut self, (first, second): (u64, u64), at: DocAddress, tie: impl Fn(DocId) -> Tie) {
        if self.wanted == 0 || (first, second) < self.bound {
            return;
        }
        self.kept.push(Candidate { first, second, tie: None, at });
        if self.kept.len() >= 2 * self.wanted + ROOM {
            self.make_room(tie);
        }
    }

    /// What is left of a segment knows all that decides, because nothing of it is read later.
    pub(crate) fn end_segment(&mut self, tie: impl Fn(DocId) -> Tie) {
        self.make_room(&tie);
        for candidate in self.kept.iter_mut().filter(|candidate| candidate.tie.is_none()) {
            candidate.tie = Some(tie(candidate.at.doc_id));
        }
    }

    /// Lets go of all that are not among the first.
    fn make_room(&mut self, tie: impl Fn(DocId) -> Tie) {
        let Some(last) = self.wanted.checked_sub(1).filter(|last| *last < self.kept.len()) else { return };
        self.kept.select_nth_unstable_by_key(last, |candidate| Reverse(candidate.rank()));
        self.bound = self.kept[last].rank();
        let bound = self.bound;
        // Those that stand on the bound are alike so far, on both sides of it.
        self.kept.retain(|candidate| candidate.rank() >= bound);
        if self.kept.len() == self.wanted {
            return;
        }
        for candidate in self.kept.iter_mut().filter(|candidate| candidate.rank() == bound) {
            candidate.tie.get_or_insert_with(|| tie(candidate.at.doc_id));
        }
        self.kept.select_nth_unstable_by_key(last, |candidate| Reverse(*candidate));
        self.kept.truncate(self.wanted);
    }

    /// The first documents in order. Every segment has been ended.
    pub(crate) fn finish(mut self) -> Vec<(Standing, DocAddress)> {
        self.kept.sort_unstable_by_key(|candidate| Reverse(*candidate));
        self.kept.truncate(self.wanted);
        let told = |Candidate { first, second, tie, at }| {
            tie.map(|(id, kind)| (Standing { first, second, id, kind }, at))
        };
        self.kept.into_iter().filter_map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are always the same.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }
    }

    #[test]
    fn the_first_of_a_walk_are_the_first_of_all_sorted() {
        let mut numbers = Numbers(7);
        for round in 0..200 {
            // Few values, so that many are alike; and now and then each stands before all earlier ones.
            let (values, rises) = (1 + numbers.below(6), round % 3 == 0);
            let segments: Vec<Vec<Standing>> = (0..1 + numbers.below(4))
                .map(|_| {
                    (0..numbers.below(2_000))
                        .map(|doc| Standing {
                            first: numbers.below(values),
                            second: if rises { doc } else { numbers.below(values) },
                            id: Reverse(u128::from(numbers.below(1 << 30))),
                            kind: Reverse(u8::try_from(numbers.below(3)).unwrap()),
                        })
                        .collect()
                })
                .collect();
            let wanted = usize::try_from(numbers.below(400)).unwrap();
            let mut best = Best::new(wanted);
            let mut all = Vec::new();
            for (segment, documents) in (0..).zip(&segments) {
                let tie = |doc: DocId| (documents[doc as usize].id, documents[doc as usize].kind);
                for (doc, standing) in (0..).zip(documents) {
                    let at = DocAddress::new(segment, doc);
                    all.push((*standing, at));
                    if best.may_take(standing.first) {
                        best.take((standing.first, standing.second), at, tie);
                    }
                }
                best.end_segment(tie);
            }
            all.sort_unstable_by_key(|entry| Reverse(*entry));
            all.truncate(wanted);
            assert_eq!(best.finish(), all, "round {round}");
        }
    }
}
