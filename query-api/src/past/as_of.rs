//! `asOf`: which moment of the log is meant, by its position or by a time.
//!
//! Invariant: a position is exclusive, as everywhere: the number of events that are covered. A time means all events that the
//! log had recorded by then, that moment included; the log's times never go back, so this is a position, too.

use crate::problems::bad_parameter;
use eventstore::{Log, Position, ReadError, Timestamp};
use http_kit::problem::Problem;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a moment looks like in a query: a position, or a time.
pub(crate) const PATTERN: &str =
    "^([0-9]{1,20}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,}([Zz]|[+-][0-9]{2}:[0-9]{2}))$";

/// A moment of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// When it held so many events.
    Position(Position),
    /// Whenever it was.
    Time(Timestamp),
}

impl AsOf {
    /// What a parameter says.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, Problem> {
        // Digits only: a number would take a sign as well, and no time is without other characters.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let position = text.parse().map_err(|_| {
                bad_parameter(name, format_args!("a position from 0 to {} is expected", u64::MAX))
            })?;
            return Ok(Self::Position(Position::new(position)));
        }
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            bad_parameter(
                name,
                "a position (how many events are covered) or a time of RFC 3339, such as 2026-11-21T08:30:00Z, is expected; \
                 the + of an offset is written %2B in a URL",
            )
        })?;
        // No event is recorded beyond the years that the log's times have.
        let nanoseconds = time.unix_timestamp_nanos().clamp(i64::MIN.into(), i64::MAX.into());
        Ok(Self::Time(Timestamp::new(i64::try_from(nanoseconds).unwrap_or(i64::MAX))))
    }

    /// The number of events that the log held then. Blocks.
    pub(crate) fn position(self, log: &Log) -> Result<Position, ReadError> {
        match self {
            Self::Position(position) => Ok(position),
            Self::Time(time) => log.recorded_by(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_position_or_a_time() {
        let read = |text: &str| AsOf::read("asOf", text).ok();
        let time = |nanoseconds| Some(AsOf::Time(Timestamp::new(nanoseconds)));
        assert_eq!(read("0"), Some(AsOf::Position(Position::ZERO)));
        assert_eq!(read("18446744073709551615"), Some(AsOf::Position(Position::new(u64::MAX))));
        assert_eq!(read("1970-01-01T00:00:00.000000001Z"), time(1));
        assert_eq!(read("1970-01-01T01:00:01+01:00"), time(1_000_000_000));
        // Before and after all times that the log has.
        assert_eq!(read("0000-01-01T00:00:00Z"), time(i64::MIN));
        assert_eq!(read("9999-12-31T23:59:59Z"), time(i64::MAX));
        for nonsense in [
            "",
            "-1",
            "+1",
            "1.5",
            "x",
            "18446744073709551616",
            "2026-11-21",
            "2026-11-21T08:30:00",
            "2026-13-21T08:30:00Z",
            "1970-01-01T01:00:01 01:00",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
