//! Days of the calendar in UTC, counted from 1970-01-01.

use domain::Date;
use eventstore::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

const NANOSECONDS: i64 = 86_400_000_000_000;

/// A day: how many days it is after 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i32);

impl Day {
    /// The day that a time is in.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "64 bits of nanoseconds are some 100,000 days either way"
    )]
    pub fn of(time: Timestamp) -> Self {
        Self(time.get().div_euclid(NANOSECONDS) as i32)
    }

    /// The day that is `days` later.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// This day and all that follow, to another one, both included.
    pub fn up_to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }

    /// How many days it is after another.
    #[must_use]
    pub fn since(self, other: Self) -> i64 {
        i64::from(self.0) - i64::from(other.0)
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        let (year, month, day) = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
        // Howard Hinnant, "chrono-compatible low-level date algorithms": years that begin in March, in eras of 400.
        let year = if month > 2 { year } else { year - 1 };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
        Self(i32::try_from(days).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for Day {
    /// As `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_the_same_thing() {
        for (number, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_778, "2026-11-21"),
            (-719_162, "0001-01-01"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(Day(number).to_string(), text);
            assert_eq!(Day::from(text.parse::<Date>().unwrap()), Day(number), "{text}");
        }
        // Every day of some centuries follows the one before it.
        for number in -200_000..200_000 {
            let text = Day(number).to_string();
            assert_eq!(Day::from(text.parse::<Date>().unwrap()), Day(number), "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let day = |nanoseconds| Day::of(Timestamp::new(nanoseconds));
        assert_eq!(
            (day(0), day(-1), day(NANOSECONDS - 1), day(NANOSECONDS)),
            (Day(0), Day(-1), Day(0), Day(1))
        );
        assert_eq!(day(i64::MIN).to_string(), "1677-09-21");
        assert_eq!(day(i64::MAX).to_string(), "2262-04-11");
        assert_eq!(Day(3).plus(-5).since(Day(1)), -3);
    }
}
