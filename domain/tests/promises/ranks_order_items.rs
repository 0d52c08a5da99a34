//! Promise: a rank can always be found between two others until the column has to be ranked anew, and the
//! order of the texts is the order of the places.

use domain::{
    DomainError, Rank, limits,
    rank::{rank_at_end, rank_between},
};

/// xorshift64*: small, good enough to wander about, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("SUNDAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
            u64::from(since.subsec_nanos()) | since.as_secs() << 32
        });
        println_seed(seed);
        Self(seed | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).expect("small")).expect("small")
    }
}

/// Shown by the test harness only when the test fails.
#[expect(clippy::print_stdout, reason = "a failing run has to say how to repeat it")]
fn println_seed(seed: u64) {
    println!("repeat with SUNDAY_TEST_SEED={seed}");
}

fn rank(text: &str) -> Rank {
    Rank::new(text).expect("a rank")
}

#[test]
fn later_times_sort_later() {
    let mut dice = Dice::new();
    let mut times: Vec<i64> = (0..10_000).map(|_| dice.roll().cast_signed()).collect();
    times.extend([i64::MIN, -1, 0, 1, i64::MAX]);
    times.sort_unstable();
    times.dedup();
    let ranks: Vec<Rank> = times.iter().map(|time| rank_at_end(*time, dice.roll())).collect();
    assert!(ranks.is_sorted_by(|a, b| a < b));
    for rank in &ranks {
        assert_eq!(Rank::new(rank.as_str()).as_ref(), Ok(rank));
        assert_eq!(rank.as_str().len(), 19);
    }
}

#[test]
fn the_same_time_and_place_still_gives_different_ranks() {
    let mut dice = Dice::new();
    let ends: std::collections::HashSet<Rank> = (0..1_000).map(|_| rank_at_end(7, dice.roll())).collect();
    assert!(ends.len() > 990, "{}", ends.len());
    assert_eq!(rank_at_end(7, 1), rank_at_end(7, 1));
}

#[test]
fn a_column_filled_anywhere_keeps_its_order() {
    let mut dice = Dice::new();
    let mut column: Vec<Rank> = (0..20).map(|n| rank_at_end(n * 1_000_000_000, dice.roll())).collect();
    for _ in 0..5_000 {
        let index = dice.below(column.len() + 1);
        let after = index.checked_sub(1).map(|index| &column[index]);
        let before = column.get(index);
        match rank_between(after, before, dice.roll()) {
            Ok(new) => {
                assert!(after.is_none_or(|after| after < &new), "{after:?} < {new}");
                assert!(before.is_none_or(|before| &new < before), "{new} < {before:?}");
                assert_eq!(Rank::new(new.as_str()).as_ref(), Ok(&new));
                column.insert(index, new);
            }
            Err(error) => assert_eq!(error, DomainError::RankExhausted),
        }
    }
    assert!(column.is_sorted_by(|a, b| a < b));
    assert!(column.len() > 4_500, "random places rarely run out: {}", column.len());
}

#[test]
fn between_any_two_ranks_there_is_room_or_a_clear_answer() {
    let mut dice = Dice::new();
    let any = |dice: &mut Dice| loop {
        let length = 1 + dice.below(limits::RANK_CHARS_MAX);
        // Few digits, so that neighbours share long beginnings and meet the edges of the alphabet.
        let digits = (0..length).map(|_| char::from(b"01az"[dice.below(4)])).collect::<String>();
        if let Ok(rank) = Rank::new(digits) {
            return rank;
        }
    };
    for _ in 0..50_000 {
        let (a, b) = (any(&mut dice), any(&mut dice));
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let entropy = dice.roll();
        if low == high {
            assert_eq!(rank_between(Some(&low), Some(&high), entropy), Err(DomainError::RankOrder));
            continue;
        }
        for (after, before) in [(Some(&low), Some(&high)), (Some(&low), None), (None, Some(&high))] {
            match rank_between(after, before, entropy) {
                Ok(new) => {
                    assert!(after.is_none_or(|after| after < &new), "{after:?} < {new}");
                    assert!(before.is_none_or(|before| &new < before), "{new} < {before:?}");
                    assert_eq!(Rank::new(new.as_str()).as_ref(), Ok(&new));
                }
                Err(error) => assert_eq!(error, DomainError::RankExhausted, "{after:?} {before:?}"),
            }
        }
    }
}

#[test]
fn the_same_gap_runs_out_with_a_clear_error() {
    let mut dice = Dice::new();
    let low = rank_at_end(0, 0);
    let mut high = rank_at_end(1, 0);
    let mut insertions = 0;
    let error = loop {
        match rank_between(Some(&low), Some(&high), dice.roll()) {
            Ok(new) => {
                assert!(low < new && new < high);
                high = new;
                insertions += 1;
            }
            Err(error) => break error,
        }
        assert!(insertions < 10_000, "64 characters cannot hold that many");
    };
    assert_eq!((error.code(), error), ("rank_exhausted", DomainError::RankExhausted));
    assert!(insertions > 50, "only {insertions}");
}

#[test]
fn the_end_and_the_beginning_stay_near() {
    // Whoever puts things to the front or the back by hand all day neither grows the ranks nor overtakes
    // what is put at the end by its time tomorrow.
    let mut dice = Dice::new();
    let (mut first, mut last) = (rank_at_end(1_000_000_000_000, 1), rank_at_end(1_000_000_000_000, 2));
    for _ in 0..1_000 {
        let newer = rank_between(Some(&last), None, dice.roll()).expect("there is room");
        assert!(newer > last);
        last = newer;
        let older = rank_between(None, Some(&first), dice.roll()).expect("there is room");
        assert!(older < first);
        first = older;
    }
    assert_eq!((first.as_str().len(), last.as_str().len()), (19, 19));
    assert!(last < rank_at_end(1_000_000_000_000 + 86_400_000_000_000, 0));
}

#[test]
fn an_empty_column_has_room() {
    assert!(rank_between(None, None, 5).is_ok());
}

#[test]
fn only_ranks_are_ranks() {
    for text in ["", "0", "a0", "A", "a b", "ä", "-", &"a".repeat(65)] {
        assert_eq!(Rank::new(text), Err(DomainError::RankInvalid), "{text:?}");
        assert!(serde_json::from_value::<Rank>(text.into()).is_err());
    }
    assert_eq!(rank("0a").as_str(), "0a");
    assert_eq!(rank(&"a".repeat(64)).as_str().len(), 64);
}

#[test]
fn neighbours_out_of_order_are_refused() {
    assert_eq!(rank_between(Some(&rank("b")), Some(&rank("a")), 0), Err(DomainError::RankOrder));
}
