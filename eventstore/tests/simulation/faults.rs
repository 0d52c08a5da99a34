//! What goes wrong in a run beside the crashes, and how often each kind has.

use crate::dice::Dice;
use std::collections::BTreeMap;

/// Each fault happens once in so many operations that it can happen to; 0 is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// A write that takes fewer bytes than it was given.
    pub short_write: u64,
    /// A read that gives fewer bytes than there are.
    pub short_read: u64,
    /// A write or read that is interrupted before it has begun.
    pub interrupted: u64,
    /// A write that fails.
    pub write_error: u64,
    /// A sync that fails; what it should have made durable is not, and no later sync says so.
    pub sync_error: u64,
    /// An opening, renaming or removal that fails, or a sync of a directory.
    pub name_error: u64,
}

impl Odds {
    /// Few kinds at a time, so that one does not hide another.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut odd = |percent, low, high| if dice.percent(percent) { dice.between(low, high) } else { 0 };
        Self {
            short_write: odd(40, 2, 40),
            short_read: odd(40, 2, 40),
            interrupted: odd(40, 3, 60),
            write_error: odd(25, 20, 300),
            sync_error: odd(35, 4, 80),
            name_error: odd(20, 20, 300),
        }
    }
}

/// How often what has happened.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub fn add(&mut self, what: &'static str, more: u64) {
        *self.0.entry(what).or_default() += more;
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub fn take_in(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    /// Everything whose name begins with `prefix`, without it.
    pub fn of(&self, prefix: &str) -> String {
        let named = self.0.iter().filter_map(|(what, count)| Some((what.strip_prefix(prefix)?, count)));
        named.map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
    }
}
