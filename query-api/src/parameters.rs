//! The query string of a request, taken apart name by name; what is wrong with it is said with the name.
//!
//! Invariant: a parameter that the endpoint does not know, or one that is given twice, is refused: a typing error in
//! a filter must not silently widen an answer.

use crate::freshness::Freshness;
use crate::past::AsOf;
use crate::problems::{bad_parameter, unknown_parameter};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use eventstore::limits::{NAME_BYTES_MAX, STREAM_ID_BYTES_MAX};
use eventstore::{EventType, NameError, Position, StreamId, Tag};
use http_kit::problem::Problem;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// How long a request waits for its `minPosition` unless it says otherwise, milliseconds.
pub(crate) const TIMEOUT_MS_DEFAULT: u64 = 5_000;
/// How long it waits at most, milliseconds.
pub(crate) const TIMEOUT_MS_MAX: u64 = 30_000;

/// An id in the path.
pub(crate) fn path_id<T: FromStr<Err: Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| bad_parameter("id", error))
}

/// The names of the log, which are checked when they are made.
pub(crate) trait LogName: Sized {
    /// Bytes of such a name at most.
    const BYTES_MAX: usize;

    fn checked(text: &str) -> Result<Self, NameError>;
}

impl LogName for StreamId {
    const BYTES_MAX: usize = STREAM_ID_BYTES_MAX;

    fn checked(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl LogName for EventType {
    const BYTES_MAX: usize = NAME_BYTES_MAX;

    fn checked(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl LogName for Tag {
    const BYTES_MAX: usize = NAME_BYTES_MAX;

    fn checked(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// The parameters that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Parameters {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(left) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| bad_parameter("query", rejection.body_text()))?;
        Ok(Self { left, known: Vec::new() })
    }
}

impl Parameters {
    /// A text as it stands.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let Some(index) = self.left.iter().position(|(given, _)| given == name) else {
            return Ok(None);
        };
        let (_, value) = self.left.remove(index);
        if self.left.iter().any(|(given, _)| given == name) {
            return Err(bad_parameter(name, "it is given more than once"));
        }
        Ok(Some(value))
    }

    /// Something with a textual form.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.text(name)?
            .map(|text| text.parse().map_err(|error: T::Err| bad_parameter(name, error)))
            .transpose()
    }

    /// One of the log's names: a stream, an event type, a tag.
    pub(crate) fn name<T: LogName>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        self.text(name)?.map(|text| T::checked(&text).map_err(|error| bad_parameter(name, error))).transpose()
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        // Digits only: `u64` would take a sign as well.
        let number =
            if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
        match number {
            Some(number) if bounds.contains(&number) => Ok(Some(number)),
            _ if *bounds.end() == u64::MAX => Err(bad_parameter(
                name,
                format_args!("a whole number from {} on is expected", bounds.start()),
            )),
            _ => Err(bad_parameter(
                name,
                format_args!("a whole number from {} to {} is expected", bounds.start(), bounds.end()),
            )),
        }
    }

    /// A number of things, at least one.
    pub(crate) fn count(&mut self, name: &'static str, default: usize, max: usize) -> Result<usize, Problem> {
        let wide = u64::try_from(max).unwrap_or(u64::MAX);
        let given = self.number(name, 1..=wide)?;
        // It is at most `max`, which is a usize.
        Ok(given.map_or(default, |count| usize::try_from(count).unwrap_or(max)))
    }

    /// How many things to pass over.
    pub(crate) fn offset(&mut self, max: usize) -> Result<usize, Problem> {
        let wide = u64::try_from(max).unwrap_or(u64::MAX);
        let given = self.number("offset", 0..=wide)?;
        Ok(given.map_or(0, |count| usize::try_from(count).unwrap_or(max)))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*value));
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        Err(bad_parameter(name, format_args!("one of {} is expected", words.join(", "))))
    }

    /// Which moment is meant, where it is not now.
    pub(crate) fn as_of(&mut self) -> Result<Option<AsOf>, Problem> {
        self.text("asOf")?.map(|text| AsOf::read("asOf", &text)).transpose()
    }

    /// `minPosition` and `timeoutMs`. Ends the taking: what is left then is unknown.
    pub(crate) fn finish(mut self) -> Result<Freshness, Problem> {
        let min_position = self.number("minPosition", 0..=u64::MAX)?;
        let timeout_ms = self.number("timeoutMs", 0..=TIMEOUT_MS_MAX)?;
        if let Some((name, _)) = self.left.first() {
            return Err(unknown_parameter(name, &self.known));
        }
        Ok(Freshness {
            min_position: Position::new(min_position.unwrap_or(0)),
            timeout: Duration::from_millis(timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT)),
        })
    }
}
