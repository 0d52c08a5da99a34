//! Times as text: RFC 3339 in UTC with nanoseconds, always the same length, so that texts sort as times do.
//!
//! Invariant: every [`Timestamp`] has such a text: 64 bits of nanoseconds around 1970 end in the years 1677 and
//! 2262, which have four digits.

use eventstore::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use time::OffsetDateTime;

/// A time as the API gives it out, such as `2026-11-21T08:30:00.000000001Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub Timestamp);

impl Rfc3339 {
    /// The time that is `nanoseconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(Timestamp::new(nanoseconds))
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written by hand: the formatter of the `time` crate leaves out trailing zeros of the seconds.
        let at =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0.get())).map_err(|_| fmt::Error)?;
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, nanosecond) = at.to_hms_nano();
        let month = u8::from(month);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}Z")
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rfc3339 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$";
        json_schema!({"type": "string", "format": "date-time", "pattern": pattern})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits_of_fraction_and_end_in_z() {
        for (nanoseconds, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_302_838_217_000_000_000, "2011-04-15T03:30:17.000000000Z"),
            (1_302_838_217_000_000_001, "2011-04-15T03:30:17.000000001Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(Rfc3339::from_nanoseconds(nanoseconds).to_string(), text);
        }
    }
}
