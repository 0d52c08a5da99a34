//! Random bits without a system call for each: xoshiro256++ (Blackman, Vigna 2019), one per thread.
//!
//! Invariant: nothing secret depends on these bits; they only have to differ.

use eventstore::CommandId;
use std::cell::Cell;
use uuid::{Builder, Uuid};

thread_local! {
    static STATE: Cell<[u64; 4]> = Cell::new(seed());
}

fn seed() -> [u64; 4] {
    let (a, b) = Uuid::new_v4().as_u64_pair();
    let (c, d) = Uuid::new_v4().as_u64_pair();
    [a, b, c, d]
}

/// The next 64 bits.
pub(crate) fn next() -> u64 {
    STATE.with(|state| {
        let mut s = state.get();
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        state.set(s);
        result
    })
}

/// What stands in one of the random bytes of the ids that are made here. Whoever chooses ids has one in 256 by chance.
const MADE_HERE: u8 = 0x5d;
/// Which one: the second of its third group.
const MADE_HERE_AT: usize = 7;

/// Whether an id may have been made here. One that was is in the log, if it is anywhere, soon after it was made.
pub(crate) fn may_be_made_here(id: Uuid) -> bool {
    id.get_version_num() == 7 && id.as_bytes()[MADE_HERE_AT] == MADE_HERE
}

/// A UUIDv7 of a time in nanoseconds.
pub(crate) fn uuid_v7(now_ns: i64) -> Uuid {
    let millis = u64::try_from(now_ns / 1_000_000).unwrap_or(0);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&next().to_be_bytes());
    random[8..].copy_from_slice(&next().to_be_bytes()[..2]);
    // The builder takes what belongs to that byte from here.
    random[1] = MADE_HERE;
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// The id of a command that its sender did not name.
pub(crate) fn command_id() -> CommandId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&next().to_be_bytes());
    bytes[8..].copy_from_slice(&next().to_be_bytes());
    CommandId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_are_of_version_7_and_can_be_told_from_most_others() {
        let ids: HashSet<Uuid> = (0..10_000).map(|_| uuid_v7(1_700_000_000_000_000_000)).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && may_be_made_here(*id)));
        let others = (0..10_000).filter(|_| may_be_made_here(Uuid::now_v7())).count();
        assert!(others < 200, "{others}");
    }
}
