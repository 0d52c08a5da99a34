//! Days of the calendar, for when something is due: `YYYY-MM-DD`, without a time and without a zone.
//!
//! Invariant: a [`Date`] is a day that the (proleptic Gregorian) calendar has.
//! What day it is today is not known here.

use crate::error::DomainError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A day: what RFC 3339 calls a full-date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline, extend("format" = "date"))]
pub struct Date {
    // In this order, so that dates compare as their texts do.
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The year, four digits.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, from 1.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    #[must_use]
    pub fn day(self) -> u8 {
        self.day
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_date(text.as_bytes()).ok_or(DomainError::DateInvalid)
    }
}

impl TryFrom<String> for Date {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

/// Whether a text is a point in time: what RFC 3339 calls a date-time, with its zone.
pub(crate) fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.as_bytes().split_at_checked(10) else { return false };
    let [b'T' | b't', rest @ ..] = rest else { return false };
    let Some((clock, rest)) = rest.split_at_checked(8) else { return false };
    let [hour @ .., b':', m1, m2, b':', s1, s2] = clock else { return false };
    // A second more than sixty is a leap second.
    let is_clock = read_pair(hour, 23) && read_pair(&[*m1, *m2], 59) && read_pair(&[*s1, *s2], 60);
    read_date(date).is_some() && is_clock && is_zone(after_fraction(rest))
}

/// What follows `.123`, if that is what the text begins with.
fn after_fraction(text: &[u8]) -> &[u8] {
    let [b'.', rest @ ..] = text else { return text };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A point without digits is no fraction, so the rest is no zone.
    if digits == 0 { text } else { &rest[digits..] }
}

fn is_zone(text: &[u8]) -> bool {
    match text {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => read_pair(&[*h1, *h2], 23) && read_pair(&[*m1, *m2], 59),
        _ => false,
    }
}

fn read_pair(digits: &[u8], max: u16) -> bool {
    digits.len() == 2 && read_number(digits).is_some_and(|number| number <= max)
}

fn read_date(text: &[u8]) -> Option<Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = read_number(&[*y1, *y2, *y3, *y4])?;
    let month = u8::try_from(read_number(&[*m1, *m2])?).ok()?;
    let day = u8::try_from(read_number(&[*d1, *d2])?).ok()?;
    (1..=days_of(year, month)).contains(&day).then_some(Date { year, month, day })
}

fn read_number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number: u16, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
    })
}

fn days_of(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_the_calendar_has_are_dates() {
        for text in ["2026-01-31", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "2026-1-1",
            "20260101",
            "2026-01-01 ",
            "2026-01-01T00:00:00Z",
            "",
            "+026-01-01",
            "٢٠٢٦-01-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(DomainError::DateInvalid), "{text}");
        }
        assert!("2025-12-31".parse::<Date>().unwrap() < "2026-01-01".parse().unwrap());
    }

    #[test]
    fn points_in_time_have_a_zone() {
        for text in [
            "2026-01-31T23:59:60Z",
            "2026-01-31t00:00:00z",
            "2026-01-31T12:00:00.5+02:00",
            "2026-01-31T12:00:00.123456789-23:59",
        ] {
            assert!(is_date_time(text), "{text}");
        }
        for text in [
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00Z",
            "2026-02-30T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:61Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00+2:00",
            "2026-01-31T12:00:00Zx",
            "2026-01-3ä12:00:00Z",
            "",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
    }
}
