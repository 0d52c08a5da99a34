//! Where the stream must be, as headers and body say it together.
//!
//! Invariant: a header that does not hold is 412, a member of the body 409; what was demanded is never loosened.

use super::body::{Expected, Word};
use crate::problems::problem;
use crate::service::{EntityTags, Refusal};
use axum::http::StatusCode;
use eventstore::{ExpectedVersion, StreamId, Version};
use http_kit::problem::Problem;
use serde_json::Value;

/// What is demanded of the stream's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demanded {
    pub(super) expected: Demand,
    /// Whether a header says so.
    in_header: bool,
}

/// Where the stream must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Demand {
    /// What the log checks by itself.
    Log(ExpectedVersion),
    /// At one of several versions, or (if there are none) nowhere at all.
    OneOf(Vec<Version>),
}

impl Demanded {
    /// What headers and body demand.
    pub(super) fn of(
        if_match: Option<&EntityTags>,
        if_none_match: bool,
        body: Option<Expected>,
    ) -> Result<Self, Problem> {
        let body = match body {
            None | Some(Expected::Word(Word::Any)) => ExpectedVersion::Any,
            Some(Expected::Version(version)) => ExpectedVersion::Exact(Version::new(version)),
            Some(Expected::Word(Word::NoStream)) => ExpectedVersion::NoStream,
            Some(Expected::Word(Word::StreamExists)) => ExpectedVersion::StreamExists,
        };
        let header = match (if_match, if_none_match) {
            (Some(_), true) => {
                let detail = "if-none-match: * contradicts if-match; send one of them";
                return Err(problem(&Refusal::Contradiction { field: "if-none-match", detail }));
            }
            (Some(EntityTags::Any), false) => ExpectedVersion::StreamExists,
            (Some(EntityTags::Versions(versions)), false) => match versions[..] {
                [version] => ExpectedVersion::Exact(version),
                _ => {
                    let expected = match body {
                        ExpectedVersion::Any | ExpectedVersion::StreamExists => versions.clone(),
                        ExpectedVersion::Exact(version) if versions.contains(&version) => vec![version],
                        ExpectedVersion::Exact(_) | ExpectedVersion::NoStream => return Err(contradiction()),
                    };
                    return Ok(Self { expected: Demand::OneOf(expected), in_header: true });
                }
            },
            (None, true) => ExpectedVersion::NoStream,
            (None, false) => ExpectedVersion::Any,
        };
        let (expected, in_header) = match (header, body) {
            (ExpectedVersion::Any, body) => (body, false),
            (header, ExpectedVersion::Any) => (header, true),
            (header, body) if header == body => (header, true),
            (header @ ExpectedVersion::Exact(_), ExpectedVersion::StreamExists) => (header, true),
            (ExpectedVersion::StreamExists, body @ ExpectedVersion::Exact(_)) => (body, false),
            _ => return Err(contradiction()),
        };
        Ok(Self { expected: Demand::Log(expected), in_header })
    }

    /// The refusal of a stream that is elsewhere.
    pub(super) fn conflict(&self, stream: &StreamId, current: Option<Version>) -> Problem {
        let status = if self.in_header { StatusCode::PRECONDITION_FAILED } else { StatusCode::CONFLICT };
        let (text, expected) = match &self.expected {
            Demand::Log(expected @ ExpectedVersion::NoStream) => {
                ("that there is no such stream yet".to_owned(), member(*expected))
            }
            Demand::Log(expected @ ExpectedVersion::StreamExists) => {
                ("that there is one".to_owned(), member(*expected))
            }
            Demand::Log(expected) => (expected.to_string(), member(*expected)),
            Demand::OneOf(versions) => (
                "another version".to_owned(),
                versions.first().map_or(Value::Null, |version| version.get().into()),
            ),
        };
        let at =
            current.map_or_else(|| "does not exist".to_owned(), |current| format!("is at version {current}"));
        Problem::new(status, "version_conflict", format!("{stream} {at}, and what was demanded is {text}"))
            .with("streamId", stream.as_str())
            .with("expectedVersion", expected)
            .with("currentVersion", current.map_or(Value::Null, |current| current.get().into()))
    }
}

fn member(expected: ExpectedVersion) -> Value {
    match expected {
        ExpectedVersion::Any => "any".into(),
        ExpectedVersion::NoStream => "noStream".into(),
        ExpectedVersion::StreamExists => "streamExists".into(),
        ExpectedVersion::Exact(version) => version.get().into(),
    }
}

fn contradiction() -> Problem {
    let detail = "if-match or if-none-match demands something else";
    problem(&Refusal::Contradiction { field: "expectedVersion", detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_must_agree() {
        let exact = |version| Demand::Log(ExpectedVersion::Exact(Version::new(version)));
        let versions = |versions: &[u64]| {
            Some(EntityTags::Versions(versions.iter().copied().map(Version::new).collect()))
        };
        let body = |version| Some(Expected::Version(version));
        let word = |word| Some(Expected::Word(word));
        for (if_match, if_none_match, said, wanted) in [
            (None, false, None, Ok((Demand::Log(ExpectedVersion::Any), false))),
            (versions(&[3]), false, None, Ok((exact(3), true))),
            (versions(&[3]), false, body(3), Ok((exact(3), true))),
            (versions(&[3]), false, word(Word::StreamExists), Ok((exact(3), true))),
            (versions(&[3]), false, body(4), Err(())),
            (versions(&[3]), false, word(Word::NoStream), Err(())),
            (Some(EntityTags::Any), false, body(4), Ok((exact(4), false))),
            (Some(EntityTags::Any), false, word(Word::NoStream), Err(())),
            (None, true, None, Ok((Demand::Log(ExpectedVersion::NoStream), true))),
            (None, true, body(0), Err(())),
            (versions(&[1]), true, None, Err(())),
            (versions(&[3, 5]), false, body(5), Ok((Demand::OneOf(vec![Version::new(5)]), true))),
            (versions(&[3, 5]), false, body(4), Err(())),
            (versions(&[]), false, None, Ok((Demand::OneOf(vec![]), true))),
        ] {
            let demanded = Demanded::of(if_match.as_ref(), if_none_match, said);
            let found = demanded.map(|demanded| (demanded.expected, demanded.in_header)).map_err(|_| ());
            assert_eq!(found, wanted, "{if_match:?} {if_none_match} {said:?}");
        }
    }
}
