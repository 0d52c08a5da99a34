//! What became of every line.
//!
//! Invariant: `lines = applied + unchanged + duplicate + rejected`, and every rejection has its line and reason.

use serde::Serialize;

/// A line that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Its number in the file, from 1.
    pub line: u64,
    /// Why, for people.
    pub reason: String,
}

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It changed something.
    Applied,
    /// It was accepted and changed nothing.
    Unchanged,
    /// It had been carried out before.
    Duplicate,
    /// It was refused.
    Rejected(String),
}

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Lines that are not empty.
    pub lines: u64,
    /// Lines that changed something.
    pub applied: u64,
    /// Lines that were accepted and changed nothing.
    pub unchanged: u64,
    /// Lines that had been taken in before.
    pub duplicate: u64,
    /// Lines that were not taken in.
    pub rejected: u64,
    /// Which lines were not taken in, and why; in order of lines.
    pub rejections: Vec<Rejection>,
    /// The highest position that an answer named.
    #[serde(skip)]
    pub position: u64,
}

impl Tally {
    /// Counts a line.
    pub fn count(&mut self, line: u64, fate: Fate) {
        self.lines += 1;
        match fate {
            Fate::Applied => self.applied += 1,
            Fate::Unchanged => self.unchanged += 1,
            Fate::Duplicate => self.duplicate += 1,
            Fate::Rejected(reason) => {
                self.rejected += 1;
                self.rejections.push(Rejection { line, reason });
            }
        }
    }

    /// Whether there were lines, and each of them was rejected.
    #[must_use]
    pub fn is_all_rejected(&self) -> bool {
        self.lines > 0 && self.rejected == self.lines
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: Self) {
        self.lines += other.lines;
        self.applied += other.applied;
        self.unchanged += other.unchanged;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.rejections.extend(other.rejections);
        self.position = self.position.max(other.position);
    }

    /// Puts the rejections in order of lines.
    pub fn sort(&mut self) {
        self.rejections.sort_by_key(|rejection| rejection.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_counted_once() {
        let mut tally = Tally::default();
        tally.count(3, Fate::Rejected("because".into()));
        tally.count(1, Fate::Applied);
        let mut other = Tally { position: 9, ..Tally::default() };
        other.count(2, Fate::Rejected("so".into()));
        other.count(4, Fate::Duplicate);
        other.count(5, Fate::Unchanged);
        tally.merge(other);
        tally.sort();
        assert_eq!(tally.lines, tally.applied + tally.unchanged + tally.duplicate + tally.rejected);
        assert_eq!((tally.lines, tally.position), (5, 9));
        assert_eq!(tally.rejections.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
    }
}
